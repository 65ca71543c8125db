"""The parity tests bite: each mistake, made on purpose, fails the component that guards it.

They are the mistakes that other ports have made, and those that would be easy to make here.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen as nn

from tests.golden import parity, reference
from trm_jax.core.numerics import rms_norm
from trm_jax.models import act, layers, losses, parts, puzzle_table, recursion
from trm_jax.models.mixers import attention
from trm_jax.train import optim, step


def flip_rotary_halves(patch, p):
    """The second half turned against the first."""
    right = attention.rotate
    patch.setattr(attention, "rotate", lambda x, cos, sin: right(x, cos, -sin))


def pair_rotary_neighbours(patch, p):
    """Channel 2i turned with 2i + 1, the other convention."""

    def rotate(x, cos, sin):
        even, odd = x[..., 0::2], x[..., 1::2]
        turned = jnp.stack([-odd, even], axis=-1).reshape(x.shape)
        half = cos.shape[-1] // 2
        c, s = (jnp.asarray(t[:, :half]).repeat(2, axis=-1)[None, :, None] for t in (cos, sin))
        return x * c + turned * s

    patch.setattr(attention, "rotate", rotate)


def swap_gate_and_up(patch, p):
    """down(gate * silu(up))."""

    class Swapped(layers.SwiGLU):
        @nn.compact
        def __call__(self, x):
            inner = layers.inner_width(x.shape[-1], self.expansion)
            both = layers.Linear(2 * inner, self.dtype, name="gate_up")(x)
            up, gate = jnp.split(both, 2, axis=-1)
            return layers.Linear(x.shape[-1], self.dtype, name="down")(nn.silu(gate) * up)

    patch.setattr(attention, "SwiGLU", Swapped)


def norm_before(patch, p):
    """Pre-norm: h + mix(rms(h)), h + swiglu(rms(h))."""

    class PreNorm(attention.AttentionBlock):
        @nn.compact
        def __call__(self, h):
            c = self.config
            mix = attention.Attention(c, name="attention")
            h = h + mix(rms_norm(h))
            return h + layers.SwiGLU(c.expansion, c.dtype, name="mlp")(rms_norm(h))

    patch.setattr(attention.AttentionMixer, "block", PreNorm)


def norm_over_channels(patch, p):
    """The token mixing's residual normalised over the wrong axis."""
    patch.setattr(layers, "rms_norm", lambda x, axis=-1: rms_norm(x))


def positions_at_full_size(patch, p):
    """Learned positions added without the factor of 1 / sqrt(2)."""
    p.weights.params["embedding"]["positions"] *= 2**0.5


def softmax_for_stablemax(patch, p):
    """The usual cross-entropy."""
    patch.setattr(losses, "log_stablemax", functools.partial(jax.nn.log_softmax, axis=-1))


def average_over_all_cells(patch, p):
    """Ignored cells counted in the mean."""
    patch.setattr(losses, "_divisor", lambda counted: jnp.full(counted.shape[0], counted.shape[1]))


def halt_head_reads_the_last_token(patch, p):
    """Token 0 is the first of the prefix."""
    right = parts.Parts.read

    def read(self, y):
        wrong = right(self, y[:, ::-1])
        return right(self, y).replace(halt_logits=wrong.halt_logits)

    patch.setattr(parts.Parts, "read", read)


def gradient_through_all_recursions(patch, p):
    """T recursions with gradient in place of one."""

    def uncut(recursion, nets, frozen, latents, x, depth):
        for _ in range(depth.T):
            latents = recursion(nets, latents, x, depth)
        return latents

    p.model.variant = dataclasses.replace(p.model.variant, gradient=uncut)


def gradient_of_the_last_updates_alone(patch, p):
    """HRM's gradient for TRM."""
    p.model.variant = dataclasses.replace(p.model.variant, gradient=recursion.last_updates)


def gradient_of_the_last_recursion(patch, p):
    """TRM's gradient for HRM."""
    p.model.variant = dataclasses.replace(p.model.variant, gradient=recursion.last_recursion)


def correct_bias_inside(patch, p):
    """atan2(m / (1 - b1^t), ...): Adam's way, not AdamATan2's."""

    def wrong(b1, b2):
        adam = optim.AdamATan2State

        def init(params):
            zeros = jax.tree.map(jnp.zeros_like, params)
            return adam(jnp.zeros((), jnp.int32), zeros, zeros)

        def update(grads, state, params=None):
            t = optax.safe_increment(state.updates)
            mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, grads)
            nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.nu, grads)
            both = jax.tree.map(
                lambda m, v: jnp.arctan2(m / (1 - b1**t), jnp.sqrt(v / (1 - b2**t))), mu, nu
            )
            return both, adam(t, mu, nu)

        return optax.GradientTransformation(init, update)

    patch.setattr(optim, "scale_by_adam_atan2", wrong)


def decay_nothing(patch, p):
    """Weight decay forgotten."""
    patch.setattr(optim.optax, "add_decayed_weights", lambda _: optax.identity())


def average_slower(patch, p):
    """Another decay of the moving average."""
    right = optim.ema_update
    patch.setattr(step, "ema_update", lambda average, new, decay: right(average, new, decay**2))


def sign_of_the_last_slot(patch, p):
    """Equal ids in a batch not summed: the last one wins."""
    patch.setattr(
        puzzle_table.jax.ops,
        "segment_sum",
        lambda rows, place, num_segments: jnp.zeros_like(rows).at[place].set(rows),
    )


def keep_states_at_refill(patch, p):
    """A new example starts from what the old one left."""
    right = act.refill

    def wrong(carry, batch, initial):
        return right(carry, batch, initial).replace(latents=carry.latents)

    patch.setattr(act, "refill", wrong)


def halt_as_trm_does(patch, p):
    """The halt logit against 0, where HRM weighs it against the continue logit."""
    p.model.variant = dataclasses.replace(p.model.variant, compares=False)


def always_choose(patch, p):
    """The continue target forgets that a slot must halt at N steps."""
    right = parity.continue_target

    def wrong(params, rows, carry, model):
        return right(params, rows, carry.replace(steps=0 * carry.steps), model)

    patch.setattr(parity, "continue_target", wrong)


def forget_the_continue_loss(patch, p):
    """Only the halt logit is learned."""
    p.model.learns_to_continue = False


def one_network_for_both(patch, p):
    """Two networks with the same weights."""
    p.weights.params["y_network"] = p.weights.params["z_network"]


MUTATIONS = [
    (flip_rotary_halves, "trm_att", parity.answers),
    (pair_rotary_neighbours, "trm_att", parity.answers),
    (swap_gate_and_up, "trm_att", parity.answers),
    (norm_before, "trm_att", parity.answers),
    (norm_over_channels, "trm_mlp", parity.answers),
    (positions_at_full_size, "trm_learned_pos", parity.answers),
    (softmax_for_stablemax, "trm_att", parity.losses),
    (average_over_all_cells, "trm_att", parity.losses),
    (halt_head_reads_the_last_token, "trm_att", parity.halting_logits),
    (gradient_through_all_recursions, "trm_att", parity.gradients),
    (gradient_of_the_last_updates_alone, "trm_att", parity.gradients),
    (gradient_of_the_last_recursion, "hrm", parity.gradients),
    (correct_bias_inside, "trm_att", parity.optimizer),
    (decay_nothing, "trm_learned_pos", parity.optimizer),
    (average_slower, "trm_att", parity.averages),
    (sign_of_the_last_slot, "trm_att", parity.sign_sgd),
    (keep_states_at_refill, "trm_att", parity.carries),
    (halt_as_trm_does, "hrm", parity.carries),
    (always_choose, "hrm", parity.continue_targets),
    (forget_the_continue_loss, "hrm", parity.gradients),
    (one_network_for_both, "hrm", parity.answers),
]


SLOW = (parity.gradients, parity.optimizer, parity.averages, parity.sign_sgd)
"""Components that compile a gradient."""


@pytest.mark.parametrize(
    ("mutation", "name", "component"),
    [
        pytest.param(*m, id=m[0].__name__, marks=pytest.mark.slow if m[2] in SLOW else ())
        for m in MUTATIONS
    ],
)
def test_a_mistake_is_seen(mutation, name, component, monkeypatch):
    with parity.precision("float64"):
        p = parity.Parity(reference.load(reference.OWN / f"{name}.npz"), "float64")
        mutation(monkeypatch, p)
        with pytest.raises(AssertionError, match=r"off by|not equal"):
            component(p)
