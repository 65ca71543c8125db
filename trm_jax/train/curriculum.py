"""Depth curriculum: recursions start shallow and become deeper during training.

Parameters and train state are the same at any depth, so that only the compiled step changes between
stages. The stage follows from the number of the update, so that a run can be resumed in any stage.
Source: CGAR, arXiv 2511.08653, "progressive depth curriculum": (T, n) = (1, 2), from 30 % of the
training on (2, 4), from 60 % on (3, 6). Evaluation is always at the depth of `config.model`.
"""

from typing import NamedTuple

from trm_jax.config.experiment import Experiment


class Stage(NamedTuple):
    """First update of a stage, counted from 0, and its depth; see `ModelConfig`."""

    start: int
    T: int
    n: int


def stages(experiment: Experiment) -> tuple[Stage, ...]:
    """The stages of a run in order; without a curriculum a single one.

    Boundaries are rounded to whole dispatches. If a run is too short for all stages, several may
    start at the same update, and the last of them is used.
    """
    if not experiment.curriculum:
        return (Stage(0, experiment.model.T, experiment.model.n),)
    size = experiment.steps_per_dispatch
    dispatches = experiment.steps / size
    found = [
        Stage(round(share * dispatches) * size, *depth) for share, *depth in experiment.curriculum
    ]
    after = [stage.start for stage in found[1:]] + [experiment.steps]
    return tuple(stage for stage, end in zip(found, after, strict=True) if stage.start < end)
