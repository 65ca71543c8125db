"""The `trm` command as a user meets it: what it prints, and the exit codes."""

import csv
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import runs
from trm_jax.cli import COMMANDS, MALLOC, main
from trm_jax.serving.facts import measured_scores
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.train.loop import train
from trm_jax.train.trained import load

DEMO = f"--config={runs.ROOT / 'experiments/sudoku.py'}:demo"
SUDOKU = Sudoku(2, 2)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    assert train(runs.experiment(), path) == 0
    return path


@pytest.fixture(scope="module")
def puzzles(workdir):
    inputs = np.load(workdir / "data/inputs.npy")
    return [SUDOKU.format_line(tokens) for tokens in inputs[:3]]


def fails(capsys, *arguments):
    """Exit code 2, one sentence on stderr, nothing on stdout; gives the sentence."""
    assert main([str(a) for a in arguments]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("trm: ") and err.count("\n") == 1
    return err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_every_command(capsys, name):
    assert main([name, "--help"]) == 0
    assert f"trm {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["solve", "show", "eval", "export"])
def test_help_puts_flags_under_headings(capsys, name):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert "\nwhich model:\n  --model: " in text and text.count("\n  --model: ") == 1
    assert text.index("which model:") < text.index("output:") < text.index("every command:")


def test_help_gives_types_and_defaults(capsys):
    assert main(["eval", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--copies: Symmetric copies of each puzzle, including the original. (an integer" in text
    assert "(an integer; default: 1)" in text and "(a number; default: 0.0)" in text
    assert "--[no]search: " in text and "(default: true)" in text and "(default: false)" not in text


def test_overview_names_every_command(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["cook"], "cook"),
        (["train", "--workdir=x"], "--config"),
        (["train", DEMO], "--workdir"),
        (["train", "--config=nowhere.py", "--workdir=x"], "nowhere.py"),
        (
            ["train", "--config", "nowhere", "--workdir=x"],
            "one of arc, futoshiki, grid, gym, lattice, maze, numberlink, sudoku",
        ),
        (["train", f"{DEMO}o", "--workdir=x"], "demoo"),
        (["train", DEMO, "--workdir=x", "--config.model.widht=3"], "config.model.width?"),
        (["train", DEMO, "--workdir=x", "--config.lr=3"], "did you mean config.optimizer.lr"),
        (["train", DEMO, "--workdir=x", "--config.data.maze.side=7"], "of the task 'maze'"),
        (["train", DEMO, "--workdir=x", "--config.steps=0"], "config.steps is 0"),
        (["train", DEMO, "--workdir=x", "--plugin=nowhere.py"], "plugin nowhere.py"),
        (["train", DEMO, "--workdir=x", "--config.model.T"], "config.model.T"),
        (["train", DEMO, "--workdir=x", "--config.steps=many"], "many"),
        (["train", DEMO, "--workdir=x", "--config.model.mixer=spoon"], "spoon"),
        (["train", DEMO, "--workdir=x", "stray"], "stray"),
        (["train", DEMO, "--workdir="], "--workdir is empty"),
        (["train", "--config=", "--workdir=x"], "--config names no file; give a path"),
        (["train", "--config", "--workdir=x"], "--config names no file"),
        (["train", DEMO, "--plugin", "--workdir=x"], "--plugin names nothing"),
        (["train", "--config.steps", "20", "--workdir=x"], "--config is missing; --config.steps"),
        (["train", DEMO, "--config.steps=a"], "--config.steps is 'a'; it must be a whole number"),
        (["train", DEMO, "--config.table.lr=a"], "--config.table.lr is 'a'; it must be a number"),
        (["train", DEMO, "--config.model.unroll=yo"], "unroll is 'yo'; it must be true or false"),
        (["train", DEMO, "--config.model-width=3"], "did you mean config.model.width?"),
        (["train", DEMO, "--noconfig.data.maze.x"], "config.data.maze.x is not a setting"),
        (
            ["train", DEMO, "--workdir=x", "--plugin=."],
            "plugin .: this is not the name of a module",
        ),
        (["eval", "--workdir=x", "--steps=b: c"], "--steps is 'b: c'; it must be a whole number"),
        (["eval", "--workdir=x", "--json=maybe"], "--json is 'maybe'; it must be true or false"),
        (["eval", "--workdir=nowhere"], "nowhere"),
        (["eval", "--wrkdir=x"], "wrkdir"),
        (["data", "chess", "--out=x"], "chess"),
        (["data", "sudoku"], "--out"),
        (["data", "sudoku", "--out=x", "--box=nine"], "nine"),
        (["bench", DEMO, "--what=dream"], "dream"),
        (["bench", DEMO, "--repeats=0"], "repeats"),
    ],
)
def test_mistakes_get_one_sentence(capsys, monkeypatch, tmp_path, arguments, named):
    monkeypatch.chdir(tmp_path)
    assert named in fails(capsys, *arguments)
    assert not list(tmp_path.iterdir()), "something was left behind"


def test_folders_of_a_run_are_no_work_directories(capsys, workdir):
    before = sorted(workdir.rglob("*"))
    for inside in (workdir / "data", workdir / "new/one"):
        said = fails(capsys, "train", DEMO, f"--workdir={inside}")
        assert f"lies inside the work directory {workdir.resolve()}; give that one" in said
    assert sorted(workdir.rglob("*")) == before


def test_what_is_wrong_inside_is_no_wrong_setting(capsys, monkeypatch):
    def broken(*_):
        raise AttributeError("'int' object has no attribute 'x'")

    monkeypatch.setattr("trm_jax.commands.eval.define", broken)
    said = fails(capsys, "eval", "--workdir=x")
    assert "(AttributeError: 'int' object has no attribute 'x')" in said and "setting" not in said


def test_a_config_or_plugin_that_ends_the_program_is_named(capsys, tmp_path):
    file = tmp_path / "ends.py"
    file.write_text("import sys; sys.exit(0)")
    assert str(file) in fails(capsys, "train", f"--config={file}", "--workdir=x")
    assert str(file) in fails(capsys, "train", DEMO, f"--plugin={file}", "--workdir=x")


def test_eval_scores_every_depth(capsys, workdir):
    assert main(["eval", f"--workdir={workdir}", "--steps=5", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["depth"] for row in result["by_depth"]] == [1, 2, 3, 4, 5]
    assert result["examples"] == 10 and result["steps_used"] == 5
    assert result["exact_accuracy"] == result["by_depth"][-1]["exact_accuracy"]
    assert 0 <= result["cell_accuracy"] <= 1
    written = json.loads(next((workdir / "eval").glob("*-depth5.json")).read_text())
    assert written == {key: value for key, value in result.items() if key != "file"}


def test_eval_is_what_the_training_loop_saw(capsys, workdir):
    last = [e for e in runs.metrics(workdir) if "heldout/exact_accuracy" in e][-1]
    assert main(["eval", f"--workdir={workdir}", "--checkpoint=12", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["exact_accuracy"] == last["heldout/exact_accuracy"]
    assert result["cell_accuracy"] == pytest.approx(last["heldout/cell_accuracy"], abs=1e-6)


def test_a_run_of_an_earlier_version_is_scored_and_goes_on(capsys, workdir, tmp_path):
    """Its config.json and data.json have Sudoku's settings by their old names, and the mazes'."""
    old = tmp_path / "old"
    shutil.copytree(workdir, old)
    others = {"maze": {"side": 30}, "arc": {"subsets": "training", "test": "training", "side": 30}}
    for file in ("config.json", "data.json"):
        record = json.loads((old / file).read_text())
        data = record["config"]["data"] if file == "config.json" else record
        data.update(data.pop("sudoku") | others)
        assert data["box"] == [2, 2] and data["extra_givens"] == 4
        (old / file).write_text(json.dumps(record))
    scores = []
    for path in (workdir, old):
        assert main(["eval", f"--workdir={path}", "--checkpoint=12", "--json"]) == 0
        scores.append(json.loads(capsys.readouterr().out)["by_depth"])
    assert scores[0] == scores[1]
    assert train(runs.experiment(steps=16), old) == 0
    assert [entry["step"] for entry in runs.metrics(old)][-1] == 16


def test_eval_of_a_csv_in_any_batch_size(capsys, workdir, tmp_path):
    inputs, labels = (np.load(workdir / f"data/{k}.npy") for k in ("inputs", "labels"))
    rows = [
        f"x,{SUDOKU.format_line(q)},{SUDOKU.format_line(a)},0"
        for q, a in zip(inputs, labels, strict=True)
    ]
    file = tmp_path / "test.csv"
    file.write_text("\n".join(["source,question,answer,rating", *rows]) + "\n")
    results = []
    for size in (7, 64):
        flags = [f"--workdir={workdir}", f"--data={file}", f"--batch_size={size}", "--json"]
        assert main(["eval", *flags]) == 0
        out, err = capsys.readouterr()
        results.append(json.loads(out))
    trained = len(np.load(workdir / "data/split_train.npy"))
    assert results[0]["examples"] == 40 and results[0]["trained_on"] == trained < 40
    assert f"was trained on {trained} of these 40 puzzles" in err
    for key in ("exact_accuracy", "cell_accuracy"):
        assert results[0][key] == pytest.approx(results[1][key], abs=1e-6)


def test_eval_table_shows_depths_one_to_sixteen_and_the_last(capsys, workdir):
    assert main(["eval", f"--workdir={workdir}", "--steps=20"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:-1]
    assert [int(line.split()[0]) for line in lines] == [*range(1, 17), 20]


def test_eval_refuses_what_is_not_there(capsys, workdir):
    assert "99" in fails(capsys, "eval", f"--workdir={workdir}", "--checkpoint=99")
    assert "steps" in fails(capsys, "eval", f"--workdir={workdir}", "--steps=0")
    assert "none.csv" in fails(capsys, "eval", f"--workdir={workdir}", "--data=none.csv")
    assert "dessert" in fails(capsys, "eval", f"--workdir={workdir}", "--split=dessert")


def test_solve_from_arguments_file_and_stdin(capsys, monkeypatch, workdir, puzzles, tmp_path):
    file = tmp_path / "puzzles.txt"
    file.write_text("\n".join(puzzles) + "\n\n")

    def answers(*arguments):
        code = main(["solve", f"--workdir={workdir}", "--json", *map(str, arguments)])
        records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert code == (0 if all(r["solved"] for r in records) else 1)
        return records

    direct = answers(*puzzles)
    assert [r["question"] for r in direct] == puzzles
    assert answers(file) == direct
    with file.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert answers("-") == direct
    for record in direct:
        question, answer = SUDOKU.parse(record["question"]), SUDOKU.parse(record["answer"])
        assert record["broken"] == SUDOKU.check_answer(question, answer)
        assert len(record["confidence"]) == 3 and 1 <= record["steps"] <= 3


def test_solve_draws_steps_and_a_picture(capsys, workdir, puzzles, tmp_path):
    picture = tmp_path / "new" / "solved.png"
    main(["solve", f"--workdir={workdir}", "--show", f"--picture={picture}", puzzles[0]])
    out = capsys.readouterr().out
    assert all(f"step {step}" in out for step in (1, 2, 3)) and out.count("┌") == 3
    verdict = r"puzzle 1: .*; (never confident|first confident at step [1-3] of 3), confidence "
    assert re.fullmatch(rf"{verdict}[\d.]+% at the end", out.splitlines()[-1])
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("puzzle", "named"),
    [
        ("1" * 15, "15"),
        ("11..............", "row 1"),
        ("123....4........", "no solution"),
        ("12z4............", "'z' at place 3"),
    ],
)
def test_solve_refuses_bad_puzzles(capsys, workdir, puzzle, named):
    assert named in fails(capsys, "solve", f"--workdir={workdir}", puzzle)


def test_solve_refuses_no_puzzle(capsys, workdir):
    assert "puzzle" in fails(capsys, "solve", f"--workdir={workdir}")


def test_report_draws_the_run(capsys, workdir, tmp_path):
    main(["eval", f"--workdir={workdir}"])
    assert main(["report", str(workdir), f"--out={tmp_path / 'r.png'}"]) == 0
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


def test_data_builds_inspects_and_refuses(capsys, tmp_path):
    out = tmp_path / "four"
    flags = ["--box=2x2", "--train=20", "--heldout=5", "--extra_givens=4", f"--out={out}"]
    assert main(["data", "sudoku", "--json", *flags]) == 0
    built = json.loads(capsys.readouterr().out)
    assert built["counts"] == {"train": 20, "heldout": 5}
    assert main(["data", str(out)]) == 0
    assert "train 20, heldout 5" in capsys.readouterr().out
    assert main(["data", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == built
    array = np.load(out / "labels.npy")
    array[0, 0] ^= 1
    np.save(out / "labels.npy", array)
    assert "labels.npy" in fails(capsys, "data", out)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["train", "rollout"])
def test_bench_prints_the_peers_keys(capsys, what):
    flags = [DEMO, f"--what={what}", "--repeats=2", "--json", "--config.batch_size=8"]
    small = ["--config.model.width=16", "--config.model.layers=1", "--config.mesh.data=1"]
    assert main(["bench", *flags, *small]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["seconds"] > 0
    assert result["examples_per_s"] == pytest.approx(8 / result["seconds"], rel=0.01)
    assert {"tflop_per_step", "tflops_per_s", "params", "batch", "spread"} <= result.keys()


ALLOCATES = """
import resource, threading
import numpy as np
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def temporary():
    np.ones(2**25).sum()
temporary()
start = faults()
for _ in range(4):
    thread = threading.Thread(target=temporary)
    thread.start()
    thread.join()
print(faults() - start)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")
def test_memory_once_fetched_is_kept_for_other_threads_too():
    def faults(tunables):
        environment = {**os.environ, "GLIBC_TUNABLES": tunables}
        command = [sys.executable, "-c", ALLOCATES]
        return int(subprocess.check_output(command, env=environment, text=True))

    assert faults(MALLOC) < 100, "a stack and little more"
    assert faults("") > 4 * 2**28 / 2**21, "else this test says nothing"


def test_module_is_the_command():
    done = runs.trm("cook")
    assert done.returncode == 2 and done.stderr.startswith("trm: ") and not done.stdout


def test_halting_that_is_never_confident_is_the_fixed_depth(capsys, workdir):
    results = []
    for rule in ([], ["--halt", "--halt-threshold=0.9999999"]):
        assert main(["eval", f"--workdir={workdir}", "--steps=4", "--json", *rule]) == 0
        results.append(json.loads(capsys.readouterr().out))
    fixed, halting = results
    assert halting["steps_used"] == 4 and halting["steps"] == [0, 0, 0, 10]
    assert halting["exact_accuracy"] == fixed["exact_accuracy"]
    assert halting["cell_accuracy"] == pytest.approx(fixed["cell_accuracy"], abs=1e-6)
    assert len(list((workdir / "eval").glob("*halting4-threshold*.json"))) == 1


def test_halting_at_once_takes_one_step_of_each(capsys, workdir):
    command = ["eval", f"--workdir={workdir}", "--halt", "--halt-threshold=1e-9", "--batch_size=3"]
    assert main([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["steps_used"] == 1 and result["rounds"] == 2  # three slots are eight, on devices
    assert main(["eval", f"--workdir={workdir}", "--steps=1", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert result["exact_accuracy"] == first["exact_accuracy"]
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(" 1.00 ")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--halt", "--halt-threshold=1.5"], "halting threshold is 1.5"),
        (["--halt", "--halt-min-steps=9", "--steps=3"], "makes no sense"),
        (["--halt-patience=2"], "--halt_patience has no effect without --halt"),
        (["--rollouts=4"], "4 rollouts without noise or restarts are all identical"),
        (["--rollouts=0"], "must be 1 or more"),
        (["--rollouts=999999999999", "--noise=1"], "give fewer rollouts"),
        (["--noise=-1"], "the noise is -1.0"),
        (["--noise-on=z"], "--noise_on has no effect without a search"),
        (["--rollouts=2", "--restart=z", "--noise-on=z"], "has no effect without --noise"),
        (["--rollouts=2", "--noise=1", "--symmetry=all"], "has no effect without --copies"),
        (["--copies=5"], "--copies is 5, but these puzzles have 4"),
        (["--select=first"], "add --halt"),
        (["--curve", "--halt"], "leave --halt and --select out"),
        (["--checkpoints=4,x"], "give numbers"),
        (["--checkpoints=4,8", "--checkpoint=4"], "give one of them"),
    ],
)
def test_halting_mistakes_get_one_sentence(capsys, workdir, flags, named):
    assert named in fails(capsys, "eval", f"--workdir={workdir}", *flags)


def test_a_curve_is_a_table_and_a_picture_and_a_report_passes_it_over(capsys, workdir, tmp_path):
    """So does a model card: a curve has no score. A search has one, and the card says how."""
    command = ["eval", f"--workdir={workdir}", "--steps=3", "--checkpoint=12"]
    assert main([*command, "--curve", "--copies=2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    with Path(result["csv"]).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result["curve"]) and {row["width"] for row in rows} == {"1", "2"}
    assert Path(result["png"]).read_bytes().startswith(b"\x89PNG")
    assert main([*command, "--curve"]) == 0
    assert "exact by depth" in capsys.readouterr().out
    assert main([*command, "--copies=2", "--select=majority"]) == 0
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("selected by: halt"))
    assert line.count("%") == 5  # four ways, and the mean
    assert main(["report", str(workdir), f"--out={tmp_path / 'report'}"]) == 0
    how = [row["how"] for row in measured_scores(load(workdir, 12)) if "how" in row]
    assert "depth3-digits-copies2-select-majority" in how
    assert not [each for each in how if each.startswith("curve")]
