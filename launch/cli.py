"""The command line `trm-launch [VERB] JOB [--engine E] ...`; __main__ lists its other names."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from . import desk, job, layout, places, source
from .errors import MISTAKE, LaunchError

VERBS = {
    "render": "print the files and commands without running them (the default)",
    "submit": "start the job, or resume it",
    "status": "print the state of the job",
    "logs": "follow the output of the job",
    "cancel": "stop the job after it saves a checkpoint; `submit` resumes it",
    "delete": "release the hardware and forget the job; its work directory is kept",
}
CLONES = ("tpu", "sky")
"""Engines whose machines clone the repository at a commit."""
INSTALLS = (*CLONES, "gke")
"""Engines whose machines get the code from a commit or image, not from this checkout."""


def main(arguments: Sequence[str] | None = None, prog: str = "trm-launch") -> int:
    """Runs one command line and returns the exit code.

    Args:
      arguments: the arguments; None for those of this process.
      prog: name of the program, for the help.
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
        desk.error("launcher stopped; a submitted job continues (`status`, `cancel`, `delete`)")
        return 130


def _is_job(words: Sequence[str]) -> bool:
    """Whether the verb is left out: the first word is a file name, or the only positional one."""
    if not words or words[0] in VERBS or words[0].startswith("-"):
        return False
    alone = len(words) == 1 or words[1].startswith("-")
    return alone or words[0].endswith(places.SUFFIXES)


def module_of(engine: str) -> ModuleType:
    """The module that implements the verbs for an engine."""
    return importlib.import_module(f".{engine}", __package__)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Starts, watches and stops training jobs on clusters, clouds or this machine.\n"
        f"{places.README} has an example for each engine.\n\nverbs:\n"
        + "\n".join(f"  {verb:8}{does}" for verb, does in VERBS.items())
        + "\n\nready-made jobs:\n"
        + "\n".join(f"  {name}" for name in places.ready_jobs()),
        epilog="Exit codes: 0 success; 1 the state could not be read, or the hardware failed;\n"
        "2 wrong usage or input; 130 Ctrl-C. `submit` with an engine that watches the job\n"
        "(tpu, local) returns the exit code of `trm train`.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "verb", choices=list(VERBS), metavar="VERB", help="one of the verbs above; default: render"
    )
    parser.add_argument("job", metavar="JOB", help="a job file, or the name of a ready-made job")
    group = parser.add_argument_group("job")
    group.add_argument(
        "--engine",
        choices=job.ENGINES,
        help="hardware section of the job file to use; required if it has several",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of the job file, as in --set tpu.zone=us-west4-a; may be repeated",
    )
    group = parser.add_argument_group("sweep")
    group.add_argument(
        "--sweep",
        metavar="FILE.py[:NAME]",
        help="start one run per entry of a sweep, given as a Python file or a JSON list of runs",
    )
    group.add_argument(
        "--seeds", type=int, default=3, help="number of seeds per variant of a sweep; default: 3"
    )
    group = parser.add_argument_group("render and submit")
    group.add_argument(
        "--out", type=Path, metavar="DIR", help="with render: write the files to this directory"
    )
    group.add_argument(
        "--allow-dirty",
        action="store_true",
        help="submit although files differ from the commit; the machines run the commit",
    )
    group.add_argument(
        "--every",
        type=float,
        default=30.0,
        metavar="S",
        help="seconds between two checks of the job's state; default: 30",
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
            f"{values.job} still has {', '.join(left)}; replace them by your own values, or pass "
            "these with --set."
        )
    table = desk.Desk(Path("runs") / "launch" / made.name / engine, values.every)
    if values.verb == "submit":
        _check_source(made.source, engine, values.allow_dirty)
        if not made.source.commit:
            table.say("no commit is recorded: this is not a clone, and `code:` has no `commit`")
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
    """Refuses to submit code that the machines would not get."""
    if code == source.LEFT_OPEN:
        raise LaunchError(
            f"the commit is unknown, because the launcher is not run from a clone, but {engine}'s "
            "machines clone the repository at a commit; write it as `commit` under `code:` in the "
            "job file, or pass --set code.commit=... with its 40 hexadecimal digits."
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
