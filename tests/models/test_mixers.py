"""The mixers: each is one object of one registry, which says its cost and what it cannot use."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.runs import TINY_MODEL
from trm_jax.core.errors import UserError
from trm_jax.models import MIXERS, check_model, get_model
from trm_jax.models.flops import step_flops
from trm_jax.models.mixers.mlp import MlpMixer
from trm_jax.models.settings import ModelConfig, ModelSettings

SUDOKU = ModelConfig(vocab=11, cells=81)
ARC = ModelConfig(vocab=12, cells=900, mixer="attention", positions="rotary")
DIGITS = ModelConfig(vocab=11, cells=81, width=1728, mixer="digits", prefix_tokens=0)
SMALL = ModelConfig(vocab=6, cells=16, width=16, heads=2, prefix_tokens=2)


@pytest.mark.parametrize(
    ("config", "block", "answer", "steps"),
    [
        (SUDOKU, 610_271_232, 1_092_608, (102_529_937_408, 170_889_056_256, 478_478_868_480)),
        (ARC, 7_961_608_192, 11_255_808, (1_337_595_199_488, 2_229_385_363_456, 6_242_170_961_920)),
        (DIGITS, 698_720_256, 342_144, (117_386_371_584, 195_645_777_408, 547_804_892_160)),
        (
            dataclasses.replace(SMALL, expansion=8.0),
            884_736,
            3456,
            (148_649_472, 247_767_552, 693_715_968),
        ),
        (
            dataclasses.replace(SMALL, mixer="attention"),
            499_968,
            3456,
            (84_008_448, 140_032_512, 392_057_856),
        ),
        (
            dataclasses.replace(SMALL, mixer="digits", width=32, prefix_tokens=0),
            1_581_056,
            1536,
            (265_623_552, 442_714_112, 1_239_584_768),
        ),
    ],
    ids=["Sudoku", "ARC", "digits", "small mlp", "small attention", "small digits"],
)
def test_costs_are_those_of_before_there_were_mixers(config, block, answer, steps):
    """Numbers that one function with a branch for each mixer gave, up to commit e6a6a52."""
    mixer = MIXERS.get(config.mixer)
    assert (mixer.block_flops(config), mixer.answer_flops(config)) == (block, answer)
    wanted = ((False, 1), (True, 1), (True, 3))
    assert tuple(step_flops(config, 4, train, chains) for train, chains in wanted) == steps


@pytest.mark.parametrize("positions", ["none", "learned", "rotary"])
@pytest.mark.parametrize("name", ["mlp", "attention", "digits"])
def test_positions_are_those_that_a_mixer_takes(name, positions):
    """What it does not take is refused, by a message that names what it does."""
    prefix = 0 if name == "digits" else 2
    config = dataclasses.replace(SMALL, mixer=name, positions=positions, prefix_tokens=prefix)
    takes = MIXERS.get(name).positions
    if positions in takes:
        get_model(config)
        return
    with pytest.raises(UserError, match=rf"model\.positions is '{positions}'.*{name}") as refused:
        get_model(config)
    assert all(repr(other) in str(refused.value) for other in takes)


def test_which_positions_these_are():
    taken = {name: MIXERS.get(name).positions for name in ("mlp", "attention", "digits")}
    assert taken == {
        "mlp": ("none", "learned"),
        "attention": ("none", "learned", "rotary"),
        "digits": ("none",),
    }


@pytest.mark.parametrize("name", ["mlp", "attention", "digits"])
def test_swapping_twice_changes_nothing_and_says_where_the_slots_are(name):
    mixer, h = MIXERS.get(name), jnp.arange(24.0).reshape(2, 3, 4)
    assert mixer.swap(h).shape[mixer.slots_axis] == 2
    np.testing.assert_array_equal(mixer.swap(mixer.swap(h)), h)


@pytest.mark.parametrize("name", ["mlp", "attention", "digits"])
def test_a_block_keeps_the_shape_and_type_of_its_layout(name):
    prefix = 0 if name == "digits" else 2
    config = dataclasses.replace(TINY_MODEL, mixer=name, prefix_tokens=prefix, dtype="bfloat16")
    mixer = MIXERS.get(name)
    h = mixer.swap(jnp.ones((3, config.tokens, config.width), jnp.bfloat16))
    out, params = jax.eval_shape(mixer.block(config).init_with_output, jax.random.key(0), h)
    assert (out.shape, out.dtype) == (h.shape, h.dtype)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kind": "trmm"}, r"model\.kind is 'trmm'.*trm.*hrm"),
        ({"mixer": "conv"}, r"model\.mixer is 'conv'.*mlp.*attention.*digits.*plugin"),
        ({"positions": "rotary"}, r"model\.positions is 'rotary'.*mlp"),
        ({"mixer": "attention", "heads": 5}, r"model\.width is 512, .*heads.*5"),
        ({"mixer": "digits"}, r"model\.prefix_tokens is 16.*digits.* to 0"),
        ({"prefix_tokens": 2, "row_width": 1025}, r"1025.*2 prefix tokens.*model\.prefix_tokens"),
        ({"dtype": "float64"}, r"model\.dtype is 'float64'.*'float32'.*JAX_ENABLE_X64"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_before_there_are_puzzles(changes, named):
    check_model(ModelSettings())
    with pytest.raises(UserError, match=named):
        check_model(ModelSettings(**changes))


def test_what_only_the_puzzles_tell_is_refused_with_them():
    """Whether a width is a multiple of the number of digits: not known before the vocabulary is."""
    settings = ModelSettings(mixer="digits", prefix_tokens=0, width=30)
    check_model(settings)
    get_model(ModelConfig.of(settings, 7, 16))
    with pytest.raises(UserError, match=r"model\.width is 30, .*4 fields.*multiple of 4"):
        get_model(ModelConfig.of(settings, 6, 16))


class LearnedOnly(MlpMixer):
    """One that cannot do without positions."""

    positions = ("learned",)


def test_positions_of_any_registered_mixer_are_enforced(monkeypatch):
    """Nothing but what the mixer itself says decides."""
    monkeypatch.setitem(MIXERS._found, "learned_only", LearnedOnly())
    config = dataclasses.replace(SMALL, mixer="learned_only", positions="learned")
    assert isinstance(get_model(config).mixer, LearnedOnly)
    for positions in ("none", "rotary"):
        named = rf"positions is '{positions}'.*learned_only.*'learned'"
        with pytest.raises(UserError, match=named):
            get_model(dataclasses.replace(config, positions=positions))
