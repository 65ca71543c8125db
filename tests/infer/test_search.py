"""Search, against running every trajectory alone and choosing by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.infer.test_rollout import MODEL, weights
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.infer.evaluate_curve import evaluate_curve, widths
from trm_jax.infer.evaluate_search import evaluate_search
from trm_jax.infer.halting import Halt
from trm_jax.infer.perturbation import Perturbation
from trm_jax.infer.rollout import Rollout
from trm_jax.infer.search import Search, Searcher
from trm_jax.tasks.random_puzzles import random_puzzles
from trm_jax.tasks.settings import DataConfig
from trm_jax.tasks.sudoku.task import SudokuTask
from trm_jax.tasks.views import ask

DEPTH = 4
NOISE = Perturbation(noise=0.5, restart="z", seed=3)


@functools.cache
def questions(count=11):
    """Random 4x4 grids; labels of which an answer gets some right."""
    config = DataConfig.read({"sudoku": {"box": (2, 2)}})
    return ask(random_puzzles(config, count), "train")


@functools.cache
def states():
    one = jax.tree.map(jnp.asarray, weights())
    other = one.replace(params=jax.tree.map(lambda a: a * 0.9, one.params))
    return one, other


def rows():
    return np.zeros(1, np.int32)


@functools.cache
def program():
    return Rollout(MODEL, make_mesh(1), DEPTH, len(questions()), perturbation=NOISE)


@functools.cache
def alone(checkpoint, copy, trajectory, copies):
    """The answers and halting logits of one trajectory of every question, [N, m, ...]."""
    asked = questions()
    inputs, _, _ = asked.show(np.arange(len(asked)))
    search = Search(Halt(DEPTH), copies=copies)
    turned, back = inputs, lambda answers: answers
    if copies > 1:
        turn = search.symmetries(asked).take(np.full(len(asked), copy))
        turned, back = turn.apply(inputs), turn.invert().apply
    numbers = np.arange(len(asked))
    given = {"question": numbers, "trajectory": np.full_like(numbers, trajectory)}
    path = program()(states()[checkpoint], turned, **given)
    return np.stack([back(answers) for answers in path.predictions]), path.halt_logits


def find(search, batch_size=8, devices=1, checkpoints=1):
    mesh = make_mesh(devices)
    searcher = Searcher(MODEL, questions(), search, batch_size=batch_size, mesh=mesh)
    parts = [searcher.find(states()[:checkpoints], p, rows())[2] for p in searcher.calls()]
    return [np.concatenate([part[i] for part in parts], axis=1) for i in range(4)], parts


@pytest.mark.parametrize(("copies", "rollouts"), [(1, 3), (2, 1), (2, 2)])
def test_every_trajectory_is_what_it_is_alone(copies, rollouts):
    search = Search(
        Halt(DEPTH, threshold=1.0), rollouts=rollouts, copies=copies, perturbation=NOISE
    )
    (answers, logits, confident, steps), _ = find(search, checkpoints=2)
    assert answers.shape == (2 * copies * rollouts, len(questions()), 16)
    assert not confident.any() and (steps == DEPTH).all()
    for number, found in enumerate(answers):
        checkpoint, trajectory = divmod(number, copies * rollouts)
        path, halts = alone(checkpoint, trajectory % copies, number, copies)
        np.testing.assert_array_equal(found, path[-1])
        np.testing.assert_allclose(logits[number], halts[-1], atol=1e-3)
    assert len(np.unique(answers[:, 0], axis=0)) > 1


@pytest.mark.parametrize(("batch_size", "devices"), [(3, 1), (64, 1), (8, 8)])
def test_batch_size_and_devices_change_nothing(batch_size, devices):
    search = Search(Halt(DEPTH, threshold=threshold()), rollouts=3, perturbation=NOISE)
    one, other = find(search)[0], find(search, batch_size, devices)[0]
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[3], other[3])
    assert one[2].any() and not one[2].all()


def threshold():
    """A halting probability that some trajectories of some questions exceed early."""
    halts = np.stack([alone(0, 0, t, 1)[1] for t in range(4)])
    return float(1 / (1 + np.exp(-np.quantile(halts, 0.9))))


@pytest.mark.parametrize(("batch_size", "devices"), [(3, 1), (8, 1), (8, 8), (64, 1)])
def test_a_race_takes_the_first_that_is_confident(batch_size, devices):
    halt = Halt(DEPTH, threshold=threshold())
    quick = Search(halt, rollouts=4, perturbation=NOISE, select="first")
    (answers, _, confident, steps), parts = find(quick, batch_size, devices)
    full, _ = find(Search(halt, rollouts=4, perturbation=NOISE))
    some = full[2].any(axis=0)
    assert some.any() and not some.all()
    np.testing.assert_array_equal(confident.any(axis=0), some)
    for place in np.flatnonzero(some):
        first = full[2][:, place].argmax()
        assert confident[:, place].argmax() == first
        np.testing.assert_array_equal(answers[: first + 1, place], full[0][: first + 1, place])
        np.testing.assert_array_equal(steps[: first + 1, place], full[3][: first + 1, place])
    counted = sum(full[3][: full[2][:, p].argmax() + 1, p].sum() for p in np.flatnonzero(some))
    counted += full[3][:, ~some].sum()
    assert counted <= sum(part.work for part in parts) < full[3].sum()


def test_a_race_asks_other_checkpoints_only_what_is_open():
    halt = Halt(DEPTH, threshold=threshold())
    search = Search(halt, rollouts=2, perturbation=NOISE, select="first")
    (_, logits, confident, steps), _ = find(search, checkpoints=2)
    settled = confident[:2].any(axis=0)
    assert settled.any() and not settled.all()
    assert not steps[2:, settled].any() and np.isneginf(logits[2:, settled]).all()
    assert (steps[2:, ~settled] > 0).any()


def test_scores_of_all_selections():
    search = Search(Halt(DEPTH, threshold=1.0), rollouts=4, perturbation=NOISE, select="majority")
    result = evaluate_search(
        MODEL, states(), questions(), rows(), search=search, batch_size=4, mesh=make_mesh(1)
    )
    assert result["exact_accuracy"] == result["by_selection"]["majority"]
    assert set(result["by_selection"]) == {
        "halt",
        "majority",
        "confident_majority",
        "first",
        "mean",
    }
    assert set(result["oracle"]) == {"any", "rules"}
    assert result["steps_used"] == result["work"] == 2 * 4 * DEPTH
    assert result["how"] == "depth4-rollouts4-noise-both0.5-restart-z-select-majority-seed3"
    assert result["search"]["checkpoints"] == 2


def test_oracles_know_a_right_answer_when_one_is_there(monkeypatch):
    """The labels are made to be what the second trajectory answers, and nothing else is right."""
    search = Search(Halt(DEPTH, threshold=1.0), rollouts=3, perturbation=NOISE)
    (answers, _, _, _), _ = find(search)
    asked = questions()
    labels = answers[1]

    def accepts(self, shape, questions, answers):
        return np.asarray([(each == labels).all(1).any() for each in answers])

    monkeypatch.setattr(SudokuTask, "accepts", accepts)
    inputs, _, ids = asked.show(np.arange(len(asked)))
    monkeypatch.setattr(type(asked), "show", lambda self, p: (inputs[p], labels[p], ids[p]))
    result = evaluate_search(
        MODEL, states()[:1], asked, rows(), search=search, batch_size=4, mesh=make_mesh(1)
    )
    right = [(found == labels).all(axis=1) for found in answers]
    assert result["oracle"]["any"] == 1 == result["oracle"]["rules"]
    assert result["by_selection"]["mean"] == pytest.approx(np.mean(right))
    assert result["by_selection"]["halt"] < 1


@pytest.mark.slow
def test_a_curve_ends_where_the_search_is():
    """At its last depth and width; and halting, as simulated there, is what a queue does."""
    depth = Search(Halt(DEPTH, threshold=1.0), rollouts=3, copies=2, perturbation=NOISE)
    where = {"batch_size": 4, "mesh": make_mesh(1)}
    curve = evaluate_curve(MODEL, states(), questions(), rows(), search=depth, **where)
    result = evaluate_search(MODEL, states(), questions(), rows(), search=depth, **where)
    last = {
        row["rule"]: row["exact_accuracy"]
        for row in curve["curve"]
        if row["width"] == 12 and row["depth"] == DEPTH
    }
    assert last.pop("oracle") == result["oracle"]["any"]
    assert last == {name: result["by_selection"][name] for name in ("halt", "majority", "mean")}
    alone_ = [row for row in curve["curve"] if row["rule"] == "halting"]
    assert {row["width"] for row in curve["curve"]} == {1, 2, 4, 8, 12}
    for row in alone_[:4] + alone_[-2:]:
        halt = Halt(DEPTH, threshold=row["threshold"], patience=row["patience"])
        halting = Search(halt, perturbation=NOISE)
        found = evaluate_search(MODEL, states()[:1], questions(), rows(), search=halting, **where)
        assert row["steps"] == pytest.approx(found["steps_used"])
        assert row["exact_accuracy"] == pytest.approx(found["exact_accuracy"])
    row = next(r for r in curve["curve"] if r["width"] == 4 and r["depth"] == 3)
    assert row["steps"] == 12 and row["seconds"] > 0 and row["tflop"] > 0
    assert sum(curve["reliability"]["count"]) == len(questions())


def test_widths():
    assert widths(1) == [1] and widths(8) == [1, 2, 4, 8] and widths(12) == [1, 2, 4, 8, 12]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rollouts": 2}, "all identical"),
        ({"copies": 0}, "1 or more"),
        ({"select": "first", "halt": Halt(3, threshold=1.0)}, "add --halt"),
    ],
)
def test_senseless_searches_are_refused(wrong, words):
    with pytest.raises(UserError, match=words):
        Search(**({"halt": Halt(3)} | wrong))


def test_more_answers_than_memory_holds_are_refused():
    search = Search(Halt(3), rollouts=10**12, perturbation=NOISE)
    with pytest.raises(UserError, match="14,901 GiB"):
        Searcher(MODEL, questions(), search, batch_size=8, mesh=make_mesh(1))
