"""The results of a session so far, as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from trm_jax.bench.comparison import PEER, PeerTurns, Variant, compared
from trm_jax.bench.ledger import Ledger
from trm_jax.bench.session_training import searched

COLUMNS = ("seconds", "peer/ours", "examples/s", "TFLOP/s", "of ceiling", "peak GiB", "compile s")


def page(ledger: Ledger, wanted: Sequence[Variant | PeerTurns]) -> str:
    """Tables of the variants and the peer, of training and of its evaluations.

    Args:
      ledger: the results so far.
      wanted: everything to be timed, in the order of the lines.
    """
    lines = [f"| variant | {' | '.join(COLUMNS)} |", f"| --- |{' ---: |' * len(COLUMNS)}"]
    cards = {str(each["device"]) for each in ledger.all() if "device" in each}
    for item in wanted:
        if isinstance(item, Variant):
            lines.append(_variant(ledger, item.name))
        else:
            lines += [_row(each["name"], _numbers(each), each) for each in turns(ledger, item.name)]
    lines += ["", f"On {', '.join(sorted(cards)) or 'nothing yet'}."]
    lines += _profiles(ledger, wanted)
    lines += _training(ledger)
    return "\n".join(lines) + "\n"


def turns(ledger: Ledger, name: str) -> list[dict[str, Any]]:
    """The peer's turns at a shape; `name` is SHAPE/peer."""
    return [each for each in ledger.all() if each["name"].startswith(f"{name}/")]


def _variant(ledger: Ledger, name: str) -> str:
    found = ledger.get(name)
    if found is None:
        return f"| {name} | not done |{' |' * (len(COLUMNS) - 1)}"
    peers = turns(ledger, f"{name.rpartition('/')[0]}/{PEER}")
    return _row(name, _numbers({**found, **compared(found, peers)}), found)


def _row(name: str, cells: Sequence[str], found: Mapping[str, Any]) -> str:
    if "failed" in found:
        why = str(found["failed"]).replace("|", "/")
        return f"| {name} | FAILED: {why} |{' |' * (len(COLUMNS) - 1)}"
    return f"| {name} | {' | '.join(cells)} |"


def _numbers(found: Mapping[str, Any]) -> list[str]:
    peaks = (found.get(key) for key in ("device_peak_gib", "program_peak_gib", "peak_gib"))
    peak = next((each for each in peaks if each is not None), None)
    ratio = _shown(found.get("ratio"), ".3f")
    if "other_work" in found:
        ratio += f" (the peer's work is {found['other_work']:g} times ours)"
    return [
        _shown(found.get("seconds"), ".5g"),
        ratio,
        _shown(found.get("examples_per_s"), ",.1f"),
        _shown(found.get("tflops_per_s"), ".4g"),
        _shown(found.get("share_of_ceiling"), ".1%"),
        _shown(peak, ".3g"),
        _shown(found.get("compile_seconds"), ".3g"),
    ]


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _profiles(ledger: Ledger, wanted: Sequence[Variant | PeerTurns]) -> list[str]:
    lines: list[str] = []
    for item in wanted:
        found = (ledger.get(item.name) or {}).get("top_operations")
        if found:
            lines += ["", f"Time of {item.name} by operation:", ""]
            lines += ["| operation | count | ms | share |", "| --- | ---: | ---: | ---: |"]
            lines += [
                f"| {each['operation'].replace('|', '/')} | {each['count']} | {each['ms']:.3f} | "
                f"{each['share']:.1%} |"
                for each in found
            ]
    return lines


def _training(ledger: Ledger) -> list[str]:
    lines: list[str] = []
    trained, weights = ledger.get("train"), ledger.get("weights")
    if weights:
        lines += ["", f"The newest weights are from update {weights['step']:,}."]
    if trained:
        numbers = {k: v for k, v in trained.items() if k not in ("name", "at", "failed", "code")}
        told = ", ".join(f"{key} {value:.5g}" for key, value in numbers.items())
        failed = f"; FAILED: {trained['failed']}" if "failed" in trained else ""
        lines += ["", f"The last training: {told}{failed}."]
    for found in ledger.all():
        if found["name"].startswith("eval/"):
            lines += ["", f"{found['name']} of checkpoint {found['checkpoint']}: {_score(found)}"]
    return lines


def _score(found: Mapping[str, Any]) -> str:
    if "failed" in found:
        return f"FAILED: {found['failed']}"
    depths = {row["depth"]: row["exact_accuracy"] for row in found.get("by_depth") or ()}
    parts = [f"{found['exact_accuracy']:.2%} of {found['examples']}"]
    parts += [f"at {depth}: {depths[depth]:.2%}" for depth in (1, 4, 16, 64) if depth in depths]
    ways = found.get("by_selection") or {}  # how one of several rollouts is selected
    parts += [f"by {name}: {exact:.2%}" for name, exact in ways.items() if exact is not None]
    parts[0] += searched(found)
    rate = found["examples"] / found["seconds"] if found.get("seconds") else 0.0
    return "; ".join([*parts, f"{rate:,.1f} puzzles/s with compilation"])
