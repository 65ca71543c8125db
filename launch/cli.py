"""The command line: `python -m launch [VERB] JOB.yaml [--engine E] ...`."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from launch import desk, job, plan, source
from launch.errors import MISTAKE, LaunchError

VERBS = {
    "render": "print what would be submitted; touches nothing (the default)",
    "submit": "start the job, or go on with it",
    "status": "say how it stands",
    "logs": "follow what it prints",
    "cancel": "stop it; it checkpoints first, and `submit` goes on",
    "delete": "give the hardware back and forget the job; its work directory stays",
}
MODULES = {engine: f"launch.{engine}" for engine in job.ENGINES}
INSTALLS = ("tpu", "gke", "sky")
"""Engines whose machines get the code by commit or image and not from this checkout."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line (None: this process's) and returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] not in VERBS and words[0].endswith((".yaml", ".yml")):
        words.insert(0, "render")
    values = _parser().parse_args(words)
    try:
        return _run(values)
    except LaunchError as error:
        desk.error(str(error))
        return MISTAKE
    except KeyboardInterrupt:
        desk.error("stopped here; what was submitted is not touched (`status`, `cancel`, `delete`)")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m launch",
        description="Starts training jobs; launch/README.md has a line for each engine.",
        epilog="Verbs: " + "; ".join(f"{verb}: {does}" for verb, does in VERBS.items()) + ".",
    )
    parser.add_argument("verb", choices=list(VERBS), metavar="VERB", help=", ".join(VERBS))
    parser.add_argument("job", type=Path, metavar="JOB.yaml", help="the job file")
    parser.add_argument(
        "--engine",
        choices=job.ENGINES,
        help="which hardware section to use; needed where the job file has several",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change the job, as in --set tpu.zone=us-west4-a; may be given again",
    )
    parser.add_argument("--sweep", metavar="FILE.py[:NAME]", help="or a JSON list of runs")
    parser.add_argument("--seeds", type=int, default=3, help="of each run of a sweep; default 3")
    parser.add_argument("--out", type=Path, metavar="DIR", help="render: write files, not text")
    parser.add_argument(
        "--allow-dirty",
        action="store_true",
        help="submit though files differ from the commit, which is what the machines get",
    )
    parser.add_argument(
        "--every", type=float, default=30.0, metavar="S", help="seconds between reads; default 30"
    )
    return parser


def _run(values: argparse.Namespace) -> int:
    wanted = job.load(values.job, values.set)
    engine = _engine(wanted, values.engine)
    sweep = plan.read_sweep(values.sweep, values.seeds) if values.sweep else ()
    made = plan.make(wanted, source.of(plan.ROOT, wanted.code.commit), sweep)
    module = importlib.import_module(MODULES[engine])
    if values.verb == "render":
        return _render(module.render(made), values.out)
    if values.out is not None:
        raise LaunchError("--out is for `render`; the other verbs write to runs/launch.")
    files = module.render(made)
    left = job.placeholders([*files.values(), wanted.workdir])
    if left:
        raise LaunchError(
            f"{values.job} still has {', '.join(left)}; write your own values there, or pass "
            "them with --set."
        )
    if values.verb == "submit" and engine in INSTALLS:
        _check_clean(made.source, values.allow_dirty)
    table = desk.Desk(Path("runs") / "launch" / made.name / engine, values.every)
    return _act(module, values.verb, made, table)


def _engine(wanted: job.Job, asked: str | None) -> str:
    engines = wanted.engines
    if asked is None and len(engines) == 1:
        return engines[0]
    if asked is None:
        raise LaunchError(
            f"the job has {' and '.join(engines) or 'no hardware sections'}; "
            f"choose with --engine, one of {', '.join(engines or job.ENGINES)}."
        )
    if asked not in engines:
        raise LaunchError(
            f"the job has no section `{asked}:`; it has {', '.join(engines) or 'none'}. "
            f"launch/jobs has an example for each engine."
        )
    return asked


def _check_clean(code: source.Source, allowed: bool) -> None:
    if code.dirty and not allowed:
        raise LaunchError(
            f"files here differ from commit {code.commit[:12]}, which is what the machines get; "
            "commit and push them, or pass --allow-dirty to run the commit without them."
        )


def _render(files: dict[str, str], out: Path | None) -> int:
    if out is not None:
        desk.Desk(out).write(files)
        print("\n".join(str(out / name) for name in files))
        return 0
    several = len(files) > 1
    for name, text in files.items():
        print(f"##### {name}\n{text}" if several else text, end="\n" if several else "")
    return 0


def _act(module: ModuleType, verb: str, made: plan.Plan, table: desk.Desk) -> int:
    act = getattr(module, verb)
    return int(act(made, table))
