"""The symmetries and the rules of Futoshiki as JAX functions, for lattice models.

Candidates are digits, signs and the gap. Signs and gaps are given, so their places have only one.
"""

import jax
import jax.numpy as jnp

from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.tasks.deduction import Deduction, Movement
from trm_jax.tasks.futoshiki.futoshiki import SIGNS, Futoshiki
from trm_jax.tasks.futoshiki.symmetry import COUNT, all_symmetries


def deduction(puzzle: Futoshiki) -> Deduction:
    """See `Task.deduction`; the symmetries are those of `symmetry.all_symmetries`."""
    images = all_symmetries(puzzle)
    cells = jnp.asarray(images.cells, jnp.int32)
    symbols = jnp.asarray(images.invert().digits, jnp.int32)
    side, squares = puzzle.side, jnp.asarray(puzzle.squares())
    place, first, second = jnp.asarray(puzzle.edges(), jnp.int32).T
    first_sign = puzzle.first_sign - FIRST_DIGIT

    def draw(keys: jax.Array) -> Movement:
        numbers = jax.vmap(lambda key: jax.random.randint(key, (), 0, COUNT))(keys)
        return Movement(jnp.take(cells, numbers, axis=0), jnp.take(symbols, numbers, axis=0))

    def accepts(answers: jax.Array) -> jax.Array:
        digits = jnp.take(answers, squares, axis=1)
        square = jax.nn.one_hot(digits.reshape(-1, side, side), side, dtype=jnp.int32)
        once = (square.sum(axis=1) == 1) & (square.sum(axis=2) == 1)
        signs = jnp.take(answers, place, axis=1) - first_sign
        less = jnp.take(digits, first, axis=1) < jnp.take(digits, second, axis=1)
        none = (signs < 0) | (signs >= len(SIGNS))
        kept = none | (less == (signs % 2 == 0))
        return jnp.all(once, axis=(1, 2)) & jnp.all(kept, axis=1)

    return Deduction(draw, accepts)
