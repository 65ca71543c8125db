"""ARC's evaluation with planted models: they get what they deserve, whatever the batches."""

import functools
import json
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import runs
from tests.arc_tasks import some_task, source
from trm_jax.cli import main
from trm_jax.config.experiment import from_dict
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.core.types import Output
from trm_jax.data.questions import trained_rows
from trm_jax.data.rows import BLANK_ROWS
from trm_jax.infer.evaluate import evaluate
from trm_jax.infer.rollout import Rollout
from trm_jax.models.weights import Weights
from trm_jax.tasks.arc.build import ArcRecipe, build, build_tasks
from trm_jax.tasks.arc.canvas import VOCAB
from trm_jax.tasks.task import task_of
from trm_jax.tasks.views import ask
from trm_jax.train.loop import train
from trm_jax.train.trained import load

SIDE = 12
TASKS = [some_task(f"t{i}", tests=1 + i % 2) for i in range(6)]
DATA = build_tasks(TASKS, SIDE, 7, 0, "here")
ROWS = np.arange(len(DATA.rows), dtype=np.int32)


class LookedUp:
    """In place of a model: it looks its answers up in its parameters, after the second step."""

    state_names = ("y",)
    config = types.SimpleNamespace(tokens=1, width=1, dtype="float32", cells=SIDE**2)

    def start(self, initial, inputs):
        return tuple(jnp.broadcast_to(vector, (inputs.shape[0], 1, 1)) for vector in initial)

    def supervision_step(self, params, latents, inputs, rows):
        (taken,) = latents
        same = (inputs[:, None] == params["inputs"][None]).all(axis=-1)
        same &= rows.astype(jnp.int32) == params["ids"][None]  # a row holds its own number
        place = jnp.argmax(same, axis=1)
        answers = jnp.where(taken[:, 0] > 0, params["answers"][place], 0)
        sure = params["sure"][place]
        logits = jax.nn.one_hot(answers, VOCAB, dtype=jnp.float32)
        return (taken + 1,), Output(logits=logits, halt_logits=sure, continue_logits=sure)


@functools.cache
def program(batch_size, devices):
    """Answers to depth 2; the same for all planted models."""
    return Rollout(LookedUp(), make_mesh(devices), 2, batch_size)


def planted(right, sure=None):
    """Weights with which rows answer rightly where `right(row, question)`, else all black.

    Wrong answers differ in size from row to row: no two of them ever vote together.
    """

    def weights(data):
        questions = ask(data, "test", 7)
        inputs, labels, ids = questions.show(np.arange(len(questions)))
        answers = labels.copy()
        knows = np.asarray([right(int(i), q) for i, q in zip(ids, inputs, strict=True)])
        for place in np.flatnonzero(~knows):
            wrong = np.zeros((SIDE, SIDE), np.uint8)
            wrong[: 1 + ids[place] % SIDE, : 1 + ids[place] // SIDE % SIDE] = 2
            answers[place] = wrong.reshape(-1)
        params = {
            "inputs": inputs.astype(np.int32),
            "ids": ids,
            "answers": answers.astype(np.int32),
            "sure": np.asarray([sure(int(i)) if sure else 0.0 for i in ids], np.float32),
        }
        table = np.arange(len(data.rows), dtype=np.float32)[:, None]
        return Weights(params=params, table=table, initial=(np.zeros(1, np.float32),))

    return weights


def score(model, copies=7, tasks=0, batch_size=10, devices=1, voting="count", data=DATA):
    questions = ask(data, "test", copies, tasks)
    run = program(min(batch_size, len(questions)), devices)
    return evaluate(run, model(data), questions, ROWS, voting=voting)


def test_an_oracle_solves_all():
    result = score(planted(lambda row, question: True))
    assert result["pass@1"] == result["pass@2"] == result["exact_accuracy"] == result["score"] == 1
    assert (result["tasks"], result["tests"], result["examples"]) == (6, 9, 72)
    for task in TASKS:
        for test, attempts in zip(task.tests, result["submission"][task.name], strict=True):
            assert attempts == dict.fromkeys(("attempt_1", "attempt_2"), test.output.tolist())


def test_a_model_that_knows_nothing_solves_none():
    result = score(planted(lambda row, question: False))
    assert result["pass@1"] == result["pass@1000"] == result["exact_accuracy"] == 0


def test_two_copies_outvote_six_that_disagree():
    """Right on two copies of each test; the others are each wrong in a way of their own."""
    first = DATA.rows.first[:-1]
    result = score(planted(lambda row, question: row in first + 1 or row in first + 3))
    assert result["pass@1"] == 1 and result["exact_accuracy"] == 0.25
    alone = score(planted(lambda row, question: row in first + 1))
    assert alone["pass@1"] < 1 and alone["pass@10"] == 1 and alone["exact_accuracy"] == 0.125


def test_a_half_right_model_gets_the_score_computed_by_hand():
    """Right on tasks 0, 2 and 4, and on the first test of task 1, which has two."""
    solved = [DATA.inputs[i].tobytes() for i in DATA.examples("test")[:2]]
    numbers = DATA.puzzles()
    original = {int(DATA.rows.first[n]): n for n in range(6)}

    def right(row, question):
        number = original[max(r for r in original if r <= row)]
        if number == 1:
            return row in original and question.astype(np.uint8).tobytes() in solved
        return number % 2 == 0

    result = score(planted(right, sure=lambda row: 5.0 if row in original else -5.0))
    assert result["pass@1"] == pytest.approx((3 + 0.5) / 6)
    assert len(set(numbers.tolist())) == 6


def test_any_subset_of_copies_scores_as_counted_by_hand():
    """Wrong answers are all different, so right copies win with two votes, or as the surest."""
    draw = np.random.default_rng(0)
    for _ in range(5):
        knows = draw.random(len(DATA.rows)) < draw.choice([0.05, 0.15, 0.4])
        sure = draw.normal(size=len(DATA.rows))
        result = score(planted(lambda row, q, k=knows: k[row], lambda row, s=sure: float(s[row])))
        expected = {1: 0.0, 2: 0.0, 5: 0.0}
        for number in range(6):
            rows = np.arange(*DATA.rows.first[number : number + 2])
            mine = rows[knows[rows]]
            sizes = {(r % SIDE, r // SIDE % SIDE) for r in rows[~knows[rows]]}
            assert len(sizes) == (~knows[rows]).sum(), "wrong answers are not all different"
            ahead = (sure[rows[~knows[rows]]] > sure[mine].mean()).sum() if len(mine) == 1 else 0
            for tries in expected:
                expected[tries] += bool(len(mine)) and ahead < tries
        for tries, count in expected.items():
            assert result[f"pass@{tries}"] == pytest.approx(count / 6)


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("batch_size", [1, 7, 500])
def test_batches_and_devices_change_nothing(devices, batch_size):
    draw = np.random.default_rng(1)
    knows, sure = draw.random(len(DATA.rows)) < 0.3, draw.normal(size=len(DATA.rows))
    model = planted(lambda row, q: knows[row], lambda row: float(sure[row]))
    plain, other = score(model), score(model, batch_size=batch_size, devices=devices)
    for key in set(plain) - {"seconds"}:
        assert plain[key] == other[key], key


def test_nothing_is_kept_from_one_evaluation_to_the_next():
    right, wrong = planted(lambda row, q: True), planted(lambda row, q: False)
    before = score(wrong)
    score(right)
    assert score(wrong)["submission"] == before["submission"]
    assert score(wrong)["pass@1000"] == 0


def test_caps():
    oracle = planted(lambda row, question: True)
    assert score(oracle, copies=0)["examples"] == 9
    few = score(oracle, copies=2, tasks=2)
    assert (few["tasks"], few["tests"], few["examples"]) == (2, 3, 9)
    with pytest.raises(UserError, match="copies is -1; give 0"):
        ask(DATA, "test", -1)
    with pytest.raises(UserError, match="puzzles to ask is -2; give 0"):
        ask(DATA, "test", 0, -2)
    with pytest.raises(UserError, match="voting is 'shout'.*count"):
        score(oracle, voting="shout")


def test_other_ways_to_vote_can_change_the_winner():
    first = DATA.rows.first[:-1]
    # right on one copy, and very sure there
    model = planted(lambda row, q: row in first + 2, lambda row: 9.0 if row in first + 2 else -9.0)
    for voting in ("count", "confidence_sum", "confidence_mean", "confidence_max"):
        assert score(model, voting=voting)["pass@1"] == 1
    unsure = planted(lambda row, q: row in first + 2, lambda row: -9.0 if row in first + 2 else 9.0)
    assert score(unsure, voting="confidence_max")["pass@1"] == 0


def test_tests_without_answers_are_submitted_and_not_scored():
    hidden = [t._replace(tests=[p._replace(output=None) for p in t.tests]) for t in TASKS]
    data = build_tasks(hidden, SIDE, 7, 0, "here")
    result = score(planted(lambda row, question: False), data=data)
    assert result["exact_accuracy"] is None and result["score"] is None
    assert not [key for key in result if key.startswith("pass@")]
    assert [len(result["submission"][t.name]) for t in TASKS] == [1, 2, 1, 2, 1, 2]
    json.dumps({key: value for key, value in result.items()}, allow_nan=False)


def test_rows_are_found_by_name_or_refused():
    questions = ask(DATA, "test", 3)
    backwards = build_tasks(TASKS[::-1], SIDE, 9, 0, "there")
    rows, name = trained_rows(questions, backwards.rows), task_of(DATA.manifest).row_name
    for row in (1, 2, 4, len(DATA.rows) - 5):
        assert name(backwards, int(rows[row])) == name(DATA, row)
        assert rows[row] != row
    lacking = build_tasks(TASKS[:-1], SIDE, 9, 0, "there").rows
    with pytest.raises(UserError, match="4 of the 24 rows that the questions need .*'t5' first"):
        trained_rows(questions, lacking)
    assert (trained_rows(questions, lacking, blank=True)[DATA.rows.first[5] :] == 0).all()
    with pytest.raises(UserError, match="24 of the 24 rows"):
        trained_rows(questions, BLANK_ROWS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny run on tiny tasks, with in-loop evaluations."""
    root = tmp_path_factory.mktemp("arc")
    files = root / "files"
    files.mkdir()
    source(files, training=4, evaluation=3, most=4)
    config = {
        "task": "arc",
        "path": str(files),
        "base_examples": 0,
        "heldout_examples": 1,
        "copies": 5,
        "arc": {"side": 5},
    }
    changes = {"data": config, "eval_copies": 2, "mesh": {"data": 1}}
    experiment = from_dict(runs.CONFIG | changes)
    assert train(experiment, root / "run") == 0
    return root


def test_the_loop_and_the_command_give_the_same(trained, capsys):
    last = [e for e in runs.metrics(trained / "run") if "heldout/pass@2" in e][-1]
    assert (
        main(
            [
                "eval",
                f"--workdir={trained / 'run'}",
                "--checkpoint=12",
                "--json",
                "--max-augmentations=2",
            ]
        )
        == 0
    )
    result = json.loads(capsys.readouterr().out)
    assert result["split"] == "heldout" and result["examples"] == 3
    for key in ("exact_accuracy", "pass@1", "pass@2"):
        assert result[key] == last[f"heldout/{key}"]


def test_the_command_writes_a_valid_submission(trained, capsys):
    run = trained / "run"
    assert main(["eval", f"--workdir={run}", "--split=test", "--max-tasks=2"]) == 0
    out = capsys.readouterr().out
    assert "vote (count): pass@1" in out and "24 copies of 4 tests of 2 tasks" in out
    path = next(line.split(maxsplit=1)[1] for line in out.splitlines() if line.startswith("wrote"))
    submission = json.loads(Path(path).read_text())
    assert len(submission) == 2
    for tests in submission.values():
        assert len(tests) == 2
        for attempts in tests:
            assert set(attempts) == {"attempt_1", "attempt_2"}
            for grid in attempts.values():
                assert 1 <= len(grid) <= 30 and len({len(row) for row in grid}) == 1
                assert all(type(c) is int and 0 <= c <= 9 for row in grid for c in row)


def test_a_data_set_of_other_tasks_is_refused_and_blank_rows_are_not(trained, capsys, tmp_path):
    source(tmp_path, training=1, evaluation=1, most=4, seed=9)
    file = tmp_path / "arc-agi_training_challenges.json"
    content = {f"new{name}": task for name, task in json.loads(file.read_text()).items()}
    file = tmp_path / "new.json"
    file.write_text(json.dumps(content))
    command = ["eval", f"--workdir={trained / 'run'}", f"--data={file}"]
    assert main(command) == 2
    assert "6 of the 6 rows that the questions need" in capsys.readouterr().err
    assert main([*command, "--unknown-rows=blank", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 6


def test_checkpoints_carry_the_names_of_their_rows(trained):
    found = load(trained / "run")
    data = build(
        ArcRecipe(
            str(trained / "files"),
            ("training", "evaluation"),
            "evaluation",
            heldout=1,
            copies=5,
            side=5,
        )
    )
    assert found.rows.names == data.rows.names and len(found.rows) == len(data.rows)
    np.testing.assert_array_equal(found.rows.transforms, data.rows.transforms)
    np.testing.assert_array_equal(found.rows.first, data.rows.first)
    touched = np.abs(jax.device_get(found.weights.table)).sum(axis=1) > 0
    assert touched.sum() > 10 and not touched[0]
