"""SLURM: one sbatch script (a job array for a sweep) that requeues itself on exit code 42."""

import json
import shlex
import shutil
from pathlib import Path

from .desk import Desk, exports, fill
from .errors import LaunchError
from .hardware import Slurm
from .layout import Layout

UNREADABLE = 1


def render(layout: Layout) -> dict[str, str]:
    """Renders the sbatch script."""
    section = _section(layout)
    return {
        "job.sh": fill(
            "slurm.sh",
            DIRECTIVES="\n".join(f"#SBATCH --{words}" for words in _directives(layout, section)),
            NAME=layout.name,
            DIRECTORY=shlex.quote(section.directory),
            SETUP="\n".join(section.setup),
            SECRETS=_secrets(layout, section),
            EXPORTS=exports(layout.environment()),
            RUNS="\n".join(
                f"{index}) run=({shlex.join(run.command)}) ;;"
                for index, run in enumerate(layout.runs)
            ),
            LOGS=shlex.quote(_logs(layout)),
            RESTARTS=str(layout.job.restarts),
            COMMIT=str(layout.source),
            TASKS=str(section.nodes * section.tasks_per_node),
        )
    }


def submit(layout: Layout, desk: Desk) -> int:
    """Submits the script with sbatch, unless a job of the same name is in the queue."""
    section = _section(layout)
    queued = _queued(layout, desk)
    if queued is None:
        return UNREADABLE
    if queued:
        raise LaunchError(
            f"job {layout.name} is already in the queue as {', '.join(queued)}, and two jobs would "
            "write to the same work directory; `cancel` it first."
        )
    if not Path(section.directory).is_dir():
        raise LaunchError(
            f"slurm: directory {section.directory} does not exist here; submit on the cluster."
        )
    Path(_logs(layout)).mkdir(parents=True, exist_ok=True)
    desk.write(render(layout))
    done = desk.run(["sbatch", "--parsable", str(desk.folder / "job.sh")])
    if not done.ok:
        raise LaunchError(f"sbatch refused the job: {done.reason}")
    number = done.out.strip().split(";")[0]
    desk.remember(job=number, commit=layout.source.commit, dirty=layout.source.dirty)
    desk.say(f"job {number}; logs in {_logs(layout)}")
    return 0


def status(layout: Layout, desk: Desk) -> int:
    """Shows the job's lines in the queue, and the launcher's recorded state."""
    queued = _queued(layout, desk)
    if queued is None:
        return UNREADABLE
    desk.say(f"recorded state: {json.dumps(desk.recall())}")
    if not queued:
        desk.say(f"no job {layout.name} in the queue; see the logs for its end ({_logs(layout)})")
        return 0
    return desk.show(["squeue", "--me", f"--name={layout.name}"])


def logs(layout: Layout, desk: Desk) -> int:
    """Follows the logs."""
    paths = sorted(str(path) for path in Path(_logs(layout)).glob("*.log"))
    if not paths:
        raise LaunchError(
            f"{_logs(layout)} has no logs yet; `status` shows whether the job is queued."
        )
    return desk.show(["tail", "-n", "100", "-F", *paths])


def cancel(layout: Layout, desk: Desk) -> int:
    """Cancels the job, whose tasks save a checkpoint first."""
    queued = _queued(layout, desk)
    if queued is None:
        return UNREADABLE
    if not queued:
        desk.say(f"no job {layout.name} in the queue; nothing to cancel")
        return 0
    # scancel sends SIGTERM to the tasks, and SIGKILL after the cluster's KillWait (30 s)
    done = desk.run(["scancel", "--me", f"--name={layout.name}"])
    if not done.ok:
        raise LaunchError(f"scancel failed: {done.reason}")
    return 0


def delete(layout: Layout, desk: Desk) -> int:
    """Cancels the job and removes its logs; the work directory is kept."""
    code = cancel(layout, desk)
    if code == 0:
        for folder in (Path(_logs(layout)), desk.folder):
            shutil.rmtree(folder, ignore_errors=True)
            desk.say(f"removed {folder}; the work directory is untouched")
    return code


def _directives(layout: Layout, section: Slurm) -> list[str]:
    array = len(layout.runs) > 1
    words = {
        "job-name": layout.name,
        "nodes": section.nodes,
        "ntasks": section.nodes * section.tasks_per_node,
        "ntasks-per-node": section.tasks_per_node,
        # GPUs per node, not per task: a task that sees a single GPU calls it number 0, but JAX uses
        # the one with the task's number
        "gpus-per-node": section.gpus_per_node or None,
        "cpus-per-task": section.cpus_per_task,
        "mem": section.memory,
        "time": section.time,
        "partition": section.partition,
        "account": section.account,
        "constraint": section.constraint,
        "array": f"0-{len(layout.runs) - 1}%{section.at_once}" if array else None,
        "signal": f"B:TERM@{section.warning}",
        "open-mode": "append",
        "output": f"{_logs(layout)}/{'%A_%a' if array else '%j'}.log",
    }
    given = [f"{key}={value}" for key, value in words.items() if value is not None]
    source = layout.source
    comment = f"comment=commit={source.commit[:12]},dirty={int(source.dirty)}"
    return [*given, "requeue", *([comment] if source.commit else [])]


def _secrets(layout: Layout, section: Slurm) -> str:
    if not layout.job.secrets:
        return ""
    path = section.secrets_file
    lines = [
        f'if [ "$(stat -c %a "{path}" 2>/dev/null)" != 600 ]; then',
        f'  echo "launch: {path} must be there, with mode 600"',
        "  exit 2",
        "fi",
        "# shellcheck disable=SC1090",
        f'. "{path}"',
    ]
    lines += [f': "${{{name}:?is not set in {path}}}"' for name in layout.job.secrets]
    return "\n".join(lines)


def _queued(layout: Layout, desk: Desk) -> list[str] | None:
    """Numbers of the user's jobs with this name; None if the queue could not be read."""
    done = desk.run(
        ["squeue", "--me", "--noheader", "--format=%i", f"--name={layout.name}"], quiet=True
    )
    if not done.ok:
        desk.say(f"the queue could not be read ({done.reason}); no action taken, try again later")
        return None
    return done.out.split()


def _logs(layout: Layout) -> str:
    return f"{_section(layout).directory.rstrip('/')}/runs/launch/{layout.name}/logs"


def _section(layout: Layout) -> Slurm:
    assert layout.job.slurm is not None
    if not layout.job.slurm.directory.startswith("/"):
        raise LaunchError(
            "slurm: directory must be an absolute path, because SLURM expands nothing."
        )
    return layout.job.slurm
