"""Ways of training that a model cannot follow are refused, by its name."""

import dataclasses

import pytest

from tests import runs
from trm_jax.core.errors import UserError
from trm_jax.models import check_model, check_training
from trm_jax.models.settings import LossConfig, ModelSettings
from trm_jax.models.variants import VARIANTS

STAGES = ((0.0, 1, 2), (0.5, 3, 6))


@pytest.mark.parametrize("kind", VARIANTS)
def test_every_model_trains_in_the_usual_way(kind):
    check_training(ModelSettings(kind=kind), 1, (), LossConfig())


@pytest.mark.parametrize(
    ("settings", "chains", "curriculum", "named"),
    [
        ({"kind": "transformer"}, 1, STAGES, r"config\.curriculum.*'transformer'.*empty"),
        ({"kind": "trm_multi_z"}, 1, STAGES, r"config\.curriculum.*'trm_multi_z'.*model\.n = 6"),
        ({}, 2, (), r"config\.chains is 2.*model\.start to 'random'"),
        (
            {"kind": "trm_single_z", "start": "random"},
            2,
            (),
            r"config\.chains is 2.*'trm_single_z'.* to 1",
        ),
        (
            {"kind": "transformer", "start": "random"},
            3,
            (),
            r"config\.chains is 3.*'transformer'.* to 1",
        ),
    ],
)
def test_what_a_model_cannot_follow(settings, chains, curriculum, named):
    with pytest.raises(UserError, match=named):
        check_training(ModelSettings(**settings), chains, curriculum, LossConfig())


def test_what_it_can():
    check_training(ModelSettings(), 1, STAGES, LossConfig())
    check_training(ModelSettings(kind="trm_multi_z"), 1, ((0.0, 1, 6), (0.5, 3, 6)), LossConfig())
    for kind in ("trm", "trm_multi_z", "hrm"):
        check_training(ModelSettings(kind=kind, start="random"), 4, (), LossConfig())


def test_an_experiment_asks():
    """So nothing is built before it is refused."""
    with pytest.raises(UserError, match=r"config\.chains is 2"):
        runs.experiment(chains=2)
    with pytest.raises(UserError, match=r"config\.curriculum"):
        runs.experiment(curriculum=STAGES, model={"kind": "transformer"})


def test_a_lattice_model_refuses_the_loss_of_a_supervision_step():
    lattice = ModelSettings(
        kind="lattice", mixer="attention", prefix_tokens=0, positions="learned", T=1
    )
    check_training(lattice, 1, (), LossConfig())
    with pytest.raises(UserError, match=r"config\.loss\.kind is 'softmax'.*config\.model\.lattice"):
        check_training(lattice, 1, (), LossConfig(kind="softmax"))
    with pytest.raises(UserError, match=r"halt_exploration is 0\.3.*set it to 0\.1"):
        check_model(dataclasses.replace(lattice, halt_exploration=0.3))
