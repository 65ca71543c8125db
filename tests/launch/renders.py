"""The renders that are kept in golden/; `python -m tests.launch.renders` writes them anew."""

import json
import shutil
import sys

from launch import job, layout
from launch.cli import module_of
from tests.launch.helpers import HERE, ROOT, SOURCE, SWEEP

GOLDEN = HERE / "golden"
SECRETS = "secrets=[WANDB_API_KEY]"
CASES = {
    **{path.stem: (path.stem, (), ()) for path in sorted((ROOT / "launch/jobs").glob("*.yaml"))},
    "tpu-two-slices-on-demand": (
        "tpu-v5e-16",
        ("tpu.slices=2", "tpu.spot=false", "tpu.wait=6h", "environment.TF_X=a b", SECRETS),
        (),
    ),
    "tpu-sweep": ("tpu-v5e-16", (), SWEEP),
    "gke-tpu-two-slices": ("gke-tpu", ("gke.slices=2", "gke.queue=team", SECRETS), ()),
    "gke-one-gpu-node": ("gke-gpu", ("gke.nodes=1", "gke.spot=false", "gke.claim=disk"), ()),
    "gke-sweep": ("gke-tpu", (), SWEEP),
    "slurm-sweep": (
        "slurm-gpus",
        ("environment.X='it''s'", SECRETS, "slurm.memory=64G", "slurm.cpus_per_task=8"),
        SWEEP,
    ),
    "slurm-cpu": ("slurm-gpus", ("slurm.gpus_per_node=0", "slurm.nodes=1"), ()),
    "local-sweep": ("local-two-processes", ("local.gpus_per_process=4",), SWEEP),
    "sky-tpu": ("sky", ("sky.accelerators=tpu-v6e-16", "sky.infra=gcp", SECRETS), ()),
    "sky-two-nodes": ("sky", ("sky.nodes=2", "sky.labels.team=a"), ()),
}


def layout_of(case):
    name, changes, sweep = CASES[case]
    return layout.make(job.load(ROOT / "launch/jobs" / f"{name}.yaml", changes), SOURCE, sweep)


def render(case):
    """File names and texts of one case."""
    made = layout_of(case)
    return module_of(made.job.engines[0]).render(made)


def main():
    shutil.rmtree(GOLDEN, ignore_errors=True)
    for case in CASES:
        for name, text in render(case).items():
            path = GOLDEN / case / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    print(json.dumps({case: sorted(render(case)) for case in CASES}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
