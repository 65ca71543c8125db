"""docs/reference/settings.md is what the settings say of themselves."""

import difflib
import re
import subprocess
import sys

from tests import runs
from trm_jax.config.experiment import Experiment
from trm_jax.models.mixers import MIXERS
from trm_jax.models.settings import ModelSettings
from trm_jax.models.variants import VARIANTS
from trm_jax.tasks.task import TASKS

COMMAND = [sys.executable, "-m", "trm_jax.config.reference"]
BUILT_IN = ("sudoku", "maze", "arc", "futoshiki", "numberlink", "grid", "gym")
PAGE = runs.ROOT / "docs/reference/settings.md"


def test_the_page_is_that_of_the_settings():
    """Made in a process of its own, where no other test has brought a plugin."""
    done = subprocess.run(
        COMMAND, cwd=runs.ROOT, env=runs.environment(), capture_output=True, text=True, check=True
    )
    lines = (PAGE.read_text().splitlines(), done.stdout.splitlines())
    difference = "\n".join(
        difflib.unified_diff(*lines, "docs/reference/settings.md", "made", lineterm="")
    )
    remedy = "`python -m trm_jax.config.reference > docs/reference/settings.md` writes it"
    assert not difference, f"{remedy}:\n{difference}"


def test_each_setting_is_there_once_with_a_sentence_of_its_own():
    rows = re.findall(r"^\| `(config\.[\w.]+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    names = [name for name, _ in rows]
    assert len(names) == len(set(names))
    plugged = tuple(f"config.data.{task}." for task in TASKS.all() if task not in BUILT_IN)
    known = {name for name in Experiment.all_names() if not name.startswith(plugged)}
    assert set(names) == known
    for name, row in rows:
        about = row.rpartition(" | ")[2]
        assert about[0].isupper() and about.endswith("."), f"{name}: {about}"
        assert len(about.split()) > 2, f"{name}: {about}"


def test_names_that_stand_in_a_sentence_are_all_there_are():
    said = {name: set(re.findall(r"\w+", rule.about)) for name, _, rule in ModelSettings.rules()}
    assert set(VARIANTS) <= said["kind"]
    assert {name for name in MIXERS.all() if name in ("mlp", "attention", "digits")} <= said[
        "mixer"
    ]
