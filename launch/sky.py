"""SkyPilot: one managed job, which starts again elsewhere when a spot machine is taken away."""

import shlex
from typing import Any

from launch import yaml_text
from launch.desk import Desk
from launch.errors import RESTART, LaunchError
from launch.hardware import Sky
from launch.plan import Plan, Run

PORT = 8476
SETUP = """\
set -e
if [ ! -d trm_jax ]; then git clone {repository} trm_jax; fi
cd trm_jax
git fetch --quiet origin
git checkout --quiet {commit}
pip install --quiet uv
uv venv --quiet --allow-existing --python 3.12 "$HOME/trm-venv"
uv pip install --quiet --python "$HOME/trm-venv/bin/python" -e '.[{extra}]' gcsfs
"""
PLACE = """\
TRM_COORDINATOR="$(echo "$SKYPILOT_NODE_IPS" | head -n1):{port}"
export TRM_COORDINATOR TRM_NUM_PROCESSES="$SKYPILOT_NUM_NODES" TRM_PROCESS_ID="$SKYPILOT_NODE_RANK"
"""


def render(plan: Plan) -> dict[str, str]:
    """One file for each run."""
    return {f"{run.name}.yaml": yaml_text.dump(_task(plan, run)) for run in plan.runs}


def submit(plan: Plan, desk: Desk) -> int:
    """Hands the jobs to SkyPilot; the values of secrets come from this shell's environment."""
    files = render(plan)
    desk.write(files)
    secrets = [word for name in plan.job.secrets for word in ("--secret", name)]
    for run in plan.runs:
        path = str(desk.folder / f"{run.name}.yaml")
        words = ["sky", "jobs", "launch", "--yes", "--detach-run", "--name", run.name]
        if desk.show([*words, *secrets, path]):
            raise LaunchError(f"SkyPilot refused {run.name}; what it said is above.")
    desk.remember(commit=plan.source.commit, dirty=plan.source.dirty)
    return 0


def status(plan: Plan, desk: Desk) -> int:
    """Shows SkyPilot's queue."""
    return desk.show(["sky", "jobs", "queue"])


def logs(plan: Plan, desk: Desk) -> int:
    """Follows the first run; a sweep's others are followed by name."""
    return desk.show(["sky", "jobs", "logs", "--name", plan.runs[0].name])


def cancel(plan: Plan, desk: Desk) -> int:
    """Cancels the jobs; SkyPilot gives their machines back."""
    codes = [desk.show(["sky", "jobs", "cancel", "--yes", "--name", run.name]) for run in plan.runs]
    return max(codes)


def delete(plan: Plan, desk: Desk) -> int:
    """The same: a managed job keeps no machine after its end."""
    return cancel(plan, desk)


def _task(plan: Plan, run: Run) -> dict[str, Any]:
    section = _section(plan)
    resources: dict[str, Any] = {
        "accelerators": section.accelerators,
        "use_spot": section.spot,
        # Without an entry here any failure ends the job; preemption is SkyPilot's own business.
        "job_recovery": {"recover_on_exit_codes": [RESTART]},
        "labels": {**plan.labels(), **section.labels},
    }
    if section.infra:
        resources["infra"] = section.infra
    setup = SETUP.format(
        repository=shlex.quote(plan.job.code.repository or ""),
        commit=plan.source.commit,
        extra=plan.job.code.extra or ("tpu" if section.tpu else "cuda"),
    )
    place = PLACE.format(port=PORT) if section.nodes > 1 else ""
    if section.tpu:
        place = "export TRM_DISTRIBUTED=auto\n"
    task = {
        "name": run.name,
        "num_nodes": section.nodes,
        "resources": resources,
        "envs": plan.environment(),
        "secrets": dict.fromkeys(plan.job.secrets),
        "setup": setup,
        "run": f'cd trm_jax\n{place}export PATH="$HOME/trm-venv/bin:$PATH"\n'
        f"exec {shlex.join(run.command)}\n",
    }
    return {key: value for key, value in task.items() if value != {}}


def _section(plan: Plan) -> Sky:
    assert plan.job.sky is not None
    if plan.job.code.repository is None:
        raise LaunchError("code: `repository` is missing; the machines clone the code from it.")
    return plan.job.sky
