"""Ways of training that a model cannot follow are refused, by its name."""

import pytest

from tests import runs
from trm_jax.core.errors import UserError
from trm_jax.models import check_training
from trm_jax.models.settings import ModelSettings
from trm_jax.models.variants import VARIANTS

STAGES = ((0.0, 1, 2), (0.5, 3, 6))


@pytest.mark.parametrize("kind", VARIANTS)
def test_every_model_trains_in_the_usual_way(kind):
    check_training(ModelSettings(kind=kind), 1, ())


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
        check_training(ModelSettings(**settings), chains, curriculum)


def test_what_it_can():
    check_training(ModelSettings(), 1, STAGES)
    check_training(ModelSettings(kind="trm_multi_z"), 1, ((0.0, 1, 6), (0.5, 3, 6)))
    for kind in ("trm", "trm_multi_z", "hrm"):
        check_training(ModelSettings(kind=kind, start="random"), 4, ())


def test_an_experiment_asks():
    """So nothing is built before it is refused."""
    with pytest.raises(UserError, match=r"config\.chains is 2"):
        runs.experiment(chains=2)
    with pytest.raises(UserError, match=r"config\.curriculum"):
        runs.experiment(curriculum=STAGES, model={"kind": "transformer"})
