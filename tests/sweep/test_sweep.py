"""Sweeps: the algebra, the paper's ablations, and `trm sweep` as a user meets it."""

import fcntl
import importlib
import itertools
import json
import shlex
import signal
import subprocess
import sys
import threading
import time

import pytest
from absl import flags as absl_flags

from tests import runs
from trm_jax.cli import main
from trm_jax.commands import common
from trm_jax.commands import train as train_command
from trm_jax.config.arguments import rewritten
from trm_jax.config.dotted import with_overrides
from trm_jax.config.experiment import from_dict
from trm_jax.core.signals import StopSignals
from trm_jax.models import check_model
from trm_jax.sweep import jobs
from trm_jax.train.workdir import WorkDir

EXPERIMENTS = runs.ROOT / "experiments"
DEMO = f"--config={EXPERIMENTS / 'sudoku.py'}:demo"
ABLATIONS = f"{EXPERIMENTS / 'ablations.py'}"
sys.path.insert(0, str(EXPERIMENTS))
algebra, ablations = importlib.import_module("sweep"), importlib.import_module("ablations")
sys.path.pop(0)

T, N, LR = (
    algebra.axis(key, values)
    for key, values in (("model.T", [1, 2, 3]), ("model.n", [2, 6]), ("optimizer.lr", [1e-3, 1e-4]))
)


def test_axis_names_the_last_part_of_the_key():
    assert algebra.axis("model.T", [1, 2]) == [("T=1", {"model.T": 1}), ("T=2", {"model.T": 2})]


def test_product_has_every_combination():
    found = algebra.product(T, N, LR)
    assert len(found) == len(T) * len(N) * len(LR)
    combinations = {tuple(overrides.values()) for _, overrides in found}
    assert combinations == set(itertools.product([1, 2, 3], [2, 6], [1e-3, 1e-4]))
    assert found[1] == ("T=1-n=2-lr=0.0001", {"model.T": 1, "model.n": 2, "optimizer.lr": 1e-4})
    assert algebra.product(T) == T and algebra.product(T, []) == []
    flat = {tuple(o.items()) for _, o in found}
    assert flat == {tuple(o.items()) for _, o in algebra.product(algebra.product(T, N), LR)}


def test_zipped_goes_in_step():
    found = algebra.zipped(N, LR)
    assert [overrides for _, overrides in found] == [
        {"model.n": 2, "optimizer.lr": 1e-3},
        {"model.n": 6, "optimizer.lr": 1e-4},
    ]
    with pytest.raises(ValueError, match=r"\[3, 2\]"):
        algebra.zipped(T, N)


def test_chain_keeps_all_runs_and_refuses_namesakes():
    assert algebra.chain(T, N) == T + N
    with pytest.raises(ValueError, match="T=1"):
        algebra.chain(T, T)


def test_a_key_has_one_value():
    same = algebra.product([("a", {"model.T": 1})], [("b", {"model.T": 1})])
    assert same == [("a-b", {"model.T": 1})]
    with pytest.raises(ValueError, match=r"model\.T"):
        algebra.product([("a", {"model.T": 1})], [("b", {"model.T": 2})])


def test_seeds_nest():
    found = algebra.seeds(N, 2)
    assert [name for name, _ in found] == ["n=2/seed0", "n=2/seed1", "n=6/seed0", "n=6/seed1"]
    assert [o["seed"] for _, o in found] == [0, 1, 0, 1]
    assert N[0][1] == {"model.n": 2}, "the sweep itself has changed"
    for wrong, count in ((found, 2), (N, 0)):
        with pytest.raises(ValueError, match="seed"):
            algebra.seeds(wrong, count)


@pytest.mark.parametrize("name", ["", "a b", "../a", "a/..", "/a", "a//b", "a/", "ä", "a;b", "."])
def test_names_are_safe(name):
    with pytest.raises(ValueError, match="name"):
        algebra.checked([(name, {})])


def printed(*arguments):
    command = [sys.executable, EXPERIMENTS / "sweep.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_printed_with_three_seeds_unless_told_otherwise():
    expected = algebra.seeds(ablations.get_sweep("table2"), 3)
    assert json.loads(printed(f"{ABLATIONS}:table2").stdout) == [list(run) for run in expected]
    assert len(json.loads(printed(ABLATIONS, "--seeds=1").stdout)) == 23
    failed = printed(f"{ABLATIONS}:table4")
    assert failed.returncode == 2 and "table4" in failed.stderr and not failed.stdout


def rows(table):
    return {row.name: row.published for row in ablations.TABLES[table]}


def test_ablations_have_the_published_numbers():
    assert rows("table1") == {
        "hrm_k2_T2": 55.0,
        "trm": 87.4,
        "trm_continue_loss": 86.1,
        "trm_two_networks": 82.4,
        "trm_no_ema": 79.9,
        "trm_4_layers_n3": 79.5,
        "trm_attention": 74.7,
        "trm_T2_n2": 73.7,
        "trm_one_step_gradient": 56.5,
    }
    assert rows("table2") == {"trm": 87.4, "trm_multi_z": 77.6, "trm_single_z": 71.9}
    k_and_t = [(1, 1), (2, 2), (3, 3), (4, 4), (6, 3), (3, 6), (6, 6)]
    hrm = [46.4, 55.0, 61.6, 59.5, 62.3, 58.8, 57.5]
    trm = [63.2, 81.9, 87.4, 84.2, None, 85.8, None]
    found = {
        (row.overrides["model.kind"], row.overrides["model.n"], row.overrides["model.T"]): (
            row.published,
            row.overrides["model.layers"],
        )
        for row in ablations.TABLE3
    }
    assert found == {
        **{("hrm", k, t): (p, 4) for (k, t), p in zip(k_and_t, hrm, strict=True)},
        **{("trm", 2 * k, t): (p, 2) for (k, t), p in zip(k_and_t, trm, strict=True)},
    }


def test_all_ablations_are_different_and_fit_any_base():
    found = ablations.get_sweep()
    assert len(found) == len(ablations.get_sweep("all")) == 23
    assert len({json.dumps(overrides, sort_keys=True) for _, overrides in found}) == 23
    stated = {f"model.{key}" for key in ("kind", "T", "n", "layers", "mixer", "positions")}
    base = runs.experiment().to_dict()
    for name, overrides in found:
        assert stated <= overrides.keys()
        model = from_dict(with_overrides(base, overrides)).model
        check_model(model)
        assert (model.T, model.kind) == (overrides["model.T"], overrides["model.kind"]), name
    assert ablations.TRM.overrides["model.T"] == 3 and ablations.TRM.overrides["model.n"] == 6


def test_dry_run_prints_the_commands_and_writes_nothing(capsys, tmp_path):
    flags = [DEMO, "--config.steps=7", f"--sweep={ABLATIONS}:table1", f"--out={tmp_path / 'out'}"]
    assert main(["sweep", *flags, "--seeds=2", "--dry_run"]) == 0
    *commands, last = capsys.readouterr().out.splitlines()
    assert last == "# 18 runs, 0 done already" and len(commands) == 18
    first = commands[0].split()
    assert first[0] == sys.executable and "-m trm_jax train" in commands[0]
    assert f"--workdir={tmp_path / 'out/hrm_k2_T2/seed0'}" in first
    for setting in ("name=hrm_k2_T2", "steps=7", "model.kind=hrm", "optimizer.ema=0.0", "seed=0"):
        assert f"--config.{setting}" in first
    assert not list(tmp_path.iterdir())


def test_files_of_the_package_are_known_by_their_names(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    flags = ["--config=sudoku:quick", "--sweep=ablations:table2", "--out=out", "--dry_run"]
    assert main(["sweep", *flags, "--seeds=1"]) == 0
    *commands, last = capsys.readouterr().out.splitlines()
    assert last == "# 3 runs, 0 done already"
    assert all("--config=sudoku:quick" in command.split() for command in commands)


def test_settings_by_their_old_names_and_plugins_are_passed_on(capsys, tmp_path):
    plugin = tmp_path / "nothing.py"
    plugin.write_text("")
    listed = sweep_file(tmp_path, ["a", {"data.box": [2, 2], "curriculum": [[0.0, 1, 2]]}])
    flags = [DEMO, f"--plugin={plugin}", listed, f"--out={tmp_path / 'out'}", "--dry_run"]
    assert main(["sweep", *flags]) == 0
    command = shlex.split(capsys.readouterr().out.splitlines()[0])
    assert f"--plugin={plugin}" in command and "--config.data.sudoku.box=(2, 2)" in command
    values = flags_of(command[command.index("train") + 1 :])
    found = common.experiment(values)
    assert found.plugins == (str(plugin),) and found.curriculum == ((0.0, 1, 2),)


def flags_of(arguments):
    """The flags of `trm train` as it reads them."""
    values = absl_flags.FlagValues()
    absl_flags.DEFINE_list("plugin", [], "Plugins.", flag_values=values)
    arguments = rewritten(arguments)
    train_command.define(values, arguments)
    values(["trm", *arguments])
    return values


def sweep_file(tmp_path, *entries):
    path = tmp_path / "sweep_list.json"
    path.write_text(json.dumps(entries))
    return f"--sweep={path}"


@pytest.mark.parametrize(
    ("entries", "flags", "named"),
    [
        ([["a", {"model.widht": 3}]], [], "did you mean config.model.width?"),
        ([["a", {}], ["b", {"model.T": "two"}]], [], "Run b: config.model.T"),
        ([["a", {"model.kind": "spoon"}]], [], "spoon"),
        ([["a", {"model.T": 2}]], ["--config.model.T=3"], "model.T"),
        ([["a", {"model": 2}]], [], "config.model"),
        (
            [["a", {"data.box": [2, 2], "data.sudoku.box": [2, 3]}]],
            [],
            "Run a: config.data.box is [2, 2] and config.data.sudoku.box, as it is called now, is",
        ),
        ([["a", {}], ["a", {}]], [], "two runs"),
        ([["a", {}], ["a/b", {}]], [], "inside"),
        ([["../a", {}]], [], "../a"),
        ([["a"]], [], "must be a JSON list"),
        ([], [], "at least one"),
        ([["a", {}]], ["--seeds=2"], "--seeds"),
        ([["a", {}]], ["--jobs=0"], "--jobs"),
        ([["a", {}]], ["--sweep=nowhere.json"], "nowhere.json"),
        (
            [["a", {}]],
            ["--sweep=nowhere.py"],
            "one of ablations, lattice_ablations, recipes, time_to_accuracy",
        ),
        (
            [["a", {"lr": 1}]],
            [],
            "Run a: config.lr is not a setting; did you mean config.optimizer.lr",
        ),
        (
            [["a", {"data.maze.side": 7}]],
            [],
            "config.data.maze.side is a setting of the task 'maze'",
        ),
        (
            [["a", {"data.box": [3, 3]}]],
            ["--config.data.sudoku.box=(2, 2)"],
            "the command line sets config.data.sudoku.box to (2, 2), and the sweep to [3, 3]",
        ),
        ([["a", {}]], [f"--sweep={ABLATIONS}:table9"], "table9"),
        ([["a", {}]], ["--out=gs://bucket/out"], "path on this machine"),
    ],
)
def test_mistakes_are_found_before_anything_starts(
    capsys, monkeypatch, tmp_path, entries, flags, named
):
    monkeypatch.chdir(tmp_path)
    arguments = [DEMO, sweep_file(tmp_path, *entries), "--out=out", *flags]
    assert main(["sweep", *arguments]) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and named in err
    assert [path.name for path in tmp_path.iterdir()] == ["sweep_list.json"]


class FakeRun:
    """A run whose processes are one-liners, one after the other."""

    def __init__(self, root, name, *programs):
        self.name, self.workdir = name, WorkDir(root / name)
        self.programs = [(sys.executable, "-c", program) for program in programs]
        self.asked = 0

    def latest(self):
        return 0

    def needs(self):
        log = self.workdir.root / jobs.LOG
        started = log.read_text().count("$ ") if log.exists() else 0
        return self.programs[started] if started < len(self.programs) else None


EXIT = "import sys; print('bye'); sys.exit({})"
SLEEP = "import time; print('asleep', flush=True); time.sleep(60)"


def test_a_run_goes_on_after_42_and_others_after_a_failure(capsys, tmp_path):
    fine = FakeRun(tmp_path, "fine", EXIT.format(42), EXIT.format(42), EXIT.format(0))
    wrong = FakeRun(tmp_path, "wrong", EXIT.format(3), EXIT.format(0))
    killed = FakeRun(
        tmp_path, "killed", "import os; print('bye', flush=True); os.kill(os.getpid(), 9)"
    )
    last = FakeRun(tmp_path, "last", EXIT.format(0))
    failures = jobs.run_all([fine, wrong, killed, last], 2, StopSignals())
    assert sorted((f.name, f.reason, f.last_line) for f in failures) == [
        ("killed", "training: killed by signal 9", "bye"),
        ("wrong", "training: exit code 3", "bye"),
    ]
    assert fine.needs() is None and last.needs() is None and wrong.needs()
    assert "wrong: FAILED" in capsys.readouterr().out


def test_a_run_that_claims_to_be_done_is_not_started_for_ever(tmp_path):
    run = FakeRun(tmp_path, "run", EXIT.format(0))
    run.needs = lambda: run.programs[0]
    (failure,) = jobs.run_all([run], 1, StopSignals())
    assert failure.reason == "ended without finishing"


def test_a_directory_has_one_process(tmp_path):
    run = FakeRun(tmp_path, "run", EXIT.format(0))
    run.workdir.root.mkdir()
    with (run.workdir.root / jobs.LOG).open("ab") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        (failure,) = jobs.run_all([run], 1, StopSignals())
    assert "another process" in failure.reason


DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "


@pytest.mark.parametrize(("program", "presses"), [(SLEEP, 1), (DEAF + SLEEP, 2)])
def test_the_first_stop_asks_and_the_second_kills(capsys, tmp_path, program, presses):
    stop = StopSignals()
    run, later = FakeRun(tmp_path, "run", program, SLEEP), FakeRun(tmp_path, "later", SLEEP)
    log = run.workdir.root / jobs.LOG

    def press():
        while not (log.exists() and "\nasleep" in log.read_text()):
            time.sleep(0.02)
        for count in range(1, presses + 1):
            stop.count = count
            time.sleep(0.5)

    presser = threading.Thread(target=press)
    presser.start()
    assert jobs.run_all([run, later], 1, stop) == []
    presser.join()
    assert run.needs() and not later.workdir.root.exists()
    assert "run: stopped" in capsys.readouterr().out


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The tiny experiment as a config file."""
    path = tmp_path_factory.mktemp("config") / "tiny.py"
    text = json.dumps(runs.experiment().to_dict())
    path.write_text(
        "import json\nfrom ml_collections import ConfigDict\n"
        f"def get_config():\n    return ConfigDict(json.loads({text!r}))\n"
    )
    return f"--config={path}"


def test_sweep_trains_scores_reports_what_failed_and_passes_over_what_is_done(
    capsys, monkeypatch, config, tmp_path
):
    out = tmp_path / "out"
    listed = [["fine/seed1", {"seed": 1, "model.T": 1}], ["wrong/seed0", {"mesh.data": 64}]]
    flags = [config, sweep_file(tmp_path, *listed), f"--out={out}", "--jobs=2"]
    assert main(["sweep", *flags]) == 1
    printed = capsys.readouterr().out
    assert "1 of 2 runs done, 1 failed" in printed
    assert "  wrong/seed0  training: exit code 2  trm: config.mesh.data is 64" in printed
    experiment, _ = WorkDir(out / "fine/seed1").read()
    assert (experiment.name, experiment.seed, experiment.model.T) == ("fine", 1, 1)
    (evaluation,) = (out / "fine/seed1/eval").iterdir()
    last = [e for e in runs.metrics(out / "fine/seed1") if "heldout/exact_accuracy" in e][-1]
    result = json.loads(evaluation.read_text())
    assert (result["checkpoint"], result["split"]) == (12, "heldout")
    assert result["exact_accuracy"] == last["heldout/exact_accuracy"]
    asked = json.loads((out / "sweep.json").read_text())
    assert asked["runs"] == listed

    torn = out / "wrong/seed0/checkpoints/12.orbax-checkpoint-tmp"
    torn.mkdir(parents=True)
    assert main(["sweep", *flags, "--dry_run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.startswith("# done: ") for line in lines] == [True, False, False]
    assert lines[-1] == "# 2 runs, 1 done already"

    monkeypatch.setattr(jobs.subprocess, "Popen", None)
    flags[1] = sweep_file(tmp_path, listed[0])
    assert main(["sweep", *flags]) == 0
    assert "1 runs, 1 done already" in capsys.readouterr().out
    flags[1] = sweep_file(tmp_path, ["fine/seed1", {"seed": 1, "model.T": 2}])
    assert main(["sweep", *flags]) == 2
    assert "config.model.T = 1, not 2" in capsys.readouterr().err


@pytest.mark.slow
def test_a_stopped_sweep_goes_on(capsys, config, tmp_path):
    flags = [config, sweep_file(tmp_path, ["run/seed0", {}]), f"--out={tmp_path / 'out'}"]
    flags += ["--config.data.heldout_examples=0"]
    command = [sys.executable, "-m", "trm_jax", "sweep", *flags, "--config.steps=1000000"]
    process = subprocess.Popen(
        command, cwd=runs.ROOT, env=runs.environment(), stdout=subprocess.PIPE, text=True
    )
    metrics = tmp_path / "out/run/seed0/metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 42, printed
    assert "run/seed0: stopped" in printed and "the same command resumes" in printed
    stopped_at = max(int(path.name) for path in (metrics.parent / "checkpoints").iterdir())
    assert main(["sweep", *flags, f"--config.steps={stopped_at + 2}"]) == 0
    assert f"resuming from checkpoint {stopped_at}" in (metrics.parent / jobs.LOG).read_text()
    assert [e["step"] for e in runs.metrics(metrics.parent)][-1] == stopped_at + 2
