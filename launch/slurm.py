"""SLURM: one sbatch script, an array of it for a sweep; it requeues itself on exit code 42."""

import json
import shlex
import shutil
from pathlib import Path

from launch.desk import Desk, exports, fill
from launch.errors import LaunchError
from launch.hardware import Slurm
from launch.plan import Plan

UNREADABLE = 1


def render(plan: Plan) -> dict[str, str]:
    """The script."""
    section = _section(plan)
    return {
        "job.sh": fill(
            "slurm.sh",
            DIRECTIVES="\n".join(f"#SBATCH --{words}" for words in _directives(plan, section)),
            NAME=plan.name,
            DIRECTORY=shlex.quote(section.directory),
            SETUP="\n".join(section.setup),
            SECRETS=_secrets(plan, section),
            EXPORTS=exports(plan.environment()),
            RUNS="\n".join(
                f"{index}) run=({shlex.join(run.command)}) ;;"
                for index, run in enumerate(plan.runs)
            ),
            LOGS=shlex.quote(_logs(plan)),
            RESTARTS=str(plan.job.restarts),
            COMMIT=plan.source.commit + (" and uncommitted changes" if plan.source.dirty else ""),
            TASKS=str(section.nodes * section.tasks_per_node),
        )
    }


def submit(plan: Plan, desk: Desk) -> int:
    """Hands the script to sbatch, unless a job of that name is in the queue."""
    section = _section(plan)
    queued = _queued(plan, desk)
    if queued is None:
        return UNREADABLE
    if queued:
        raise LaunchError(
            f"job {plan.name} is in the queue as {', '.join(queued)}, and two of them would write "
            "to one work directory; `cancel` it first."
        )
    if not Path(section.directory).is_dir():
        raise LaunchError(
            f"slurm: directory {section.directory} is not there; submit on the cluster."
        )
    Path(_logs(plan)).mkdir(parents=True, exist_ok=True)
    desk.write(render(plan))
    done = desk.run(["sbatch", "--parsable", str(desk.folder / "job.sh")])
    if not done.ok:
        raise LaunchError(f"sbatch refused the job: {done.reason}")
    number = done.out.strip().split(";")[0]
    desk.remember(job=number, commit=plan.source.commit, dirty=plan.source.dirty)
    desk.say(f"job {number}; logs in {_logs(plan)}")
    return 0


def status(plan: Plan, desk: Desk) -> int:
    """Shows the job's lines of the queue, and what the launcher remembers."""
    queued = _queued(plan, desk)
    if queued is None:
        return UNREADABLE
    desk.say(f"remembered: {json.dumps(desk.recall())}")
    if not queued:
        desk.say(f"no job {plan.name} in the queue; its end is in the logs ({_logs(plan)})")
        return 0
    return desk.show(["squeue", "--me", f"--name={plan.name}"])


def logs(plan: Plan, desk: Desk) -> int:
    """Follows the logs."""
    paths = sorted(str(path) for path in Path(_logs(plan)).glob("*.log"))
    if not paths:
        raise LaunchError(f"{_logs(plan)} holds no logs yet; `status` says whether the job waits.")
    return desk.show(["tail", "-n", "100", "-F", *paths])


def cancel(plan: Plan, desk: Desk) -> int:
    """Asks the tasks to checkpoint, and takes the job out of the queue when they have."""
    queued = _queued(plan, desk)
    if queued is None:
        return UNREADABLE
    if not queued:
        desk.say(f"no job {plan.name} in the queue; nothing to cancel")
        return 0
    # Plain scancel sends SIGTERM to the tasks and SIGKILL after the cluster's KillWait (30 s).
    done = desk.run(["scancel", "--me", f"--name={plan.name}"])
    if not done.ok:
        raise LaunchError(f"scancel failed: {done.reason}")
    return 0


def delete(plan: Plan, desk: Desk) -> int:
    """Cancels the job and removes its logs; the work directory stays."""
    code = cancel(plan, desk)
    if code == 0:
        for folder in (Path(_logs(plan)), desk.folder):
            shutil.rmtree(folder, ignore_errors=True)
            desk.say(f"removed {folder}; the work directory is untouched")
    return code


def _directives(plan: Plan, section: Slurm) -> list[str]:
    array = len(plan.runs) > 1
    words = {
        "job-name": plan.name,
        "nodes": section.nodes,
        "ntasks": section.nodes * section.tasks_per_node,
        "ntasks-per-node": section.tasks_per_node,
        # GPUs of the node and not of the task: a task that sees one GPU only calls it number 0,
        # while JAX asks for the one that has the task's number.
        "gpus-per-node": section.gpus_per_node or None,
        "cpus-per-task": section.cpus_per_task,
        "mem": section.memory,
        "time": section.time,
        "partition": section.partition,
        "account": section.account,
        "constraint": section.constraint,
        "array": f"0-{len(plan.runs) - 1}%{section.at_once}" if array else None,
        "signal": f"B:TERM@{section.warning}",
        "open-mode": "append",
        "output": f"{_logs(plan)}/{'%A_%a' if array else '%j'}.log",
    }
    comment = f"commit={plan.source.commit[:12]},dirty={int(plan.source.dirty)}"
    given = [f"{key}={value}" for key, value in words.items() if value is not None]
    return [*given, "requeue", f"comment={comment}"]


def _secrets(plan: Plan, section: Slurm) -> str:
    if not plan.job.secrets:
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
    lines += [f': "${{{name}:?is not set in {path}}}"' for name in plan.job.secrets]
    return "\n".join(lines)


def _queued(plan: Plan, desk: Desk) -> list[str] | None:
    """Numbers of the user's jobs of that name, or None if the queue could not be read."""
    done = desk.run(
        ["squeue", "--me", "--noheader", "--format=%i", f"--name={plan.name}"], quiet=True
    )
    if not done.ok:
        desk.say(f"the queue could not be read ({done.reason}); nothing is done, try again later")
        return None
    return done.out.split()


def _logs(plan: Plan) -> str:
    return f"{_section(plan).directory.rstrip('/')}/runs/launch/{plan.name}/logs"


def _section(plan: Plan) -> Slurm:
    assert plan.job.slurm is not None
    if not plan.job.slurm.directory.startswith("/"):
        raise LaunchError(
            "slurm: directory must be an absolute path, because SLURM expands nothing."
        )
    return plan.job.slurm
