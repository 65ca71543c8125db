"""`benchmarks/gpu.py`: stages are passed over once done, resumed, and do not take others along."""

import gzip
import importlib.util
import json
import sys

import pytest

from tests import runs

BENCH = {
    "device": "1 x card",
    "seconds": 0.1,
    "examples_per_s": 7680.0,
    "tflops_per_s": 330.0,
    "share_of_ceiling": 0.5,
    "ceiling_tflops_per_s": 660.0,
    "program_peak_gib": 8.0,
    "ratio": 1.5,
    "top_operations": [{"operation": "gemm", "share": 0.6}],
}
EVAL = {
    "exact_accuracy": 0.875,
    "examples": 8,
    "seconds": 2.0,
    "steps_used": 16,
    "by_selection": {"majority": 0.75},
    "by_depth": [{"depth": 1, "exact_accuracy": 0.25}, {"depth": 16, "exact_accuracy": 0.875}],
}


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The script, with files to name on its command line; `commands` are what it starts."""
    spec = importlib.util.spec_from_file_location("gpu", runs.ROOT / "benchmarks/gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("train.csv", "peer.py"):
        (tmp_path / name).write_text("source,question,answer,rating\n")
    with gzip.open(tmp_path / "test.csv.gz", "wt") as file:
        file.write("source,question,answer,rating\n" + "a,b,c,0\n" * 300)
    module.commands, module.refuse = [], ()

    def command(sitting, stage, arguments, limit):
        """As if `trm` had done it; a command with one of `refuse` in it fails."""
        module.commands.append((stage, list(arguments), limit))
        (sitting.out / f"{stage}.log").write_text("trm: no such thing\n")
        if any(word in argument for word in module.refuse for argument in arguments):
            return 2
        found = BENCH if arguments[0] == "bench" else EVAL
        (sitting.out / f"{stage}.out").write_text(f"some words\n{json.dumps(found)}\n")
        if arguments[0] == "train":
            line = {"step": 900, "train/loss": 0.1, "heldout/exact_accuracy": 0.5}
            (sitting.out / "run").mkdir(exist_ok=True)
            (sitting.out / "run/metrics.jsonl").write_text(f"{json.dumps(line)}\n")
            return 42
        return 0

    def run(*more):
        files = {"out": "out", "train": "train.csv", "test": "test.csv.gz", "peer": "peer.py"}
        flags = [f"--{name}={tmp_path / file}" for name, file in files.items()]
        monkeypatch.setattr(sys, "argv", ["gpu.py", *flags, *more])
        module.commands.clear()
        return module.main()

    monkeypatch.setattr(module.Sitting, "command", command)
    module.run, module.out = run, tmp_path / "out"
    return module


def test_every_stage_is_done_once(script, capsys):
    assert script.run("--minutes=0") == 0
    assert [stage for stage, *_ in script.commands] == list(script.STAGES)
    shown = capsys.readouterr().out
    assert "peer/ours 1.500" in shown and "900 updates" in shown and "at 16: 87.50%" in shown
    assert "by majority: 75.00%" in shown
    assert (script.out / "table.md").read_text() in shown
    assert script.run("--minutes=0") == 0
    assert not script.commands, "all of it was done before"


def test_a_failure_takes_no_other_stage_along(script, capsys):
    script.refuse = ("--rollouts",)
    assert script.run("--minutes=0") == 1
    assert [stage for stage, *_ in script.commands] == list(script.STAGES)
    shown = capsys.readouterr().out
    assert "| rollouts | FAILED: exit code 2: trm: no such thing |" in shown
    assert "| halting | 87.50% of 8" in shown
    script.refuse = ()
    assert script.run() == 0
    assert [stage for stage, *_ in script.commands] == ["rollouts", "rollouts_many"]


def test_without_a_working_peer_we_are_timed_alone(script, capsys):
    script.refuse = ("--peer",)
    assert script.run("--only=speed_mlp") == 0
    assert "the peer FAILED" in capsys.readouterr().out
    with_peer, alone = (arguments for _, arguments, _ in script.commands)
    assert [flag for flag in with_peer if flag not in alone] == [
        *(flag for flag in with_peer if flag.startswith("--peer"))
    ]


def test_training_goes_on_for_what_is_left_of_its_minutes(script):
    script.out.mkdir()
    (script.out / "train.seconds").write_text("480.0\n")
    assert script.run("--only=train", "--minutes=10") == 1, "it was stopped too early"
    [(_, arguments, limit)] = script.commands
    assert limit == 120 and "--config=experiments/sudoku_hard.py:fast" in arguments
    assert not (script.out / "train.json").exists()
    (script.out / "train.seconds").write_text("600.0\n")
    assert script.run("--only=train", "--minutes=10") == 0


def test_the_slowest_step_is_profiled(script):
    script.out.mkdir()
    for stage, share in {"speed_mlp": 0.5, "speed_maze": 0.2}.items():
        (script.out / f"{stage}.json").write_text(json.dumps(BENCH | {"share_of_ceiling": share}))
    assert script.run("--only=profile") == 0
    assert "--config=experiments/maze.py:hard" in script.commands[0][1]


def test_many_rollouts_are_of_a_subset(script):
    assert script.run("--only=rollouts_many") == 0
    assert len((script.out / "test200.csv").read_text().splitlines()) == 201


@pytest.mark.parametrize("flag", ["--only=dream", "--peer=gone.py"])
def test_mistakes_are_refused(script, capsys, flag):
    with pytest.raises(SystemExit):
        script.run(flag)
    assert flag.partition("=")[2] in capsys.readouterr().err and not script.out.exists()
