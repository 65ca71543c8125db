"""A depth curriculum: shallow recursions first, deeper ones later in training.

The network does not know how often it is applied, so its parameters are the same at any depth, and
so is the train state: what changes at a boundary is the compiled step alone. Which stage an update
belongs to follows from its number; nothing has to be remembered, and a run resumes in any of them.
Source: CGAR, arXiv 2511.08653, "progressive depth curriculum": (T, n) = (1, 2), from 30 % of the
training on (2, 4), from 60 % on (3, 6). Evaluation is always at the depth of `config.model`.
"""

from typing import NamedTuple

from trm_jax.config.experiment import Experiment


class Stage(NamedTuple):
    """From which update on (counted from 0), and how deep; see `ModelConfig`."""

    start: int
    T: int
    n: int


def stages(experiment: Experiment) -> tuple[Stage, ...]:
    """The stages of a run in their order, the first from update 0; without a curriculum just one.

    Boundaries are rounded to whole dispatches. In a run that is too short for all of its stages
    some begin together, and the last one of these is what is trained.
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
