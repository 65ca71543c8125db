"""The network in which all digits of a Sudoku are alike: what renaming them does, size, FLOPs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import runs
from tests.models.test_layers import numpy_rms, numpy_swiglu
from tests.models.test_model import some_params
from trm_jax.core.errors import UserError
from trm_jax.infer.halting import Halt
from trm_jax.infer.search import Search, Searcher
from trm_jax.models import get_model
from trm_jax.models.flops import step_flops
from trm_jax.models.mixers.digits import DigitBlock, DigitEmbedding
from trm_jax.models.settings import ModelConfig

CONFIG = dataclasses.replace(runs.TINY_MODEL, mixer="digits", prefix_tokens=0, width=32)
PUBLISHED = ModelConfig(vocab=11, cells=81, width=1728, mixer="digits", prefix_tokens=0)
RENAMED = np.array([0, 1, 4, 2, 5, 3])


def answers(config, inputs, start=None):
    """Logits and halting logits of two supervision steps."""
    model = get_model(config)
    start = start or model.initial_latents(jax.random.key(1))
    shape = (len(inputs), config.tokens, config.width)
    latents = tuple(jnp.broadcast_to(vector, shape) for vector in start)
    step, params, found = jax.jit(model.supervision_step), some_params(config), []
    for _ in range(2):
        latents, output = step(params, latents, inputs, jnp.zeros((len(inputs), 0)))
        found.append((np.asarray(output.logits), np.asarray(output.halt_logits)))
    return found


def questions(config=CONFIG):
    draw = np.random.default_rng(2)
    return draw.integers(1, config.vocab, (3, config.cells)).astype(np.int32)


@pytest.mark.parametrize("gate", ["silu", "norm"])
def test_renamed_digits_rename_the_answer_and_nothing_else(gate):
    config = dataclasses.replace(CONFIG, gate=gate)
    inputs = questions()
    plain, renamed = answers(config, inputs), answers(config, RENAMED[inputs].astype(np.int32))
    for (logits, halt), (other_logits, other_halt) in zip(plain, renamed, strict=True):
        np.testing.assert_allclose(other_logits[..., RENAMED], logits, rtol=0, atol=2e-4)
        np.testing.assert_allclose(other_halt, halt, rtol=0, atol=2e-4)
        assert np.abs(other_logits - logits).max() > 0.1  # they do look at the digits
        assert np.ptp(halt) > 0.01


def test_states_that_tell_digits_apart_break_that():
    """The test above sees something: with a start of its own for each digit it would not hold."""
    draw = np.random.default_rng(3)
    start = tuple(jnp.asarray(draw.normal(size=CONFIG.width), jnp.float32) for _ in "yz")
    inputs = questions()
    (logits, _), _ = answers(CONFIG, inputs, start)
    (renamed, _), _ = answers(CONFIG, RENAMED[inputs].astype(np.int32), start)
    assert np.abs(renamed[..., RENAMED] - logits).max() > 0.1


def test_a_field_says_whether_its_digit_is_given():
    """Empty cells look alike in all fields; a given digit stands out in its own."""
    embedding = DigitEmbedding(CONFIG)
    inputs = np.array([[1, 4, *[2] * 14]], np.int32)
    params = embedding.init(jax.random.key(0), inputs, jnp.zeros((1, 0)))
    fields = embedding.apply(params, inputs, jnp.zeros((1, 0))).reshape(16, 4, 8)
    empty, this, other = np.asarray(params["params"]["roles"]) * 8**0.5
    np.testing.assert_allclose(fields[0], np.stack([empty] * 4), rtol=1e-6)
    np.testing.assert_allclose(fields[1], np.stack([other, other, this, other]), rtol=1e-6)


@pytest.mark.parametrize("gate", ["silu", "norm"])
def test_a_block_by_hand(gate):
    """Field by field, in float64: what the digits share, and what one sees of the others."""
    config = dataclasses.replace(CONFIG, gate=gate)
    h = np.random.default_rng(4).normal(size=(16, 3, 32))
    block = DigitBlock(config)
    params = block.init(jax.random.key(0), jnp.asarray(h, jnp.float32))
    got = np.split(np.asarray(block.apply(params, jnp.asarray(h, jnp.float32))), 4, axis=-1)
    params = params["params"]
    fields = [field.swapaxes(0, 2) for field in np.split(h, 4, axis=-1)]  # tokens last
    fields = [numpy_rms(f + numpy_swiglu(f, params["token_mlp"], gate)) for f in fields]
    fields = [field.swapaxes(0, 2) for field in fields]
    couple = np.asarray(params["couple"]["kernel"], np.float64)
    for i, field in enumerate(fields):
        others = np.mean([f for j, f in enumerate(fields) if j != i], axis=0)
        coupled = numpy_rms(field + others @ couple)
        expected = numpy_rms(coupled + numpy_swiglu(coupled, params["mlp"], gate))
        np.testing.assert_allclose(got[i], expected, rtol=0, atol=2e-5)


def test_every_parameter_matters():
    model, params, inputs = get_model(CONFIG), some_params(CONFIG), questions()
    shape = (3, CONFIG.tokens, CONFIG.width)
    start = tuple(jnp.broadcast_to(v, shape) for v in model.initial_latents(jax.random.key(1)))

    def total(params):
        _, output = model.supervision_step(params, start, inputs, jnp.zeros((3, 0)))
        return jnp.sum(output.logits**2) + jnp.sum(jnp.sin(output.halt_logits))

    for path, leaf in jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(total))(params)):
        assert np.isfinite(leaf).all() and leaf.any(), path


def test_copies_that_are_answered_alike_are_refused():
    search = Search(Halt(2), copies=3)
    named = r"3 copies with --symmetry=digits.*mixer.*'digits'.*dihedral"
    with pytest.raises(UserError, match=named):
        Searcher(get_model(CONFIG), None, search, batch_size=4, mesh=None)


def test_its_size_and_cost_are_the_published_ones():
    """Fields of 192: 0.79M parameters and 14.8 giga multiply-adds a supervision step."""
    params = jax.eval_shape(get_model(PUBLISHED).init, jax.random.key(0))
    assert round(sum(leaf.size for leaf in jax.tree.leaves(params)) / 1e6, 2) == 0.79
    assert step_flops(PUBLISHED, 1, train=False) / 2e9 == pytest.approx(14.8, rel=0.01)


def test_flops_are_those_of_its_products():
    """Of a supervision step without loops, by the compiler, which counts all else as well."""
    model = get_model(dataclasses.replace(CONFIG, kind="transformer", width=1024))
    params = jax.eval_shape(model.init, jax.random.key(0))
    h = jax.ShapeDtypeStruct((1, 16, 1024), jnp.float32)
    inputs = jax.ShapeDtypeStruct((1, 16), jnp.int32)
    rows = jax.ShapeDtypeStruct((1, 0), jnp.float32)
    step = jax.jit(model.supervision_step).lower(params, (h,), inputs, rows).compile()
    # too little to be seen below
    assert model.mixer.answer_flops(CONFIG) == 2 * 16 * (4 * 8 * 1 + 8 * 2)
    assert step.cost_analysis()["flops"] == pytest.approx(
        step_flops(model.config, 1, False), rel=0.02
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"positions": "learned"}, r"model\.positions is 'learned'.*digits.*'none'"),
        ({"positions": "rotary"}, r"model\.positions is 'rotary'.*digits.*'none'"),
        ({"prefix_tokens": 1}, r"model\.prefix_tokens is 1.* to 0"),
        ({"width": 30}, r"model\.width is 30, .*4 fields"),
    ],
)
def test_what_is_not_alike_for_all_digits_is_refused(changes, named):
    with pytest.raises(UserError, match=named):
        get_model(dataclasses.replace(CONFIG, **changes))


def test_only_sudokus_have_digits():
    model = {"mixer": "digits", "prefix_tokens": 0}
    runs.experiment(model=model)
    with pytest.raises(UserError, match=r"model\.mixer is 'digits'.*data\.task is 'maze'"):
        runs.experiment(model=model, data={"task": "maze"})
