"""A whole plan, with settings that make a program fit."""

from collections.abc import Iterator, Mapping
from typing import Any

from jax.sharding import Mesh

from trm_jax.config.experiment import Experiment
from trm_jax.core.mesh import make_mesh
from trm_jax.data.format import Dataset
from trm_jax.plan.estimate import EVALUATION, TRAIN, Facts, plan_program, stand_in
from trm_jax.plan.topology import Topology, devices

TRIES = 6
"""Maximum number of compilations in search of a remedy, for each program."""
SLACK = 0.85
"""A setting is skipped if its estimated temporary memory, times this, is too large."""

Changes = dict[str, Any]


def plan(experiment: Experiment, topology: Topology, remedies: bool = True) -> Facts:
    """Compiles both programs of an experiment for a topology.

    Args:
      experiment: the experiment.
      topology: hardware to compile for.
      remedies: whether to search for settings that make a program fit.

    Returns:
      `name`, `topology`, `accelerator`, `devices`, `mesh`, `table_rows`, `fits`; `programs`, the
      facts of each program (`estimate.plan_program`); and `remedies`, for each program that does
      not fit: `changes`, settings that make it fit, or None; the `facts` with them; and `tried`,
      settings that do not suffice.

    Raises:
      UserError: the batch cannot be split over the devices, or the compiler is not installed.
    """
    mesh = make_mesh(experiment.mesh.data, experiment.mesh.table, devices(topology))
    experiment, dataset = stand_in(experiment)
    programs: dict[str, Facts] = {}
    found: dict[str, Facts] = {}
    for which in (TRAIN, EVALUATION):
        facts = plan_program(which, experiment, dataset, mesh, topology.chip)
        programs[which] = facts
        if remedies and not facts["fits"]:
            found[which] = _remedy(which, experiment, dataset, mesh, topology.chip, facts)
    return {
        "name": experiment.name,
        "topology": topology.name,
        "accelerator": topology.accelerator,
        "devices": mesh.size,
        "mesh": {str(axis): size for axis, size in mesh.shape.items()},
        "table_rows": max(experiment.table.rows, dataset.manifest["table_rows"]),
        "fits": all(facts["fits"] for facts in programs.values()),
        "programs": programs,
        "remedies": found,
    }


def as_flags(changes: Mapping[str, Any]) -> str:
    """Changes of settings as flags of the command line."""
    return " ".join(f"--config.{key}={value}" for key, value in changes.items())


def _remedy(
    which: str, experiment: Experiment, dataset: Dataset, mesh: Mesh, chip: str, before: Facts
) -> Facts:
    """The first setting that fits; settings that clearly do not suffice are not compiled."""
    tried: list[Facts] = []
    candidates = _accumulations if which == TRAIN else _smaller_evaluations
    for changes, share in candidates(experiment, mesh.size):
        temporary = before["memory"]["temporary"]
        fixed = before["memory"]["peak"] - temporary
        if fixed + SLACK * temporary * share > before["available"]:
            continue
        if len(tried) == TRIES:
            break
        facts = plan_program(which, experiment.change(changes), dataset, mesh, chip)
        if facts["fits"]:
            return {"changes": changes, "facts": facts, "tried": tried}
        tried.append({"changes": changes, "peak": facts["memory"]["peak"]})
    return {"changes": None, "facts": None, "tried": tried}


def _accumulations(experiment: Experiment, devices: int) -> Iterator[tuple[Changes, float]]:
    """Settings for the train step, cheapest first, each with its share of the temporary memory.

    Gradient accumulation costs no FLOPs. Rematerialisation costs another forward pass of the part
    with a gradient, and is for models of which a single slot is too large; how much it saves is
    unknown, so its share is 0.
    """
    slots = experiment.batch_size // devices
    now = experiment.accumulate
    parts = [p for p in range(now + 1, slots + 1) if slots % p == 0]
    yield from (({"accumulate": p}, now / p) for p in parts)
    most = {"accumulate": slots} if slots > now else {}
    for remat in ("block", "net"):
        if experiment.model.remat != remat:
            yield {**most, "model.remat": remat}, 0.0


def _smaller_evaluations(experiment: Experiment, devices: int) -> Iterator[tuple[Changes, float]]:
    size = experiment.eval_batch_size
    while size > devices:
        size = max(size // 2, devices)
        yield {"eval_batch_size": size}, size / experiment.eval_batch_size
