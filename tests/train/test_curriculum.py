"""Depth in stages: where they begin, what is compiled, what is refused."""

import json
import re
import sys

import numpy as np
import pytest
from absl import flags
from ml_collections import ConfigDict, config_flags

from tests import runs
from tests.train.test_recipes import after
from trm_jax.config.experiment import from_dict
from trm_jax.core.errors import UserError
from trm_jax.models import check_training
from trm_jax.models.settings import LossConfig, ModelSettings
from trm_jax.tasks.random_puzzles import random_puzzles
from trm_jax.train.curriculum import Stage, stages
from trm_jax.train.loop import train
from trm_jax.train.run import prepare
from trm_jax.train.workdir import WorkDir

CGAR = ((0.0, 1, 2), (0.3, 2, 4), (0.6, 3, 6))


def test_stages_begin_at_their_shares():
    experiment = runs.experiment(steps=100, curriculum=CGAR)
    assert stages(experiment) == (Stage(0, 1, 2), Stage(30, 2, 4), Stage(60, 3, 6))
    assert stages(runs.experiment()) == (Stage(0, 2, 1),)


def test_boundaries_are_whole_dispatches():
    config = {"log_every": 8, "eval_every": 8, "checkpoint_every": 8, "steps_per_dispatch": 8}
    experiment = runs.experiment(steps=80, curriculum=CGAR, **config)
    assert [stage.start for stage in stages(experiment)] == [0, 24, 48]


def test_stages_that_begin_together_are_the_last_of_them():
    experiment = runs.experiment(steps=2, curriculum=((0.0, 1, 1), (0.1, 1, 2), (0.9, 2, 2)))
    assert stages(experiment) == (Stage(0, 1, 2),)


def test_each_stage_is_compiled_once_and_each_depth_is_its_own():
    """The last stage is as deep as the model, and shares its program."""
    shallow, deep = {"T": 1, "n": 1}, {"T": 2, "n": 1}
    experiment = runs.experiment(curriculum=((0.0, 1, 1), (0.5, 2, 1)), model=deep, steps=8)
    found, run = after(experiment, 8)
    assert len(run.stages) == 2 and run.stages[1][1] is run.step
    # `_cache_size` counts the programs of a jitted function
    assert [step._cache_size() for _, step in run.stages] == [1, 1]
    assert run.step_at(3) is not run.step_at(4)
    all_shallow, _ = after(runs.experiment(model=shallow, steps=8), 8)
    same = {k for k in found if "params" in k and np.allclose(found[k], all_shallow[k], atol=1e-6)}
    assert not any("network" in name for name in same)


def test_evaluation_is_at_full_depth():
    """And so is the one step where no stage is as deep."""
    experiment = runs.experiment(curriculum=((0.0, 1, 1),), steps=8)
    run = prepare(experiment, random_puzzles(experiment.data, 8))
    assert (run.model.config.T, run.model.config.n) == (2, 1)
    assert run.step_at(0) is not run.step


@pytest.mark.parametrize(
    "curriculum",
    [
        3,
        ((0.0, 1),),
        ((0.1, 1, 2),),
        ((0.0, 1, 2), (0.0, 2, 2)),
        ((0.0, 1, 2), (1.0, 2, 2)),
        ((0.0, 0, 2),),
        ((0.0, 1, 2.5),),
        (0.0, 1, 2),
    ],
)
def test_what_is_no_curriculum_is_refused(curriculum):
    given_type = r"of type tuple\[tuple\[float, int, int\], \.\.\.\]"
    named = rf"config\.curriculum is {re.escape(repr(curriculum))}; .*({given_type}|give stages)"
    with pytest.raises(UserError, match=named):
        from_dict({"curriculum": curriculum})


def test_models_that_cannot_change_their_depth():
    multi, direct = (ModelSettings(kind=kind, n=2) for kind in ("trm_multi_z", "transformer"))
    with pytest.raises(UserError, match=r"keep n = config\.model\.n = 2 in all stages"):
        check_training(multi, 1, CGAR, LossConfig())
    check_training(multi, 1, ((0.0, 1, 2), (0.5, 3, 2)), LossConfig())
    with pytest.raises(UserError, match=r"config\.curriculum .* leave it empty"):
        check_training(direct, 1, CGAR, LossConfig())
    check_training(direct, 1, (), LossConfig())


def test_it_survives_json_configs_and_the_command_line(monkeypatch):
    experiment = from_dict({"curriculum": [list(stage) for stage in CGAR]})
    assert experiment.curriculum == CGAR
    assert from_dict(json.loads(json.dumps(experiment.to_dict()))) == experiment
    for text in ("((0.0,1,2),(0.3,2,4),(0.6,3,6))", "([0.0, 1, 2], [0.3, 2, 4], [0.6, 3, 6])"):
        # config_flags looks at sys.argv for what is overridden
        monkeypatch.setattr(sys, "argv", ["trm", f"--config.curriculum={text}"])
        values = flags.FlagValues()
        config_flags.DEFINE_config_dict(
            "config", ConfigDict({"curriculum": ()}), flag_values=values
        )
        values(sys.argv)
        assert from_dict(values.config.to_dict()).curriculum == CGAR


def test_another_number_of_updates_moves_the_stages(tmp_path):
    curriculum = ((0.0, 1, 1), (0.5, 2, 1))
    short = runs.experiment(steps=8, curriculum=curriculum)
    data = random_puzzles(short.data, 1).manifest | {"source": {}, "counts": {}}
    WorkDir(tmp_path).claim(short, data)
    with pytest.raises(UserError, match=r"config\.curriculum are fractions of these; set it back"):
        WorkDir(tmp_path).claim(runs.experiment(curriculum=curriculum), data)
    with pytest.raises(UserError, match=r"leave it empty"):
        train(runs.experiment(curriculum=curriculum, model={"kind": "transformer"}), tmp_path)
