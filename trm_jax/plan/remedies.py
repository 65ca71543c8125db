"""A whole plan, and what to change where a program does not fit."""

from collections.abc import Iterator, Mapping
from typing import Any

from jax.sharding import Mesh

from trm_jax.config.experiment import Experiment
from trm_jax.core.mesh import make_mesh
from trm_jax.data.format import Dataset
from trm_jax.plan.estimate import EVALUATION, TRAIN, Facts, plan_program, stand_in
from trm_jax.plan.topology import Topology, devices

TRIES = 6
"""Programs compiled in search of a remedy, of each kind."""
SLACK = 0.85
"""A remedy is not tried if by proportion its program takes more than the memory over this."""

Changes = dict[str, Any]


def plan(experiment: Experiment, topology: Topology, remedies: bool = True) -> Facts:
    """Compiles both programs of an experiment for a topology.

    Args:
      experiment: as configured.
      topology: to compile for.
      remedies: where a program does not fit, look for a setting that does.

    Returns:
      `name`, `topology`, `accelerator`, `devices`, `mesh`, `table_rows`, `fits`; `programs`, the
      facts of each (`plan_facts.plan_program`); and of each that does not fit `remedies`: the
      `changes` of settings that make it fit, or None, their `facts`, and what else was `tried`.

    Raises:
      UserError: the batch cannot be split over the devices, or libtpu is missing.
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
    """The changes as one writes them on the command line."""
    return " ".join(f"--config.{key}={value}" for key, value in changes.items())


def _remedy(
    which: str, experiment: Experiment, dataset: Dataset, mesh: Mesh, chip: str, before: Facts
) -> Facts:
    """The first remedy that fits; those that clearly will not are left out, to save the time."""
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
    """Remedies of the train step, cheapest first, each with its share of the temporary memory.

    More parts cost no FLOPs; rematerialising costs another forward pass of what has a gradient, and
    is for where a single slot in a part is too large. How much it saves is not guessed: share 0.
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
