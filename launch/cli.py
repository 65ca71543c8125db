"""The command line: `trm-launch [VERB] JOB [--engine E] ...`; see __main__ for its other names."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from . import desk, job, layout, places, source
from .errors import MISTAKE, LaunchError

VERBS = {
    "render": "print what would be submitted; touches nothing (the default)",
    "submit": "start the job, or go on with it",
    "status": "say how it stands",
    "logs": "follow what it prints",
    "cancel": "stop it; it checkpoints first, and `submit` goes on",
    "delete": "give the hardware back and forget the job; its work directory stays",
}
CLONES = ("tpu", "sky")
"""Engines whose machines clone the code at a commit."""
INSTALLS = (*CLONES, "gke")
"""Engines whose machines get the code by commit or image and not from this checkout."""


def main(arguments: Sequence[str] | None = None, prog: str = "trm-launch") -> int:
    """Runs one command line and returns the exit code.

    Args:
      arguments: None for this process's.
      prog: what the user typed, for the help.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if _is_job(words):
        words.insert(0, "render")
    values = _parser(prog).parse_args(words)
    try:
        return _run(values)
    except LaunchError as error:
        desk.error(str(error))
        return MISTAKE
    except KeyboardInterrupt:
        desk.error("stopped here; what was submitted is not touched (`status`, `cancel`, `delete`)")
        return 130


def _is_job(words: Sequence[str]) -> bool:
    """Whether the verb was left out: the first word is a file's name, or stands alone."""
    if not words or words[0] in VERBS or words[0].startswith("-"):
        return False
    alone = len(words) == 1 or words[1].startswith("-")
    return alone or words[0].endswith(places.SUFFIXES)


def module_of(engine: str) -> ModuleType:
    """The module with the engine's verbs."""
    return importlib.import_module(f".{engine}", __package__)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=f"Starts training jobs; {places.README} has a line for each engine.",
        epilog="Verbs: "
        + "; ".join(f"{verb}: {does}" for verb, does in VERBS.items())
        + f". Ready-made jobs: {', '.join(places.ready_jobs())}.",
    )
    parser.add_argument("verb", choices=list(VERBS), metavar="VERB", help=", ".join(VERBS))
    parser.add_argument("job", metavar="JOB", help="a job file, or a ready-made one's name")
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
    wanted = job.load(places.job_file(values.job), values.set)
    engine = _engine(wanted, values.engine)
    sweep = layout.read_sweep(values.sweep, values.seeds) if values.sweep else ()
    made = layout.make(wanted, _source(wanted, engine), sweep)
    module = module_of(engine)
    if values.verb == "render":
        return _render(module.render(made), values.out)
    if values.out is not None:
        raise LaunchError("--out is for `render`; the other verbs write to runs/launch.")
    files = module.render(made)
    left = job.placeholders([*files.values(), wanted.workdir])
    if left := [word for word in left if word != source.LEFT_OPEN.commit]:
        raise LaunchError(
            f"{values.job} still has {', '.join(left)}; write your own values there, or pass "
            "them with --set."
        )
    table = desk.Desk(Path("runs") / "launch" / made.name / engine, values.every)
    if values.verb == "submit":
        _check_source(made.source, engine, values.allow_dirty)
        if not made.source.commit:
            table.say("no commit is recorded: this is no clone, and `code:` has no `commit`")
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
            f"For every engine there is a ready-made job: {', '.join(places.ready_jobs())}."
        )
    return asked


def _source(wanted: job.Job, engine: str) -> source.Source:
    found = source.of(places.ABOVE, wanted.code.commit)
    return source.LEFT_OPEN if engine in CLONES and not found.commit else found


def _check_source(code: source.Source, engine: str, dirty_allowed: bool) -> None:
    """Refuses to submit what the machines would not get."""
    if code == source.LEFT_OPEN:
        raise LaunchError(
            f"no commit is known, because the launcher is not run from a clone, and {engine}'s "
            "machines clone the repository at one; write it as `commit` under `code:` in the job "
            "file, or pass --set code.commit=... with its 40 hexadecimal digits."
        )
    if code.dirty and engine in INSTALLS and not dirty_allowed:
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


def _act(module: ModuleType, verb: str, made: layout.Layout, table: desk.Desk) -> int:
    act = getattr(module, verb)
    return int(act(made, table))
