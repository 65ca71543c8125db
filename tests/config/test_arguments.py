"""The command line's --config and its settings: each can be set, whatever the config file names."""

import pytest
from absl import flags

from tests import runs
from trm_jax.commands import common
from trm_jax.config.arguments import config_file, rewritten
from trm_jax.config.dotted import flat
from trm_jax.config.experiment import Experiment
from trm_jax.config.locate import filled
from trm_jax.core.errors import UserError
from trm_jax.tasks.task import TASKS

CONFIGS = ("sudoku:demo", "sudoku:extreme", "sudoku_hard:fast", "maze:small", "arc:debug")
OWN = """
from ml_collections import ConfigDict
def get_config(variant=""):
    return ConfigDict({"model": {"T": 1}, "optimizer": {"lr": 1, "weight_decay": 0},
                       "data": {"box": [2, 3]}, "curriculum": [[0.0, 1, 2]]})
"""
PLUGIN = """
import dataclasses
from trm_jax.core.settings import Settings, setting
from trm_jax.tasks.task import TASKS, Task

@dataclasses.dataclass(frozen=True)
class Words(Settings):
    GROUP = "config.data.arguments_words"
    letters: int = setting(5, "Letters of a word.", low=1)

class WordsTask(Task):
    name, settings = "arguments_words", Words

TASKS.register("arguments_words", WordsTask())
"""


def parsed(*arguments):
    """The flags as a command reads them."""
    values = flags.FlagValues()
    flags.DEFINE_list("plugin", [], "Plugins.", flag_values=values)
    arguments = rewritten(arguments)
    common.define_config(values, arguments)
    assert values(["trm", *arguments]) == ["trm"], "something is no flag"
    return values


def experiment(*arguments):
    return common.experiment(parsed(*arguments))


def refusal(*arguments):
    with pytest.raises(UserError) as error:
        experiment(*arguments)
    return str(error.value)


@pytest.fixture
def own(tmp_path):
    """A config file of a user's, with lists, whole numbers for fractions, and old names."""
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return str(path)


@pytest.fixture
def plugin(tmp_path):
    """A file that brings a task; it is there for this test alone."""
    path = tmp_path / "words.py"
    path.write_text(PLUGIN)
    yield str(path)
    TASKS._found.pop("arguments_words", None)


def test_a_config_file_is_given_with_an_equals_sign_or_without():
    path = str(runs.ROOT / "experiments/sudoku.py:six")
    one = experiment(f"--config={path}", "--config.model.T=1")
    assert one.name == "sudoku_six" and one.model.T == 1
    assert one == experiment("--config", path, "--config.model.T", "1")
    assert one == experiment("-config", path, "-config.model.T=1")
    assert one == experiment("--config=sudoku:six", "--config.model.T=1")


def test_the_users_own_words_for_the_file_are_kept():
    for words in (["--config=a.py:b"], ["--config", "a.py:b"], ["--x", "--config", "a.py:b", "y"]):
        assert config_file(words) == "a.py:b"
    assert config_file(["--config=sudoku", "--config=maze"]) == "maze"
    assert config_file(rewritten(["--config=sudoku:six"])) == "sudoku:six"
    assert config_file(["--config.steps=3", "config"]) == ""


def test_what_is_no_setting_stays_as_it_is():
    words = ["--workdir=a", "--steps", "3", "puzzle", "-", "--nosave", "config", "..1.", "--", "x"]
    assert rewritten(words) == words


def test_twice_rewritten_is_the_same():
    words = rewritten(["--config", "sudoku", "--config.data.box=(2, 3)", "--config.steps", "4"])
    assert rewritten(words) == words


@pytest.mark.parametrize("config", CONFIGS)
def test_settings_that_no_file_names_can_be_set(config):
    found = experiment(
        f"--config={config}",
        "--config.accumulate=2",
        "--config.mesh.table=1",
        "--config.init_from=runs/x",
        "--config.eval_copies=3",
        "--config.model.y_layers=1",
        "--config.curriculum=((0.0, 1, 2), (0.5, 2, 4))",
        "--config.optimizer.clip=1",
        "--config.loss.kind=softmax",
        "--config.model.unroll=False",
    )
    assert (found.accumulate, found.mesh.table, found.init_from) == (2, 1, "runs/x")
    assert (found.eval_copies, found.model.y_layers, found.optimizer.clip) == (3, 1, 1.0)
    assert found.curriculum == ((0.0, 1, 2), (0.5, 2, 4))
    assert found.loss.kind == "softmax" and found.model.unroll is False


def in_words(value):
    """A value as it is written on the command line."""
    return value if isinstance(value, str) else repr(value)


def defaults(task):
    """Every setting with its default, by its dotted name, for a task; the others' among them."""
    settings = flat(filled({}))
    assert {f"config.{name}" for name in settings} == set(Experiment.all_names())
    return settings | {"data.task": task}


@pytest.mark.parametrize("variant", [f"{f}:{v}" for f, v in runs.variants()])
def test_every_setting_can_be_overridden_whatever_the_config(variant):
    values = defaults(variant.partition(":")[0].partition("_")[0])
    words = [f"--config.{name}={in_words(value)}" for name, value in values.items()]
    found = common.settings(parsed(f"--config={variant}", *words))
    assert flat(found) == values


@pytest.mark.parametrize("task", ["sudoku", "maze", "arc"])
def test_all_settings_of_the_chosen_task_can_be_set_at_once(task):
    others = tuple(f"data.{other}." for other in TASKS.all() if other != task)
    values = {k: v for k, v in defaults(task).items() if not k.startswith(others)}
    words = [f"--config.{name}={in_words(value)}" for name, value in values.items()]
    assert flat(experiment(f"--config={task}", *words).to_dict()) == values


@pytest.mark.parametrize(
    ("words", "box"),
    [
        (["--config.data.box=(3, 3)"], (3, 3)),
        (["--config.data.box=3,3"], (3, 3)),
        (["--config.data.box", "(3, 2)"], (3, 2)),
        (["--config.data.sudoku.box=(3, 2)"], (3, 2)),
    ],
)
def test_settings_of_data_are_known_by_their_old_names_too(words, box):
    assert experiment("--config=sudoku", *words).data.options.box == box


@pytest.mark.parametrize("name", ["data.box", "data.sudoku.box"])
def test_of_a_setting_given_twice_the_last_one_stays(name):
    found = experiment(
        "--config=sudoku",
        "--config.curriculum=((0.0, 1, 2),)",
        f"--config.{name}=(2, 3)",
        "--config.steps=3",
        f"--config.{name}=(3, 3)",
        "--config.steps=2000",
        "--config.curriculum=((0.0, 2, 2),)",
    )
    assert found.data.options.box == (3, 3) and found.steps == 2000
    assert found.curriculum == ((0.0, 2, 2),)


def test_by_its_old_name_and_its_new_one_a_setting_has_one_value():
    both = ["--config.data.box=(2, 3)", "--config.data.sudoku.box=2,3"]
    assert experiment("--config=sudoku", *both).data.options.box == (2, 3)
    sentence = refusal("--config=sudoku", both[0], "--config.data.sudoku.box=(3, 3)")
    assert sentence.startswith("config.data.box is (2, 3) and config.data.sudoku.box, as it is ")


def test_plugins_add_up(tmp_path):
    files = [tmp_path / f"adds_up_{name}.py" for name in "abc"]
    for file in files:
        file.touch()
    a, b, c = map(str, files)
    assert experiment("--config=sudoku", f"--plugin={a}", "--plugin", f"{b},{c}").plugins == (
        a,
        b,
        c,
    )
    assert experiment("-plugin", a, "--config=sudoku", f"--plugin={a}").plugins == (a,)


def test_plugins_are_known_by_their_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "whole_path.py").touch()
    for flag in ("--plugin=whole_path.py", "--config.plugins=('whole_path.py',)"):
        assert experiment("--config=sudoku", flag).plugins == (str(tmp_path / "whole_path.py"),)


def test_settings_may_come_before_the_file():
    words = ["--config.model.T", "1", "--noconfig.model.unroll", "--config", "sudoku:six"]
    found = experiment(*words)
    assert (found.name, found.model.T, found.model.unroll) == ("sudoku_six", 1, False)


@pytest.mark.parametrize("word", ["--config.steps=20", "--noconfig.model.unroll"])
def test_settings_alone_ask_for_the_file(word):
    assert f"--config is missing; {word} changes a setting of it" in refusal(word)


def test_more_old_names():
    found = experiment("--config=sudoku", "--config.data.extra_givens=2")
    assert found.data.options.extra_givens == 2
    found = experiment("--config=arc", "--config.data.arc.test=training")
    assert found.data.options.test_subset == "training"


def test_flags_need_no_value():
    found = experiment("--config=arc", "--config.data.arc.strict", "--config.model.T=2")
    assert found.data.options.strict and found.model.T == 2
    assert not experiment("--config=arc", "--noconfig.data.arc.strict").data.options.strict


def test_a_users_own_config_can_be_overridden_as_well(own):
    found = experiment(f"--config={own}")
    assert (found.optimizer.lr, found.data.options.box) == (1, (2, 3))
    found = experiment(
        f"--config={own}",
        "--config.optimizer.lr=0.5",
        "--config.optimizer.weight_decay=0.1",
        "--config.data.box=(2, 2)",
        "--config.curriculum=()",
        "--config.batch_size=8",
    )
    assert (found.optimizer.lr, found.optimizer.weight_decay) == (0.5, 0.1)
    assert (found.data.options.box, found.curriculum, found.model.T) == ((2, 2), (), 1)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--config.lr=1"], "config.lr is not a setting; did you mean config.optimizer.lr or "),
        (["--config.stepz", "3"], "config.stepz is not a setting; did you mean config.steps?"),
        (["--config.model.widht=3"], "did you mean config.model.width?"),
        (["--config.model.dropout=1"], "did you mean config.model.lattice.dropout?"),
        (
            ["--config.model.width.x=3"],
            "width.x is not a setting; did you mean config.model.width?",
        ),
        (
            ["--config.model_width=3"],
            "model_width is not a setting; did you mean config.model.width?",
        ),
        (["--config.data.sudoku.box[0]=3"], "did you mean config.data.sudoku.box?"),
        (["--noconfig.model.unrol"], "unrol is not a setting; did you mean config.model.unroll"),
        (["--config.optimizer.lr=inf"], "lr is inf; it must be finite and in (0, 1e+09]."),
        (["--config.plugins=(3,)"], "plugin 3: this is not the name of a module"),
        (
            ["--config.", "3"],
            "--config. does not name a setting; docs/reference/settings.md lists all of them.",
        ),
        (["--config.model=3"], "config.model is a group of settings; name one of them, as in "),
        (["--config.steps=0"], "config.steps is 0; it must be in [1, 1000000000]."),
        (["--config.seed", "-1"], "config.seed is -1; it must be in [0, 2147483647]."),
        (
            ["--config.optimizer.lr=nan"],
            "config.optimizer.lr is nan; it must be finite and in (0, 1e+09].",
        ),
        (["--config.data.box=(3,)"], "config.data.sudoku.box is (3,); it must be of type tuple"),
        (["--config.data.task=chess"], "config.data.task is 'chess'; the known tasks are sudoku"),
        (["--config.model.mixer=spoon"], "config.model.mixer is 'spoon'; the known mixers are "),
    ],
)
def test_wrong_settings_are_refused_by_name(words, sentence):
    assert sentence in refusal("--config=sudoku", *words)


@pytest.mark.parametrize(
    ("config", "name", "task"),
    [
        ("sudoku", "data.maze.side", "maze"),
        ("sudoku", "data.arc.strict", "arc"),
        ("maze", "data.sudoku.extra_givens", "sudoku"),
        ("maze", "data.extra_givens", "sudoku"),
        ("arc", "data.maze.side", "maze"),
    ],
)
def test_a_setting_of_another_task_is_refused(config, name, task):
    last = name.rpartition(".")[2]
    sentence = refusal(f"--config={config}", f"--config.{name}={7 if last == 'side' else 1}")
    assert f"config.data.{task}.{last} is a setting of the task '{task}'" in sentence
    assert f"config.data.task is '{config}'; leave it out" in sentence


def test_it_is_not_where_its_task_is_chosen_too():
    words = ["--config.data.task=maze", "--config.data.maze.side=7", "--config.model.T=1"]
    for order in (words, words[::-1]):
        found = experiment("--config=sudoku", *order)
        assert found.data.task == "maze" and found.data.options.side == 7


@pytest.mark.parametrize("flag", ["--plugin={}", "--config.plugins={}", "--config.plugins=('{}',)"])
def test_settings_of_a_plugins_task_can_be_set(plugin, flag):
    words = ["--config.data.task=arguments_words", "--config.data.arguments_words.letters=7"]
    assert "arguments_words" in refusal("--config=sudoku", words[0])
    found = experiment("--config=sudoku", *words, flag.format(plugin))
    assert found.data.options.letters == 7 and found.plugins == (plugin,)
    assert "letters is 0" in refusal("--config=sudoku", flag.format(plugin), words[1][:-1] + "0")


def test_the_file_is_asked_for_where_it_is_missing():
    with pytest.raises(UserError, match="--config is missing"):
        common.experiment(parsed())


@pytest.mark.parametrize("word", ["--config.data.box=3x3", "--config.data.sudoku.box=3x3"])
def test_a_box_may_be_written_as_people_write_it(word):
    assert rewritten(["--config=sudoku", word])[-1] == "--config.data.sudoku.box=(3, 3)"
