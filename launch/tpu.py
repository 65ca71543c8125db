"""Cloud TPU queued resources: what is rendered, and the verbs.

The API gets fixes only and ends at v6e; later TPUs are served by GKE (`gke`).
"""

import os
import shlex

from launch import topology, tpu_read
from launch.desk import Desk, exports, fill
from launch.errors import LaunchError
from launch.hardware import Tpu
from launch.plan import Plan
from launch.tpu_drive import Driver

UNREADABLE = 1


def render(plan: Plan) -> dict[str, str]:
    """The two scripts that go to the workers, and the commands that `submit` runs."""
    section = section_of(plan)
    runs = [f"  {run.name}) words=({shlex.join(run.command)}) ;;" for run in plan.runs]
    return {
        "startup.sh": fill(
            "startup.sh",
            COMMIT=plan.source.commit,
            REPOSITORY=shlex.quote(plan.job.code.repository or ""),
            EXTRA=plan.job.code.extra or "tpu",
        ),
        "worker.sh": fill(
            "worker.sh",
            NAME=plan.name,
            COMMIT=plan.source.commit,
            RUNS="\n".join(runs),
            EXPORTS="\n".join("  " + line for line in exports(plan.environment()).splitlines()),
            SECRETS="\n".join(_secret(name, section) for name in plan.job.secrets),
            GRACE="60",
        ),
        "commands.sh": _commands(plan),
    }


def submit(plan: Plan, desk: Desk) -> int:
    """Asks for the slices, runs the job on them to its end, and deletes them."""
    with desk.only_one():
        (desk.folder / "cancelled").unlink(missing_ok=True)
        desk.write(render(plan))
        desk.remember(pid=os.getpid(), commit=plan.source.commit, dirty=plan.source.dirty)
        return Driver(plan, desk).drive()


def status(plan: Plan, desk: Desk) -> int:
    """Says what the cloud says, and what the launcher remembers."""
    reader = tpu_read.Reader(plan, desk)
    seen = reader.resource()
    desk.say(f"queued resource {plan.name}: {seen.state}" + (f" ({seen.why})" if seen.why else ""))
    for key, value in desk.recall().items():
        desk.say(f"{key}: {value}")
    desk.say("a launcher drives it" if desk.held() else "no launcher drives it")
    return UNREADABLE if seen.state == tpu_read.UNKNOWN else 0


def logs(plan: Plan, desk: Desk) -> int:
    """Follows the log of worker 0 of the first slice."""
    node = tpu_read.nodes(plan)[0]
    words = tpu_read.ssh(plan, node, f"tail -n 100 -F trm-{plan.name}/log.txt", "0")
    return desk.show(words)


def cancel(plan: Plan, desk: Desk) -> int:
    """Asks all workers to checkpoint and stop; a launcher that drives them deletes the slices."""
    facts = desk.recall()
    desk.folder.mkdir(parents=True, exist_ok=True)
    (desk.folder / "cancelled").touch()
    if desk.held():
        desk.say("the launcher stops the workers at its next look, then deletes the slices")
        return 0
    run = plan.runs[min(int(facts.get("run", 0)), len(plan.runs) - 1)].name
    reader = tpu_read.Reader(plan, desk)
    stopped = reader.workers("stop", run, int(facts.get("attempt", 0)))
    if stopped is None:
        desk.say("not all workers could be reached; try again, or `delete` the slices")
        return UNREADABLE
    desk.say("the workers have stopped; the slices still cost money until `delete`")
    return 0


def delete(plan: Plan, desk: Desk) -> int:
    """Deletes the slices and what the launcher remembers; the work directory stays."""
    if desk.held():
        raise LaunchError("a launcher drives the job and would ask for new slices; `cancel` first.")
    reader = tpu_read.Reader(plan, desk)
    seen = reader.resource()
    if seen.state == tpu_read.UNKNOWN:
        desk.say(f"the state could not be read ({seen.why}); nothing is done, try again later")
        return UNREADABLE
    if seen.state == tpu_read.ABSENT:
        desk.say(f"no queued resource {plan.name}; nothing to delete")
    elif not reader.delete():
        desk.say("it is not gone yet; look again with `status`")
        return UNREADABLE
    (desk.folder / "state.json").unlink(missing_ok=True)
    return 0


def section_of(plan: Plan) -> Tpu:
    """The hardware section."""
    assert plan.job.tpu is not None
    if plan.job.code.repository is None:
        raise LaunchError("code: `repository` is missing; the workers clone the code from it.")
    slice_ = topology.of_accelerator(plan.job.tpu.accelerator)
    if slice_.hosts * plan.job.tpu.slices > 1 and "://" not in plan.job.workdir:
        raise LaunchError(
            f"workdir {plan.job.workdir!r} must be a bucket (gs://...), because "
            f"{slice_.hosts * plan.job.tpu.slices} hosts share it."
        )
    return plan.job.tpu


def _commands(plan: Plan) -> str:
    """What `submit` runs when nothing goes wrong, to be read or run by hand."""
    lines = [
        "#!/bin/bash",
        "# What `submit` runs when nothing goes wrong; it reads the state first.",
    ]
    lines += ["set -e", "", "# ask for the slices, and wait until the state is ACTIVE"]
    lines += [_wrapped(tpu_read.create(plan, "startup.sh")), _wrapped(tpu_read.listing(plan)), ""]
    lines.append(
        "# once the workers are there: bring the script, wait for `waiting`, start each run"
    )
    for node in tpu_read.nodes(plan):
        lines.append(_wrapped(tpu_read.copy(plan, node, "worker.sh")))
        for run in plan.runs:
            for verb in ("state", "start"):
                call = tpu_read.call(plan, verb, run.name, 1)
                lines.append(_wrapped(tpu_read.ssh(plan, node, call)))
    lines += ["", "# at the end: the log, and the slices go back"]
    for node in tpu_read.nodes(plan):
        lines.append(_wrapped(tpu_read.fetch(plan, node, f"{node}.log")))
    return "\n".join([*lines, _wrapped(tpu_read.remove(plan)), ""])


def _wrapped(words: list[str]) -> str:
    quoted = [shlex.quote(word) for word in words]
    plain = next(i for i, word in enumerate(words) if word.startswith("--"))
    return " ".join(quoted[:plain]) + "".join(f" \\\n  {word}" for word in quoted[plain:])


def _secret(name: str, section: Tpu) -> str:
    fetch = f"gcloud secrets versions access latest --secret={name}"
    return f'  {name}="$({fetch} --project={section.project})" || exit 2\n  export {name}'
