"""Training on a pool of the model's own states, one state of candidates in each slot.

In an update, (1) slots whose state has ended take the incoming puzzle, either unchanged or with
cells filled in; (2) the gradient is computed on all states, each under a random symmetry; (3) under
another random symmetry, all states take a round with the new weights: eliminate, and guess unless
the state has ended.
Source: "Lattice Deduction Transformers", arXiv 2605.08605.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.sharding import Mesh, PartitionSpec

from trm_jax.config.experiment import OptimizerConfig
from trm_jax.core.mesh import SLOTS
from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.core.types import Batch
from trm_jax.core.wording import percent
from trm_jax.models.lattice.deduce import eliminate, guess
from trm_jax.models.lattice.lattice_model import LatticeModel
from trm_jax.models.lattice.loss import Truth
from trm_jax.models.lattice.network import fold
from trm_jax.models.lattice.settings import LatticeSettings
from trm_jax.tasks.deduction import Deduction, Movement
from trm_jax.train.gradient import in_parts
from trm_jax.train.optim import ema_decay, ema_update, schedule
from trm_jax.train.state import TrainState
from trm_jax.train.step import add_metrics

FRESH, TURN, DROPOUT, TURN_AGAIN, GUESS = range(5)
"""Numbers that are folded into a slot's random key of the update, by purpose."""

MISTAKES = (0.01, 0.3)
"""Range of the fraction of a mistaken state's filled cells that are wrong."""
MISTAKEN_FILL = 0.1
"""Min fraction of the empty cells that are filled in a mistaken state."""

Metrics = dict[str, jax.Array]


class Pool(struct.PyTreeNode):
    """The states of all slots.

    Attributes:
      candidates: bool [B, S, C].
      answers: uint8 [B, S], index of each cell's true candidate.
      given: bool [B, S], cells that were filled when the state started.
      rounds: int32 [B], number of rounds of the state.
      ended: bool [B]; such a slot takes a new puzzle in the next update.
    """

    candidates: jax.Array
    answers: jax.Array
    given: jax.Array
    rounds: jax.Array
    ended: jax.Array


def empty_pool(model: LatticeModel, batch_size: int) -> Pool:
    """Makes a pool in which every state has ended, so that the first update fills it."""
    cells = (batch_size, model.config.cells)
    return Pool(
        candidates=jnp.zeros((*cells, model.symbols), bool),
        answers=jnp.zeros(cells, jnp.uint8),
        given=jnp.zeros(cells, bool),
        rounds=jnp.zeros((batch_size,), jnp.int32),
        ended=jnp.ones((batch_size,), bool),
    )


def truth_of(pool: Pool) -> Truth:
    """The pool's states with their targets."""
    symbols = pool.candidates.shape[-1]
    digits = jax.nn.one_hot(pool.answers.astype(jnp.int32), symbols, dtype=bool)
    return Truth(pool.candidates, digits, pool.given)


def refill(pool: Pool, batch: Batch, keys: jax.Array, model: LatticeModel) -> Pool:
    """Gives slots whose state has ended the incoming puzzle; other slots are unchanged.

    Args:
      pool: pool after the previous update.
      batch: one puzzle for each slot; those for slots that have not ended are dropped.
      keys: random keys [B].
      model: the model.
    """
    answers = batch.labels - FIRST_DIGIT
    filled = _filled(batch.inputs - FIRST_DIGIT, answers, keys, model)
    fresh = Pool(
        candidates=model.candidates_of(filled + FIRST_DIGIT),
        answers=answers.astype(jnp.uint8),
        given=filled >= 0,
        rounds=jnp.zeros_like(pool.rounds),
        ended=jnp.zeros_like(pool.ended),
    )

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(pool.ended.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    return jax.tree.map(choose, fresh, pool)


def _filled(
    questions: jax.Array, answers: jax.Array, keys: jax.Array, model: LatticeModel
) -> jax.Array:
    """Questions with some cells filled in, correctly or partly wrongly; int32 [B, S], -1 is empty.

    A question is of one of three kinds, with probabilities from `LatticeSettings`: unchanged; a
    random fraction of the empty cells filled in correctly; or 10 to 100 % of them filled in, of
    which 1 to 30 % wrongly.
    """
    settings: LatticeSettings = model.config.lattice

    def one(question: jax.Array, answer: jax.Array, key: jax.Array) -> jax.Array:
        of_kind, of_share, of_cells, of_wrong, of_mistakes, of_digits = jax.random.split(key, 6)
        kind, share = jax.random.uniform(of_kind), jax.random.uniform(of_share)
        mistaken = kind < settings.mistaken_share
        untouched = kind >= settings.mistaken_share + settings.filled_share
        share = jnp.where(mistaken, MISTAKEN_FILL + (1 - MISTAKEN_FILL) * share, share)
        share = jnp.where(untouched, 0.0, share)
        fill = (question < 0) & (jax.random.uniform(of_cells, question.shape) < share)
        wrong_share = jax.random.uniform(of_wrong, minval=MISTAKES[0], maxval=MISTAKES[1])
        wrong = mistaken & (jax.random.uniform(of_mistakes, question.shape) < wrong_share)
        other = jax.random.randint(of_digits, question.shape, 1, model.symbols)
        digits = jnp.where(wrong, (answer + other) % model.symbols, answer)
        return jnp.where(fill, digits, jnp.maximum(question, -1))

    return jax.vmap(one)(questions, answers, keys)


def turn(pool: Pool, movement: Movement) -> Pool:
    """Applies a symmetry to each of the pool's states."""
    places = jnp.argsort(movement.symbols, axis=-1).astype(jnp.uint8)
    moved = movement.apply(pool.answers).astype(jnp.int32)
    return pool.replace(
        candidates=movement.apply(pool.candidates),
        answers=jnp.take_along_axis(places, moved, axis=1),
        given=movement.apply(pool.given),
    )


def update(
    state: TrainState,
    batch: Batch,
    *,
    model: LatticeModel,
    optimizer: optax.GradientTransformation,
    optimizer_config: OptimizerConfig,
    total_steps: int,
    log_every: int,
    mesh: Mesh,
    parts: int,
    deduction: Deduction,
) -> TrainState:
    """Does one optimizer update and one round of the pool, see the module's docstring."""
    batch_size = state.carry.ended.shape[0]
    keys = jax.random.split(jax.random.fold_in(state.key, state.step), batch_size)
    pool = refill(state.carry, batch, fold(keys, FRESH), model)
    pool = turn(pool, deduction.draw(fold(keys, TURN)))
    params = state.weights.params
    grads, metrics = _gradient(model, mesh, parts)(params, pool, fold(keys, DROPOUT))
    updates, opt_state = optimizer.update(grads, state.opt_state, params)
    params = optax.apply_updates(params, updates)
    pool = turn(pool, deduction.draw(fold(keys, TURN_AGAIN)))
    pool, played = _round(model, mesh)(params, pool, fold(keys, GUESS))
    metrics |= played
    metrics["updates"] = jnp.ones((), jnp.float32)
    metrics["gradient_norm"] = optax.tree.norm(grads).astype(jnp.float32)
    rate = schedule(optimizer_config.lr, optimizer_config, total_steps)(state.step)
    metrics["lr"] = rate
    averaged = {"params": params, "table": state.weights.table}
    new = {name: averaged[name] for name in state.ema}
    return state.replace(
        step=state.step + 1,
        weights=state.weights.replace(params=params),
        opt_state=opt_state,
        ema=ema_update(state.ema, new, ema_decay(optimizer_config, state.step)),
        carry=pool,
        sums=add_metrics(state.sums, metrics, fresh=state.step % log_every == 0),
    )


def _gradient(model: LatticeModel, mesh: Mesh, parts: int) -> Callable[..., Any]:
    """Makes a function of params, pool and keys [B] for the gradient and the metric sums.

    Each device processes its own slots in `parts`; the sums are added in one all-reduce.
    """
    settings = model.config.lattice

    def on_device(params: Any, pool: Pool, keys: jax.Array) -> Any:
        slots = pool.ended.shape[0] * mesh.size
        counted = jnp.sum(truth_of(pool).counted).astype(jnp.float32)
        cells = jnp.maximum(jax.lax.psum(counted, SLOTS), 1)

        def gradient(pool: Pool, keys: jax.Array) -> Any:
            truth = truth_of(pool)

            def loss(params: Any) -> Any:
                losses, said = model.losses(params, truth, keys)
                whole = losses.candidates / slots + settings.digit_weight * losses.digits / cells
                whole += settings.conflict_weight * losses.conflict / slots
                return whole, (losses, said)

            grads, (losses, said) = jax.grad(loss, has_aux=True)(params)
            live = jnp.where(truth.candidates, said.digits, jnp.finfo(said.digits.dtype).min)
            right = jnp.argmax(live, axis=-1).astype(jnp.uint8) == pool.answers
            metrics = {
                "candidate_loss": losses.candidates,
                "digit_loss": losses.digits,
                "conflict_loss": losses.conflict,
                "digits_asked": jnp.sum(truth.counted),
                "digits_right": jnp.sum(truth.counted & right),
            }
            return grads, (), (), _float32(metrics)

        grads, _, _, metrics = in_parts(gradient, (pool, keys), parts)
        return jax.lax.psum((grads, metrics), SLOTS)

    return _over_devices(on_device, mesh, (PartitionSpec(), PartitionSpec()))


def _round(model: LatticeModel, mesh: Mesh) -> Callable[..., Any]:
    """Makes a function of params, pool and keys [B]: the pool after a round, and metric sums."""
    settings = model.config.lattice

    def on_device(params: Any, pool: Pool, keys: jax.Array) -> Any:
        before = truth_of(pool)
        said = model.loops(params, pool.candidates)
        deduced = eliminate(said, pool.candidates, pool.given, settings)
        after = before._replace(candidates=deduced.candidates)
        sound = after.satisfiable
        rounds = pool.rounds + 1
        found = deduced.conflict & ~sound
        ended = deduced.solved | found | (rounds > settings.max_rounds)
        lost = before.candidates & before.digits & ~deduced.candidates
        metrics = {
            "states": jnp.ones_like(sound),
            "sound": sound,
            "conflicts_found": found,
            "conflicts_false": deduced.conflict & sound,
            "false_eliminations": jnp.sum(lost & before.satisfiable[:, None, None], axis=(1, 2)),
            "solved": deduced.solved,
            "false_answers": deduced.solved & ~sound,
            "ended": ended,
            "rounds": jnp.where(ended, rounds, 0),
        }
        pool = pool.replace(
            candidates=guess(deduced, said, settings, keys), rounds=rounds, ended=ended
        )
        sums = {name: jnp.sum(values) for name, values in metrics.items()}
        return pool, jax.lax.psum(_float32(sums), SLOTS)

    return _over_devices(on_device, mesh, (PartitionSpec(SLOTS), PartitionSpec()))


def _over_devices(function: Callable[..., Any], mesh: Mesh, outputs: Any) -> Callable[..., Any]:
    split = PartitionSpec(SLOTS)
    # check_vma=False: see `train.gradient`
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=(PartitionSpec(), split, split),
        out_specs=outputs,
        check_vma=False,
    )


def _float32(metrics: Metrics) -> Metrics:
    return {name: value.astype(jnp.float32) for name, value in metrics.items()}


METRICS = (
    "updates",
    "lr",
    "gradient_norm",
    "candidate_loss",
    "digit_loss",
    "conflict_loss",
    "digits_asked",
    "digits_right",
    "states",
    "sound",
    "conflicts_found",
    "conflicts_false",
    "false_eliminations",
    "solved",
    "false_answers",
    "ended",
    "rounds",
)
"""Keys of the metric sums of an update."""


def summarise(sums: Metrics, settings: LatticeSettings) -> Metrics:
    """Computes means from metric sums; a mean over nothing is NaN.

    Args:
      sums: metric sums of `update`.
      settings: its weights of the losses are used.

    Returns:
      `loss` and its parts `candidate_loss`, `digit_loss` and `conflict_loss`; `gradient_norm` per
      update; `lr` of the last update; `digits_right`, the fraction of empty cells of sound states
      (in which no cell has lost its true digit) that are right; `conflicts_found`, the fraction of
      unsound states in which a conflict was detected, and `conflicts_false`, of sound ones;
      `false_eliminations`, the number of true digits eliminated per state; `solved`, the fraction
      of states that a round ends with an answer, and `false_answers`, the fraction of these that
      are wrong; `rounds` per puzzle.
    """
    states, digits = sums["states"], sums["digits_asked"]
    means = {
        "candidate_loss": sums["candidate_loss"] / states,
        "digit_loss": sums["digit_loss"] / digits,
        "conflict_loss": sums["conflict_loss"] / states,
        "gradient_norm": sums["gradient_norm"] / sums["updates"],
        "lr": 1 * sums["lr"],  # a copy, since the state's own buffer is donated next
        "digits_right": sums["digits_right"] / digits,
        "conflicts_found": sums["conflicts_found"] / (states - sums["sound"]),
        "conflicts_false": sums["conflicts_false"] / sums["sound"],
        "false_eliminations": sums["false_eliminations"] / states,
        "solved": sums["solved"] / states,
        "false_answers": sums["false_answers"] / sums["solved"],
        "rounds": sums["rounds"] / sums["ended"],
    }
    means["loss"] = (
        means["candidate_loss"]
        + settings.digit_weight * means["digit_loss"]
        + settings.conflict_weight * means["conflict_loss"]
    )
    return means


def describe(values: dict[str, float]) -> str:
    """Formats the means of a log point in one line."""
    return (
        f"digits {percent(values['digits_right'])}  "
        f"conflicts found {percent(values['conflicts_found'])}  "
        f"false eliminations {values['false_eliminations']:.4f}  "
        f"solved {percent(values['solved'])}  "
        f"rounds {values['rounds']:.1f}"
    )
