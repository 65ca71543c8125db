"""Cloud TPU queued resources: rendering, and the verbs.

The API only gets fixes and ends at v6e; for later TPUs use GKE (`gke`).
"""

import os
import shlex

from . import tpu_read, tpu_slices
from .desk import Desk, exports, fill
from .errors import LaunchError
from .hardware import Tpu
from .layout import Layout
from .tpu_drive import Driver

UNREADABLE = 1


def render(layout: Layout) -> dict[str, str]:
    """Renders the two scripts for the workers, and the commands that `submit` runs."""
    section = section_of(layout)
    runs = [f"  {run.name}) words=({shlex.join(run.command)}) ;;" for run in layout.runs]
    return {
        "startup.sh": fill(
            "startup.sh",
            COMMIT=layout.source.commit,
            REPOSITORY=shlex.quote(layout.job.code.repository or ""),
            EXTRA=layout.job.code.extra or "tpu",
        ),
        "worker.sh": fill(
            "worker.sh",
            NAME=layout.name,
            COMMIT=layout.source.commit,
            RUNS="\n".join(runs),
            EXPORTS="\n".join(
                # lines of a multi-line value are not indented
                f"  {exports({key: value})}"
                for key, value in layout.environment().items()
            ),
            SECRETS="\n".join(_secret(name, section) for name in layout.job.secrets),
            GRACE="60",
        ),
        "commands.sh": _commands(layout),
    }


def submit(layout: Layout, desk: Desk) -> int:
    """Requests the slices, runs the job on them to its end, and deletes them."""
    with desk.only_one():
        (desk.folder / "cancelled").unlink(missing_ok=True)
        desk.write(render(layout))
        desk.remember(pid=os.getpid(), commit=layout.source.commit, dirty=layout.source.dirty)
        return Driver(layout, desk).drive()


def status(layout: Layout, desk: Desk) -> int:
    """Prints the cloud's state of the job, and the launcher's recorded state."""
    reader = tpu_read.Reader(layout, desk)
    seen = reader.resource()
    why = f" ({seen.why})" if seen.why else ""
    desk.say(f"queued resource {layout.name}: {seen.state}{why}")
    for key, value in desk.recall().items():
        desk.say(f"{key}: {value}")
    desk.say("a launcher is running" if desk.held() else "no launcher is running")
    return UNREADABLE if seen.state == tpu_read.UNKNOWN else 0


def logs(layout: Layout, desk: Desk) -> int:
    """Follows the log of worker 0 of the first slice."""
    node = tpu_read.nodes(layout)[0]
    words = tpu_read.ssh(layout, node, f"tail -n 100 -F trm-{layout.name}/log.txt", "0")
    return desk.show(words)


def cancel(layout: Layout, desk: Desk) -> int:
    """Stops all workers after a checkpoint; a running launcher then deletes the slices."""
    facts = desk.recall()
    desk.folder.mkdir(parents=True, exist_ok=True)
    (desk.folder / "cancelled").touch()
    if desk.held():
        desk.say("the launcher stops the workers at its next check, then deletes the slices")
        return 0
    run = layout.runs[min(int(facts.get("run", 0)), len(layout.runs) - 1)].name
    reader = tpu_read.Reader(layout, desk)
    stopped = reader.workers("stop", run, int(facts.get("attempt", 0)))
    if stopped is None:
        desk.say("not all workers could be reached; try again, or `delete` the slices")
        return UNREADABLE
    desk.say("the workers have stopped; the slices still cost money until `delete`")
    return 0


def delete(layout: Layout, desk: Desk) -> int:
    """Deletes the slices and the launcher's recorded state; the work directory is kept."""
    if desk.held():
        raise LaunchError(
            "a launcher is running the job and would request new slices; `cancel` it first."
        )
    reader = tpu_read.Reader(layout, desk)
    seen = reader.resource()
    if seen.state == tpu_read.UNKNOWN:
        desk.say(f"the state could not be read ({seen.why}); no action taken, try again later")
        return UNREADABLE
    if seen.state == tpu_read.ABSENT:
        desk.say(f"no queued resource {layout.name}; nothing to delete")
    elif not reader.delete():
        desk.say("it is not deleted yet; check again with `status`")
        return UNREADABLE
    (desk.folder / "state.json").unlink(missing_ok=True)
    return 0


def section_of(layout: Layout) -> Tpu:
    """The hardware section of the job.

    Raises:
      LaunchError: the repository is missing, or several hosts have no shared work directory.
    """
    assert layout.job.tpu is not None
    if layout.job.code.repository is None:
        raise LaunchError("code: `repository` is missing; the workers clone the code from it.")
    slice_ = tpu_slices.of_accelerator(layout.job.tpu.accelerator)
    if slice_.hosts * layout.job.tpu.slices > 1 and "://" not in layout.job.workdir:
        raise LaunchError(
            f"workdir {layout.job.workdir!r} must be a bucket (gs://...), because "
            f"{slice_.hosts * layout.job.tpu.slices} hosts share it."
        )
    return layout.job.tpu


def _commands(layout: Layout) -> str:
    """A script with the commands that `submit` runs if nothing fails."""
    lines = [
        "#!/bin/bash",
        "# What `submit` runs when nothing goes wrong; it reads the state first.",
    ]
    lines += ["set -e", "", "# ask for the slices, and wait until the state is ACTIVE"]
    asking = (tpu_read.create(layout, "startup.sh"), tpu_read.listing(layout))
    lines += [*map(_wrapped, asking), ""]
    lines.append(
        "# once the workers are there: bring the script, wait for `waiting`, start each run"
    )
    for node in tpu_read.nodes(layout):
        lines.append(_wrapped(tpu_read.copy(layout, node, "worker.sh")))
        for run in layout.runs:
            for verb in ("state", "start"):
                call = tpu_read.call(layout, verb, run.name, 1)
                lines.append(_wrapped(tpu_read.ssh(layout, node, call)))
    lines += ["", "# at the end: the log, and the slices go back"]
    for node in tpu_read.nodes(layout):
        lines.append(_wrapped(tpu_read.fetch(layout, node, f"{node}.log")))
    return "\n".join([*lines, _wrapped(tpu_read.remove(layout)), ""])


def _wrapped(words: list[str]) -> str:
    quoted = [shlex.quote(word) for word in words]
    plain = next(i for i, word in enumerate(words) if word.startswith("--"))
    return " ".join(quoted[:plain]) + "".join(f" \\\n  {word}" for word in quoted[plain:])


def _secret(name: str, section: Tpu) -> str:
    fetch = f"gcloud secrets versions access latest --secret={name}"
    return f'  {name}="$({fetch} --project={section.project})" || exit 2\n  export {name}'
