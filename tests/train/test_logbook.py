"""metrics.jsonl through kills and resumes."""

import json

import pytest
from etils import epath

from trm_jax.core.errors import UserError
from trm_jax.train.logbook import Logbook, read


def open_at(path, step):
    return Logbook(path, resume_step=step, wandb_project="", name="x")


@pytest.fixture
def path(tmp_path):
    return epath.Path(tmp_path / "new" / "metrics.jsonl")


def test_lines_survive_and_later_ones_are_forgotten(path):
    book = open_at(path, 0)
    for step in (1, 2, 3):
        book.write(step, {"loss": step / 2})
    book.close()
    book = open_at(path, 2)
    book.write(3, {"loss": 7.0})
    book.close()
    assert [(e["step"], e["loss"]) for e in read(path)] == [(1, 0.5), (2, 1.0), (3, 7.0)]


def test_a_torn_last_line_is_dropped(path):
    book = open_at(path, 0)
    book.write(1, {"loss": 1.0})
    book.close()
    path.write_text(path.read_text() + '{"step": 2, "lo')
    assert [e["step"] for e in read(path)] == [1]
    book = open_at(path, 9)
    book.write(10, {"loss": 1.0})
    book.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 10]


def test_not_finite_is_null(path):
    book = open_at(path, 0)
    book.write(1, {"a": float("nan"), "b": float("inf"), "c": 1.0})
    book.close()
    line = path.read_text()
    assert "NaN" not in line and "Infinity" not in line
    assert (read(path)[0]["a"], read(path)[0]["b"], read(path)[0]["c"]) == (None, None, 1.0)


def test_wandb_says_how_to_get_it(path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(UserError, match=r"trm-jax\[wandb\]"):
        Logbook(path, resume_step=0, wandb_project="p", name="x")


def test_wandb_gets_the_finite_numbers(path, monkeypatch):
    seen = []

    class Run:
        def log(self, values, step):
            seen.append((step, values))

        def finish(self):
            seen.append("finished")

    class Wandb:
        @staticmethod
        def init(project, name):
            seen.append((project, name))
            return Run()

    monkeypatch.setitem(__import__("sys").modules, "wandb", Wandb)
    monkeypatch.setenv("WANDB_API_KEY", "of nobody")
    book = Logbook(path, resume_step=0, wandb_project="p", name="x")
    book.write(1, {"loss": 2.0, "bad": float("nan")})
    book.close()
    assert seen == [("p", "x"), (1, {"loss": 2.0}), "finished"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"step": 2, "lo{"step": 3}',
        b"\xff\xfe\x00",
        b"[1]",
        b"3",
        b"{}",
        b'{"step": "2"}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_line_in_the_middle_costs_that_line(path, capsys, line):
    path.parent.mkdir()
    path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 4}\n')
    assert [entry["step"] for entry in read(path)] == [1, 4]
    assert "has 1 damaged line (2), left out" in capsys.readouterr().err
    book = open_at(path, 4)
    book.close()
    assert [entry["step"] for entry in read(path)] == [1, 4]


def test_a_folder_called_metrics_is_one_sentence(path):
    path.mkdir(parents=True)
    with pytest.raises(UserError, match="metrics.jsonl is not a file; move it away"):
        open_at(path, 0)
