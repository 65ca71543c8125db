"""Random perturbations of the states at test time, for several different rollouts of a puzzle."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from trm_jax.core.errors import UserError
from trm_jax.core.numerics import truncated_normal
from trm_jax.core.types import Latents

NOTHING = "none"
STATES = ("both", "y", "z")


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """The randomness of a trajectory, a pure function of (seed, question, trajectory, step).

    Attributes:
      noise: standard deviation of the Gaussian noise that is added to the states before each
        supervision step (PTRM, arXiv 2605.19943; the states have a root mean square of 1).
      noise_on: states that get noise: "y", "z" or "both".
      restart: states that start from a truncated normal distribution with standard deviation 1
        instead of the fixed initial vectors (EqR, arXiv 2605.21488, "RI"): "y", "z", "both" or
        "none".
      seed: seed of the noise and the restarts.
    """

    noise: float = 0.0
    noise_on: str = "both"
    restart: str = NOTHING
    seed: int = 0

    def __post_init__(self) -> None:
        """Validates the settings.

        Raises:
          UserError: one of them is invalid.
        """
        if not 0 <= self.noise < float("inf"):
            raise UserError(f"the noise is {self.noise}; it must be finite, and 0 or more.")
        for which, allowed in ((self.noise_on, STATES), (self.restart, (NOTHING, *STATES))):
            if which not in allowed:
                raise UserError(f"there are no states {which!r}; use one of {', '.join(allowed)}.")

    @property
    def random(self) -> bool:
        """Whether trajectories of the same question can differ."""
        return self.noise > 0 or self.restart != NOTHING

    def check(self, names: tuple[str, ...]) -> None:
        """Checks that a model has the states to perturb.

        Args:
          names: names of the model's states.

        Raises:
          UserError: the model has no such state.
        """
        for which in (self.noise_on if self.noise else NOTHING, self.restart):
            if which != NOTHING and not any(_chosen(names, which)):
                raise UserError(f"the model has no state {which!r} to perturb; it has {names}.")

    def keys(self, question: jax.Array, trajectory: jax.Array) -> jax.Array:
        """A random key for each trajectory, independent of its slot, batch and device.

        Args:
          question: int32 [B], index of the question among all questions.
          trajectory: int32 [B], index of the trajectory among those of its question.

        Returns:
          Keys [B].
        """
        base = jax.random.key(self.seed)
        return jax.vmap(lambda q, t: jax.random.fold_in(jax.random.fold_in(base, q), t))(
            question, trajectory
        )

    def begin(self, names: tuple[str, ...], latents: Latents, keys: jax.Array) -> Latents:
        """Replaces the initial states that `restart` names by random ones.

        Args:
          names: names of the model's states.
          latents: the fixed initial states, [B, L, D] each.
          keys: [B], from `keys`.
        """
        if self.restart == NOTHING:
            return latents
        shape = latents[0].shape[1:]

        def draw(key: jax.Array) -> jax.Array:
            return truncated_normal(key, shape, 1.0)

        drawn = _each(draw, keys, jnp.zeros(keys.shape, jnp.int32), len(latents))
        return _where(_chosen(names, self.restart), drawn, latents)

    def disturb(
        self, names: tuple[str, ...], latents: Latents, keys: jax.Array, steps: jax.Array
    ) -> Latents:
        """Adds the noise to the states before a supervision step.

        Args:
          names: names of the model's states.
          latents: the states, [B, L, D] each.
          keys: [B], from `keys`.
          steps: int32 [B], supervision steps so far.
        """
        if not self.noise:
            return latents
        shape = latents[0].shape[1:]

        def draw(key: jax.Array) -> jax.Array:
            return self.noise * jax.random.normal(key, shape, jnp.float32)

        drawn = _each(draw, keys, steps + 1, len(latents))
        noisy = [s.astype(jnp.float32) + d for s, d in zip(latents, drawn, strict=True)]
        return _where(_chosen(names, self.noise_on), noisy, latents)


def _each(
    draw: Callable[[jax.Array], jax.Array], keys: jax.Array, steps: jax.Array, states: int
) -> list[jax.Array]:
    """One draw per state, float32 [B, L, D] each, with independent keys per slot and state."""
    keys = jax.vmap(jax.random.fold_in)(keys, steps)
    return [
        jax.vmap(lambda key, number=number: draw(jax.random.fold_in(key, number)))(keys)
        for number in range(states)
    ]


def _where(chosen: Sequence[bool], new: Sequence[jax.Array], old: Latents) -> Latents:
    return tuple(
        n.astype(o.dtype) if use else o for use, n, o in zip(chosen, new, old, strict=True)
    )


def _chosen(names: tuple[str, ...], which: str) -> list[bool]:
    """Whether `which` includes each state: "y" is the answer state, "z" all the others."""
    return [which == "both" or (name == "y") == (which == "y") for name in names]
