"""Search by chains: it answers by the rules or not at all, within its limits, on any devices.

The weights eliminate nothing and see no conflicts, so rounds are guesses alone: that tries the
queue and the restarts.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.train.test_pool import experiment
from trm_jax.cli import main
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.infer.chain_search import ChainSearch, Found, Limits
from trm_jax.infer.evaluate_chains import evaluate_chains
from trm_jax.infer.watch import GUESSED, SOLVED, watch
from trm_jax.models import get_model
from trm_jax.show.trace_record import trace_chains
from trm_jax.tasks.sources import open_test_data, open_training_data
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.tasks.task import task_of
from trm_jax.tasks.views import ask
from trm_jax.train.loop import train

SUDOKU = Sudoku(2, 2)
SHAPE = {"task": "sudoku", "box": [2, 2], "vocab": 6, "cells": 16}
ANSWER = "1234341221434321"
OTHER = "1243432121343412"


def question(answer, *blanks):
    return "".join("." if i in blanks else c for i, c in enumerate(answer))


EASY = [question(ANSWER, 0), question(OTHER, 3, 9), question(ANSWER, 5, 6, 15), question(OTHER, 1)]
IMPOSSIBLE = "1234" + "21.." + "...." + "...4"  # 21 puts a second 2 into the first box


@pytest.fixture(scope="module")
def model():
    return get_model(experiment().model_config({"vocab": 6, "cells": 16}))


@pytest.fixture(scope="module")
def params(model):
    drawn = model.init(jax.random.key(0))
    for head, bias in (("candidate_head", 3.0), ("conflict_head", -9.0)):
        drawn[head] = jax.tree.map(jnp.zeros_like, drawn[head])
        drawn[head]["bias"] += bias
    return drawn


@pytest.fixture(scope="module")
def deduction():
    manifest = {"task": "sudoku", "box": [2, 2]}
    return task_of(manifest).deduction(manifest)


def tokens(*puzzles):
    return np.stack([SUDOKU.parse(puzzle) for puzzle in puzzles])


def search(model, deduction, devices=1, batch_size=8, **limits):
    return ChainSearch(model, deduction, make_mesh(devices), batch_size, Limits(**limits))


def test_answers_keep_the_rules_and_the_givens(model, deduction, params):
    asked = tokens(*EASY)
    found = search(model, deduction)(params, asked)
    assert found.solved.all()
    assert SUDOKU.valid_answers(found.answers).all()
    assert ((found.answers == asked) | (asked == 1)).all()
    assert (found.passes >= found.rounds).all() and (found.rounds >= 1).all()
    assert (found.chains >= 1).all()


def test_what_cannot_be_solved_gets_no_answer(model, deduction, params):
    found = search(model, deduction, passes=60, chains=4)(params, tokens(EASY[0], IMPOSSIBLE))
    np.testing.assert_array_equal(found.solved, [True, False])
    assert not found.answers[1].any()
    assert 60 <= found.passes[1] < 64


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_more_puzzles_than_slots_and_more_slots_than_puzzles(model, deduction, params, batch_size):
    found = search(model, deduction, batch_size=batch_size, chains=4)(params, tokens(*EASY * 3))
    assert found.solved.all() and SUDOKU.valid_answers(found.answers).all()


def test_a_chain_ends_after_its_rounds(model, deduction, params):
    """With one round each, no chain gets beyond its first guess."""
    found = search(model, deduction, passes=20, chains=1, rounds=1)(
        params, tokens("." * 16, question(ANSWER))
    )
    np.testing.assert_array_equal(found.solved, [False, True])
    assert found.chains[0] == found.passes[0] == 20


def test_seconds_end_the_search(model, deduction, params):
    found = search(model, deduction, passes=10**9, seconds=1e-9)(params, tokens(IMPOSSIBLE))
    assert not found.solved[0] and found.passes[0] == 0


@pytest.mark.slow
def test_eight_devices_search_as_one_does(model, deduction, params):
    asked = tokens(*EASY, *EASY)
    one = search(model, deduction, batch_size=16)(params, asked)
    eight = search(model, deduction, devices=8, batch_size=16)(params, asked)
    for name in ("answers", "solved", "passes", "rounds", "chains"):
        np.testing.assert_array_equal(getattr(one, name), getattr(eight, name), err_msg=name)


@pytest.mark.slow
def test_the_seed_decides(model, deduction, params):
    asked = tokens(*[question(ANSWER, 0, 1, 4)] * 3)
    found = [
        search(model, deduction, seed=s, chains=1)(params, asked).passes.tolist() for s in (0, 0, 1)
    ]
    assert found[0] == found[1] != found[2]


def test_watching_keeps_to_the_seconds(model, deduction, params):
    endless = search(model, deduction, passes=10**9, seconds=1e-9)
    assert len(watch(endless, params, tokens(IMPOSSIBLE))[0].ends) == 1


def test_watching_shows_the_chains_of_the_search(model, deduction, params):
    asked = tokens(*EASY, question(ANSWER, 0, 1, 4))
    alone = search(model, deduction, chains=1)
    found = alone(params, asked)
    watched = watch(alone, params, asked)
    for number, seen in enumerate(watched):
        assert len(seen.ends) == found.passes[number]
        assert (seen.ends[:-1] != SOLVED).all() and seen.ends[-1] == SOLVED
        np.testing.assert_array_equal(seen.path[-1], found.answers[number])
        assert ((seen.cells >= 0) == (seen.ends == GUESSED)).all()
    manifest = {"task": "sudoku", "box": [2, 2]}
    traces = trace_chains(manifest, asked, watched)
    assert traces[-1].verdict == "solved" and traces[-1].events[-1] == "solved"
    guess = next(e for e in traces[-1].events if e.startswith("guesses"))
    assert guess.split()[1] in "1234"
    assert sum(t is not None for t in traces[-1].marked) == (watched[-1].cells >= 0).sum()


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"passes": 0}, "--passes is 0"),
        ({"chains": -1}, "--chains is -1"),
        ({"rounds": 2**31}, "--rounds is 2147483648"),
        ({"seconds": 0}, "--seconds is 0"),
        ({"seconds": float("nan")}, "--seconds is nan"),
        ({"seed": -1}, "--seed is -1"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits, words):
    with pytest.raises(UserError, match=words):
        Limits(**limits)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("lattice") / "run"
    blind = {"lattice": {"search_conflict_above": 1.0, "conflict_above": 1.0}}
    config = experiment(name="lattice", model=blind, steps=4, eval_every=4, checkpoint_every=4)
    assert train(config, str(path)) == 0
    return path


def test_solved_wrong_and_abstained_are_all_puzzles(model, deduction, params, tmp_path):
    config = experiment(data={"base_examples": 4, "heldout_examples": 12})
    dataset = open_training_data(config.data, tmp_path / "data")
    questions = ask(dataset, "heldout", 0)
    found = evaluate_chains(search(model, deduction, passes=40), params, questions)
    assert found["solved"] + found["wrong"] + found["abstained"] == pytest.approx(1)
    assert found["wrong"] == 0  # every puzzle has one solution, so rules and label agree
    assert found["curve"][-1]["solved"] == found["solved"] and found["examples"] == 12
    shares = [point["solved"] for point in found["curve"]]
    assert shares == sorted(shares)
    per_pass = model.step_flops(1, train=False) / 1e12
    assert found["tflop"] == pytest.approx(found["passes"] * per_pass)


class Answering:
    """A search that has found some answers."""

    batch_size = 8

    def __init__(self, model, *answers):
        counts = np.ones(len(answers), np.int32)
        self.model, self.limits = model, Limits()
        self.found = Found(tokens(*answers), counts > 0, counts, counts, counts, 0.0)

    def __call__(self, params, questions):
        return self.found


def test_an_answer_is_right_by_the_label_or_by_the_rules(model, tmp_path):
    """Of a puzzle with several solutions, of which one is the label, and one more puzzle."""
    path = tmp_path / "puzzles.csv"
    several, swapped = "12..34.." + "........", "1243342121344312"
    path.write_text(f"question,answer\n{several},1234341221434321\n{EASY[0]},{ANSWER}\n")
    data = open_test_data(str(path), SHAPE)
    questions = ask(data, "test", 0)
    broken = ANSWER[:-1] + "2"
    for answers, solved, other, wrong in (
        ((ANSWER, ANSWER), 1.0, 0.0, 0.0),
        ((swapped, ANSWER), 1.0, 0.5, 0.0),
        ((ANSWER, broken), 0.5, 0.0, 0.5),
    ):
        scores = evaluate_chains(Answering(model, *answers), None, questions)
        found = [scores[key] for key in ("solved", "other_solution", "wrong")]
        assert found == [solved, other, wrong]


def test_the_command_reports_with_and_without_search(workdir, capsys):
    assert main(["eval", "--workdir", str(workdir), "--json", "--passes", "32"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert len(record["by_depth"]) == 3 and "exact_accuracy" in record
    assert record["chain_search"]["limits"]["passes"] == 32
    assert main(["eval", "--workdir", str(workdir), "--json", "--nosearch"]) == 0
    assert "chain_search" not in json.loads(capsys.readouterr().out)
    assert main(["eval", "--workdir", str(workdir), "--passes", "32"]) == 0
    text = capsys.readouterr().out
    limited = ["--passes", "32", "--rounds", "8", "--seconds", "60", "--json"]
    assert main(["eval", "--workdir", str(workdir), *limited]) == 0
    assert json.loads(capsys.readouterr().out)["file"].endswith("-rounds8-seconds60.json")
    assert "without search (one chain of 3 rounds)" in text and "without an answer" in text


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--halt"], "--halt is not for lattice models"),
        (["--rollouts", "2"], "--rollouts is not for lattice models"),
        (["--nosearch", "--passes", "3"], "--passes has no effect with --nosearch"),
        (["--passes", "0"], "--passes is 0"),
    ],
)
def test_flags_of_other_searches_are_refused(workdir, capsys, flags, words):
    assert main(["eval", "--workdir", str(workdir), *flags]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_solving_answers_or_abstains(workdir, capsys, tmp_path):
    page = tmp_path / "trace.html"
    arguments = ["solve", "--workdir", str(workdir), "--trace", str(page)]
    assert main([*arguments, *EASY]) == 0
    out = capsys.readouterr().out
    assert out.count("solved, by the rules and the givens") == 4
    assert "guesses" in page.read_text()
    assert main(["solve", "--workdir", str(workdir), "--json", "--passes", "2", "." * 16]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["answer"] is None and not record["solved"]
    assert main(["solve", "--workdir", str(workdir), "--passes", "2", "." * 16]) == 1
    assert "UNSOLVED after" in capsys.readouterr().out
    assert main(["solve", "--workdir", str(workdir), "--passes", "1", "." * 16]) == 1
    assert "UNSOLVED after 1 network pass, 1 round, 1 chain;" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--nosearch", "--rounds", "3"], "--rounds has no effect with --nosearch"),
        (["--nosearch", "--seed", "3"], "--seed has no effect with --nosearch"),
        (["--steps", "3"], "--steps limits a single chain"),
    ],
)
def test_flags_of_the_other_way_to_solve_are_refused(workdir, capsys, flags, words):
    assert main(["solve", "--workdir", str(workdir), *flags, EASY[0]]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_it_says_where_the_chains_shown_end_otherwise(workdir, capsys):
    few = ["solve", "--workdir", str(workdir), "--passes", "8", "--seed", "2", "--show"]
    asked = question(ANSWER, 0, 1, 4, 5)
    main([*few, "--chains", "8", asked])
    said = capsys.readouterr()
    ends = said.out.splitlines()[-1] == "solved", "UNSOLVED after" not in said.out
    assert ("ends differently for puzzle 1" in said.err) == (ends[0] != ends[1])
    main([*few, "--chains", "1", asked])
    assert "ends differently" not in capsys.readouterr().err


def test_the_python_interface_searches(workdir):
    import trm_jax

    solver = trm_jax.load(workdir)
    found = solver.solve([*EASY])
    assert all(each.solved for each in found) and found[0].text == ANSWER
    with pytest.raises(UserError, match="leave it out"):
        solver.solve(EASY[0], steps=2)


def test_an_export_takes_one_chain(workdir, tmp_path, capsys):
    import trm_jax

    assert main(["export", "--workdir", str(workdir), "--out", str(tmp_path / "out")]) == 0
    assert "same answers" in capsys.readouterr().out
    solver = trm_jax.load(tmp_path / "out")
    assert solver.solve(question(ANSWER))[0].solved
