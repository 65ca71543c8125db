"""SkyPilot: one managed job per run, which is restarted elsewhere after a preemption."""

import shlex
from typing import Any

from . import yaml_text
from .desk import Desk
from .errors import RESTART, LaunchError
from .hardware import Sky
from .layout import LaunchRun, Layout

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


def render(layout: Layout) -> dict[str, str]:
    """Renders one file per run."""
    return {f"{run.name}.yaml": yaml_text.dump(_task(layout, run)) for run in layout.runs}


def submit(layout: Layout, desk: Desk) -> int:
    """Submits the jobs to SkyPilot; values of secrets are taken from this shell's environment."""
    files = render(layout)
    desk.write(files)
    secrets = [word for name in layout.job.secrets for word in ("--secret", name)]
    for run in layout.runs:
        path = str(desk.folder / f"{run.name}.yaml")
        words = ["sky", "jobs", "launch", "--yes", "--detach-run", "--name", run.name]
        if desk.show([*words, *secrets, path]):
            raise LaunchError(f"SkyPilot refused {run.name}; its message is above.")
    desk.remember(commit=layout.source.commit, dirty=layout.source.dirty)
    return 0


def status(layout: Layout, desk: Desk) -> int:
    """Shows SkyPilot's queue."""
    return desk.show(["sky", "jobs", "queue"])


def logs(layout: Layout, desk: Desk) -> int:
    """Follows the log of the first run."""
    return desk.show(["sky", "jobs", "logs", "--name", layout.runs[0].name])


def cancel(layout: Layout, desk: Desk) -> int:
    """Cancels the jobs; SkyPilot releases their machines."""
    words = ["sky", "jobs", "cancel", "--yes", "--name"]
    return max([desk.show([*words, run.name]) for run in layout.runs])


def delete(layout: Layout, desk: Desk) -> int:
    """Cancels the jobs: a managed job keeps no machine after its end."""
    return cancel(layout, desk)


def _task(layout: Layout, run: LaunchRun) -> dict[str, Any]:
    section = _section(layout)
    resources: dict[str, Any] = {
        "accelerators": section.accelerators,
        "use_spot": section.spot,
        # other failures end the job; SkyPilot handles preemptions itself
        "job_recovery": {"recover_on_exit_codes": [RESTART]},
        "labels": {**layout.labels(), **section.labels},
    }
    if section.infra:
        resources["infra"] = section.infra
    setup = SETUP.format(
        repository=shlex.quote(layout.job.code.repository or ""),
        commit=layout.source.commit,
        extra=layout.job.code.extra or ("tpu" if section.tpu else "cuda"),
    )
    place = PLACE.format(port=PORT) if section.nodes > 1 else ""
    if section.tpu:
        place = "export TRM_DISTRIBUTED=auto\n"
    task = {
        "name": run.name,
        "num_nodes": section.nodes,
        "resources": resources,
        "envs": layout.environment(),
        "secrets": dict.fromkeys(layout.job.secrets),
        "setup": setup,
        "run": f'cd trm_jax\n{place}export PATH="$HOME/trm-venv/bin:$PATH"\n'
        f"exec {shlex.join(run.command)}\n",
    }
    return {key: value for key, value in task.items() if value != {}}


def _section(layout: Layout) -> Sky:
    assert layout.job.sky is not None
    if layout.job.code.repository is None:
        raise LaunchError("code: `repository` is missing; the machines clone the code from it.")
    return layout.job.sky
