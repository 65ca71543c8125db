"""`benchmarks/gpu.py`: a session whose every step may be cut short, and goes on."""

import gzip
import importlib.util
import json
import signal
import subprocess
import sys
import time

import pytest

from tests import runs
from trm_jax.bench import comparison, session, session_training
from trm_jax.bench.children import Children
from trm_jax.bench.ledger import Ledger
from trm_jax.core.errors import UserError

BENCH = {
    "device": "1 x card",
    "seconds": 0.1,
    "examples_per_s": 7680.0,
    "tflop_per_step": 33.0,
    "tflops_per_s": 330.0,
    "share_of_ceiling": 0.5,
    "compile_seconds": 31.0,
    "program_peak_gib": 8.0,
    "top_operations": [{"operation": "gemm", "count": 2, "ms": 3.0, "share": 0.6}],
}
EVAL = {
    "exact_accuracy": 0.875,
    "examples": 8,
    "seconds": 2.0,
    "by_selection": {"majority": 0.75},
    "by_depth": [{"depth": 1, "exact_accuracy": 0.25}, {"depth": 16, "exact_accuracy": 0.875}],
}
TABLES = {
    "shapes": {
        "one": {"config": "a.py", "changes": ["--config.batch_size=9"], "peer": "--seq=81"},
        "two": {"config": "b.py", "what": "rollout", "repeats": 3},
    },
    "ways": {
        "plain": {},
        "fused": {"changes": ["--config.model.kernels=fused"], "xla_flags": "--xla_a=1"},
        "odd": {"shapes": ["two"]},
    },
}


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The script, whose commands are not run: `commands` are those, `answer` is what they do."""
    spec = importlib.util.spec_from_file_location("gpu", runs.ROOT / "benchmarks/gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("train.csv", "peer.py"):
        (tmp_path / name).write_text("source,question,answer,rating\n")
    (tmp_path / "tables.json").write_text(json.dumps(TABLES))
    with gzip.open(tmp_path / "test.csv.gz", "wt") as file:
        file.write("source,question,answer,rating\n" + "a,b,c,0\n" * 300)
    module.commands, module.out = [], tmp_path / "out"

    def answer(command):
        """What a command prints, and its exit code."""
        if "bench" in command:
            return BENCH, 0
        if "eval" in command:
            return EVAL, 0
        if "train" in command:
            checkpoint(module.out, 900)
            return {}, 42
        return {"seconds": 0.2, "tflop_per_step": 33.0}, 0

    def command(self, command, out, log, limit, environment=None, **_):
        module.commands.append((command, limit, environment or {}))
        found, code = module.answer(command)
        log.write_text("trm: no such thing\n")
        if out:
            out.write_text(f"some words\n{json.dumps(found)}\n")
        return code

    def run(*more):
        files = {"out": "out", "data": "train.csv", "test": "test.csv.gz", "peer": "peer.py"}
        files["variants"] = "tables.json"
        flags = [f"--{name}={tmp_path / file}" for name, file in files.items()]
        monkeypatch.setattr(sys, "argv", ["gpu.py", *flags, "--parallel=1", *more])
        module.commands.clear()
        return module.main()

    monkeypatch.setattr(Children, "run", command)
    module.run, module.answer = run, answer
    return module


def checkpoint(out, step):
    """Makes what training would have left."""
    run = out / "work/run"
    (run / f"checkpoints/{step}").mkdir(parents=True, exist_ok=True)
    (run / f"checkpoints/{step}/weights").write_text(f"{step}")
    line = {"step": step, "train/loss": 0.1, "heldout/exact_accuracy": 0.5}
    (run / "metrics.jsonl").write_text(f'{json.dumps(line)}\n{{"torn')


def of(script, word):
    return [command for command, *_ in script.commands if word in command]


def test_everything_is_done_once_and_kept_at_once(script, capsys):
    assert script.run() == 0
    assert [command[4] for command in of(script, "bench")] == [
        *("--config=experiments/sudoku_hard.py:fast", "--config=a.py", "--config=a.py"),
        *["--config=b.py"] * 3,
    ]
    assert all(env["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false" for _, _, env in script.commands[:3])
    table = (script.out / "table.md").read_text()
    assert table in capsys.readouterr().out
    assert "| one/plain | 0.1 | 2.000 | 7,680.0 | 330 | 50.0% | 8 | 31 |" in table
    assert "| one/peer/2 | 0.2 |" in table and "On 1 x card." in table
    assert "newest weights are from update 900" in table and "at 16: 87.50%" in table
    assert json.loads((script.out / "metrics.jsonl").read_text().splitlines()[0])["step"] == 900
    assert script.run() == 0
    assert len(script.commands) - len(of(script, "pack")) == 1 and of(script, "train")


SEARCHED = {"solved": 0.75, "wrong": 0.0, "abstained": 0.25, "passes": 12.4}


def test_a_lattice_model_is_searched_with_and_released(script, capsys):
    answers = script.answer

    def answer(command):
        found, code = answers(command)
        return (found | {"chain_search": SEARCHED} if "eval" in command else found), code

    script.answer = answer
    flags = ["--only=none", "--evaluate=search", "--release=name", "--hardware=a card"]
    assert script.run(*flags, "--train-flags=--config.seed=1") == 0
    (command,) = of(script, "models")
    assert {"--add", "--name=name", "--checkpoint=900", "--hardware=a card"} <= set(command)
    told = next(each for each in command if each.startswith("--command="))
    assert "--config.data.path=train.csv --config.seed=1" in told  # the name alone, no path
    assert "--passes=4096" in of(script, "eval")[0]
    table = (script.out / "table.md").read_text()
    assert "with search 75.00% solved, 0.00% wrong, 25.00% abstained, 12 passes" in table
    script.answer = lambda command: ({}, 1) if "models" in command else answer(command)
    assert script.run(*flags) == 1
    assert "release: exit code 1: trm: no such thing" in capsys.readouterr().out


def test_ways_have_their_flags(script, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_user=1")
    assert script.run("--steps=variants", "--only=one/fused,two/odd") == 0
    fused, odd = script.commands
    assert "--config.model.kernels=fused" in fused[0] and "--config.batch_size=9" in fused[0]
    assert fused[2]["XLA_FLAGS"] == "--xla_user=1 --xla_a=1" and "XLA_FLAGS" not in odd[2]
    assert "--what=rollout" in odd[0] and "--repeats=3" in odd[0]


def test_a_failure_is_a_result(script):
    fine = script.answer
    script.answer = lambda command: ({}, 2) if "a.py" in str(command) else fine(command)
    assert script.run("--steps=variants") == 1
    table = (script.out / "table.md").read_text()
    assert "| one/fused | FAILED: exit code 2: trm: no such thing |" in table
    assert "| two/plain | 0.1 |" in table
    script.answer = fine
    assert script.run("--steps=variants") == 1 and not script.commands, "not tried again"
    assert script.run("--steps=variants", "--retry") == 0
    assert len(script.commands) == 2
    assert "| one/fused | 0.1 |" in (script.out / "table.md").read_text()


def test_the_reason_is_what_was_raised(tmp_path):
    log = tmp_path / "a.log"
    log.write_text(
        "Traceback (most recent call last):\n  ...\nRuntimeError: no cuDNN\n\n"
        "--------------------\nFor simplicity, JAX has removed its internal frames from the "
        "traceback of the following exception. Set JAX_TRACEBACK_FILTERING=off to include these.\n"
    )
    assert session.last_line(log) == "RuntimeError: no cuDNN"
    log.write_text("-----\n")
    assert session.last_line(log) == session.last_line(tmp_path / "none") == "no output"


def test_tiny_leaves_out_what_needs_a_gpu(script, tmp_path, capsys):
    ways = {**TABLES["ways"], "fused": {"needs_gpu": True}}
    (tmp_path / "tables.json").write_text(json.dumps({**TABLES, "ways": ways}))
    assert script.run("--steps=variants", "--only=one", "--tiny") == 0
    assert "--tiny skips the variants that need a GPU: fused\n" in capsys.readouterr().out
    assert len(of(script, "bench")) == 1 and "fused" not in (script.out / "table.md").read_text()
    assert script.run("--steps=variants", "--only=one") == 0
    assert len(of(script, "bench")) == 1 and "one/fused" in (script.out / "table.md").read_text()
    assert [name for name, way in script.WAYS.items() if way.get("needs_gpu")] == ["cudnn"]


def test_what_does_not_fit_beside_others_is_tried_alone(script, monkeypatch):
    fine, word = script.answer, "--config.model.kernels=fused"
    script.answer = lambda command: ({}, 2) if word in command else fine(command)
    reason = "trm: train does not fit into memory (RESOURCE_EXHAUSTED); lower config.batch_size."
    last = session.last_line
    monkeypatch.setattr(session, "last_line", lambda p: reason if p.suffix == ".log" else last(p))
    flags = ("--steps=variants", "--only=one/plain,one/fused", "--parallel=2")
    assert script.run(*flags) == 1
    assert len(of(script, word)) == 2 and word in script.commands[-1][0]
    assert (
        "| one/fused | FAILED: exit code 2: trm: train does not fit"
        in (script.out / "table.md").read_text()
    )


def test_what_was_cut_short_is_no_result(script):
    script.answer = lambda command: time.sleep(0.1) or ({}, -signal.SIGTERM)
    assert script.run("--steps=variants", "--speed-seconds=0.1") == 0
    assert not Ledger(script.out / "results.jsonl").all()
    assert "| one/plain | not done |" in (script.out / "table.md").read_text()


def test_a_peer_compiles_before_its_turns_and_says_if_it_does_other_work(script):
    fine = script.answer
    other = {"seconds": 0.2, "tflop_per_step": 66.0}
    script.answer = lambda command: (other, 0) if "--seq=81" in command else fine(command)
    assert script.run("--steps=variants", "--only=one", "--repeats=7") == 0
    steps = [command[-1] for command in of(script, "--seq=81")]
    assert steps == ["--steps=1", "--steps=7", "--steps=7"]
    assert "2.000 (the peer's work is 2 times ours)" in (script.out / "table.md").read_text()


def test_a_profile_is_a_result_of_its_own(script, capsys):
    assert script.run("--steps=variants", "--only=one", "--profile=one/plain") == 0
    assert [any("--profile" in word for word in each) for each in of(script, "bench")] == [
        *(False, False, True)
    ]
    assert "Time of one/plain/profile by operation" in (script.out / "table.md").read_text()
    assert script.run("--profile=one/none") == 2
    assert "--profile one/none is not a variant" in capsys.readouterr().err


def test_training_saves_once_a_minute_and_leaves_time_aside(script):
    assert script.run("--seconds=600", "--aside=100", "--fit", "--only=one/plain") == 0
    [(command, limit, _)] = [each for each in script.commands if "train" in each[0]]
    assert 490 < limit <= 500
    assert "--config.checkpoint_every=600" in command, "0.1 s an update"
    assert "--config.eval_every=1800" in command
    [steps] = [int(word.partition("=")[2]) for word in command if "config.steps=" in word]
    assert 4300 <= steps <= 4400
    assert script.run("--seconds=300", "--fit", "--only=one/plain") == 0
    assert f"--config.steps={steps}" in of(script, "train")[0], "the schedule is still that one"


def test_without_its_speed_training_saves_often(script):
    assert script.run("--steps=train") == 0
    assert "--config.checkpoint_every=100" in of(script, "train")[0]
    assert script.run("--steps=train", "--fit") == 1, "it is unknown how many updates fit"


def test_training_that_fails_is_scored_anyhow(script):
    fine = script.answer

    def answer(command):
        found, code = fine(command)
        return (found, 3) if "train" in command else (found, code)

    script.answer = answer
    assert script.run("--steps=train,eval", "--evaluate=depth,halting") == 1
    assert len(of(script, "eval")) == 2 and "--checkpoint=900" in of(script, "eval")[0]
    assert "FAILED: exit code 3" in (script.out / "table.md").read_text()
    assert len((script.out / "work/test.csv").read_text().splitlines()) == 301
    assert script.run("--steps=eval", "--evaluate=depth") == 1, "the training is still a failure"
    assert not script.commands, "that checkpoint has its score"


def test_the_newest_checkpoint_is_kept(script, monkeypatch):
    monkeypatch.setattr(session_training, "COMMANDS", {})
    out = script.out
    with session.opened(out, out / "work", runs.ROOT, 60) as there:
        keeper = session_training.Keeper(there)
        for step in (3, 12):
            checkpoint(out, step)
            (out / f"work/run/checkpoints/{step + 1}.orbax-checkpoint-tmp-1").mkdir()
            keeper.look()
            assert [path.name for path in (out / "checkpoint").iterdir()] == [str(step)]
            assert there.ledger.get("weights")["step"] == step
    monkeypatch.setattr(session_training, "COMMANDS", {"pack": ""})
    with session.opened(out, out / "work", runs.ROOT, 60) as there:
        session_training.Keeper(there).look()
    [pack] = of(script, "pack")
    assert "--checkpoint=12" in pack and f"--out={out / 'run.trmpack'}" in pack


def test_two_sessions_do_not_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "OTHERS", 0.1)
    with (
        session.opened(tmp_path, tmp_path / "work", tmp_path, 60),
        pytest.raises(UserError, match="Another session"),
        session.opened(tmp_path, tmp_path / "work", tmp_path, 60),
    ):
        pass


def test_the_tables_in_the_script_are_whole(script):
    items = comparison.expanded(script.SHAPES, script.WAYS)
    names = [item.name for item in items]
    assert {"sudoku_mlp/plain", "sudoku_attention/cudnn", "maze_attention/peer"} <= set(names)
    assert "sudoku_mlp/cudnn" not in names and len(names) == len(set(names))
    for shape in script.SHAPES.values():
        path, _, variant = shape["config"].partition(":")
        assert runs.config_file(path.split("/")[1].removesuffix(".py")).get_config(variant)


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--steps=dream", "'dream' is not one of"),
        ("--evaluate=dream", "'dream' is not one of"),
        ("--peer=gone.py", "gone.py is not a file"),
    ],
)
def test_mistakes_are_refused(script, capsys, flag, words):
    with pytest.raises(SystemExit):
        script.run(flag)
    assert words in capsys.readouterr().err and not script.out.exists()


@pytest.mark.parametrize("text", ["[]", "{", '{"shapes": {"a": {}}, "ways": {"b": {}}}'])
def test_tables_that_are_none_are_refused(tmp_path, text):
    path = tmp_path / "tables.json"
    path.write_text(text)
    with pytest.raises(UserError, match="not a table of variants"):
        comparison.read(path)
    with pytest.raises(UserError, match="cannot be read"):
        comparison.read(tmp_path / "gone.json")


REAL = {
    "shapes": {"mlp": {"config": "experiments/sudoku.py:demo", "peer": "--seq=16"}},
    "ways": {"plain": {}, "broken": {"changes": ["--config.model.nosuch=1"]}},
}
PEER = "import json; print(json.dumps({'seconds': 0.5, 'tflop_per_step': 1.0}))"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end the commands")
def test_killed_in_every_step_and_nothing_is_lost(tmp_path):
    """The real thing, tiny: SIGKILL among the variants, in training and in the evaluation."""
    out = tmp_path / "out"
    (tmp_path / "tables.json").write_text(json.dumps(REAL))
    (tmp_path / "peer.py").write_text(PEER)
    header, answer = "source,question,answer,rating", "1234341221434321"
    rows = [f"x,{answer[:i]}..{answer[i + 2 :]},{answer},0" for i in range(4)]
    (tmp_path / "test.csv").write_text("\n".join([header, *rows]))
    command = [sys.executable, "benchmarks/gpu.py", f"--out={out}", "--tiny", "--parallel=2"]
    command += [f"--variants={tmp_path}/tables.json", f"--peer={tmp_path}/peer.py", "--repeats=2"]
    command += [f"--data={tmp_path}/test.csv", f"--test={tmp_path}/test.csv", "--base=30"]
    command += ["--config=experiments/sudoku.py:demo", "--every=5", "--heldout=0", "--aside=200"]
    command += ["--train-flags=--config.steps=1000000 --config.data.path=generate"]

    def start(*more):
        env = runs.environment(PYTHONPATH=str(runs.ROOT))
        return subprocess.Popen([*command, *more], cwd=runs.ROOT, env=env)

    def found():
        return {each["name"]: each for each in Ledger(out / "results.jsonl").all()}

    def killed_when(ready, *more):
        process, end = start(*more), time.monotonic() + 400
        while not ready():
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        process.kill()
        process.wait()
        return found()

    first = killed_when(lambda: len(found()) >= 2)
    assert "weights" not in first and "| mlp/plain | " in (out / "table.md").read_text()
    second = killed_when(lambda: found().get("weights"))
    assert first.items() <= second.items(), "a result was lost, or measured again"
    assert {"train/speed", "mlp/plain", "mlp/peer/1", "mlp/peer/2"} <= second.keys()
    assert "failed" in second["mlp/broken"] and (out / "metrics.jsonl").exists()
    third = killed_when((out / "work/eval.depth.log").exists, "--seconds=240")
    assert third["train"]["code"] == 42 and third["train"]["step"] > second["weights"]["step"]
    assert "resuming from checkpoint" in (out / "train.log").read_text()
    assert start("--steps=eval").wait(400) == 1, "mlp/broken is a failure"
    last = found()
    assert last["eval/depth"]["checkpoint"] == third["train"]["step"]
    assert third.items() <= last.items()
