"""The walk of docs/how-to/own-task.md works as it is written, with fewer puzzles and updates."""

import re
import shlex
from pathlib import Path

import pytest

from trm_jax.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|python)(?: file=(\S+))?\n(.*?)^```", re.M | re.S)
SMALL = [
    *("steps=4", "eval_every=4", "checkpoint_every=4", "log_every=2", "batch_size=8"),
    *("model.width=16", "model.heads=2", "model.layers=1", "model.T=1", "model.N=2"),
    *("model.unroll=False", "eval_batch_size=8", "mesh.data=1"),
]
PAGE = "docs/how-to/own-task.md"


def blocks():
    """Kind, file name and text of each block of the page that is run."""
    return BLOCK.findall((ROOT / PAGE).read_text())


def commands():
    lines = [line for kind, _, text in blocks() if kind == "sh" for line in text.splitlines()]
    return [shlex.split(line) for line in lines]


def test_each_block_is_a_command_of_this_program_or_python():
    names = {words[1] for words in commands() if words[0] == "trm"}
    assert names >= {"data", "train", "eval", "solve", "show", "export", "serve"}
    assert names <= {*COMMANDS}
    for kind, _, text in blocks():
        if kind == "python":
            compile(text, PAGE, "exec")


@pytest.mark.slow
def test_the_walk_works_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    for kind, name, text in blocks():
        if kind == "python" and name:
            Path(name).write_text(text)
        elif kind == "python":
            exec(compile(text.replace("PUZZLES = 4000", "PUZZLES = 60"), PAGE, "exec"), {})
        else:
            for words in (shlex.split(line) for line in text.splitlines()):
                _run(words, capsys)
    assert Path("trace.html").exists() and Path("binary-model/load.py").exists()


def _run(words, capsys):
    if words[0] != "trm" or words[1] == "serve":
        return  # the export's own program and the server, which other tests run
    more = [f"--config.{each}" for each in SMALL] if words[1] == "train" else []
    code = main([*words[1:], *more])
    said = capsys.readouterr()
    wrong = 1 if words[1] == "solve" else 0  # after so few updates
    assert code in (0, wrong), (words, said)
