"""Formats records of benchmarks: one as text, many as a Markdown table."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from trm_jax.bench.record import PARTS
from trm_jax.core.errors import UserError

NOT_SHOWN = {"model", "config", "versions", "peer_report", "top_operations", "name"}
COLUMNS = {
    "date": "date",
    "commit": "commit",
    "device": "device",
    "name": "experiment",
    "batch": "batch",
    "dtype": "dtype",
    "part": "what",
    "seconds": "seconds",
    "examples_per_s": "examples/s",
    "tflops_per_s": "TFLOP/s",
    "share_of_ceiling": "of ceiling",
    "peak": "peak GiB",
    "ratio": "peer/ours",
}
SHARED = ("date", "commit", "processor", "cores", "name", "batch", "model")
"""Entries of a record of all parts that its parts share."""

TEXT = 7
"""Number of columns with text, which are left-aligned."""


def text(record: dict[str, Any]) -> str:
    """A record as text, with a line per value and the paths of its traces."""
    lines = []
    for key, value in record.items():
        if key in PARTS and isinstance(value, dict):
            lines += ["", f"{key}:", *_lines(value)]
        elif key not in NOT_SHOWN:
            lines += _lines({key: value})
    for part in _with_parts(record):
        if "trace" in part:
            lines += ["", _trace(part)]
    return "\n".join(lines)


def table(paths: Sequence[str]) -> str:
    """A Markdown table of all records in files of JSON lines, with a row per part.

    Raises:
      UserError: a file cannot be read, or a line of it is not a record.
    """
    rows = [list(COLUMNS.values()), ["---"] * TEXT + ["---:"] * (len(COLUMNS) - TEXT)]
    for path in paths:
        try:
            lines = Path(path).read_text().splitlines()
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}).") from error
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                rows += [_row(part) for part in _with_parts(record)]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UserError(
                    f"{path}, line {number} is not a record of `trm bench --out` ({error!r})."
                ) from error
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _with_parts(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the parts of a record of all parts, or the record itself."""
    if record["what"] != "all":
        yield {**record, "part": record["what"]}
        return
    yield {**{key: value for key, value in record.items() if key not in PARTS}, "part": "train"}
    about = {key: record[key] for key in SHARED}
    for part in PARTS[1:]:
        yield {**about, **record[part], "part": part}


def _row(part: dict[str, Any]) -> list[str]:
    part["date"], part["dtype"] = part["date"][:10], part["model"]["dtype"]
    peaks = ("device_peak_gib", "program_peak_gib")
    part["peak"] = next((part[key] for key in peaks if part.get(key) is not None), None)
    if part["device"].endswith("cpu"):
        part["device"] = f"{part['cores']} cores, {part['processor']}"
    return [_cell(key, part.get(key)) for key in COLUMNS]


def _cell(key: str, value: Any) -> str:
    if value is None:
        return ""
    if key == "share_of_ceiling":
        return f"{value:.1%}"
    if key == "examples_per_s":
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _lines(values: dict[str, Any]) -> list[str]:
    lines = []
    for key, value in values.items():
        if isinstance(value, dict) and key not in NOT_SHOWN:
            lines += [f"{key}.{inner:20} {each}" for inner, each in value.items()]
        elif key not in NOT_SHOWN:
            lines.append(f"{key:22} {value}")
    return lines


def _trace(part: dict[str, Any]) -> str:
    """The operations that took longest, and how to open the trace."""
    operations = part["top_operations"]
    lines = [f"{'operation':48} {'count':>6} {'ms/call':>10} {'share':>6}"] if operations else []
    for each in operations:
        name, count, share = each["operation"][:48], each["count"], each["share"]
        lines.append(f"{name:48} {count:6} {each['ms']:10.3f} {share:6.1%}")
    root = Path(part["trace"]).parents[2]
    lines.append(f"The trace of {part['part']} is in {part['trace']}. To open it:")
    lines.append(f"  pip install xprof && xprof --logdir {root}   (or tensorboard --logdir {root})")
    lines.append("  or open its .trace.json.gz at https://ui.perfetto.dev")
    return "\n".join(lines)
