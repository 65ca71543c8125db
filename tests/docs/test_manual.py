"""The commands reference is what the commands print."""

import difflib
import subprocess
import sys

from tests import runs
from trm_jax.cli import COMMANDS

PAGE = runs.ROOT / "docs/reference/commands.md"
COMMAND = [sys.executable, "-m", "trm_jax.commands.manual"]


def test_the_page_is_that_of_the_commands():
    """Generated in a process of its own, where no other test has registered a plugin."""
    done = subprocess.run(
        COMMAND, cwd=runs.ROOT, env=runs.environment(), capture_output=True, text=True, check=True
    )
    lines = (PAGE.read_text().splitlines(), done.stdout.splitlines())
    difference = "\n".join(difflib.unified_diff(*lines, "the page", "generated", lineterm=""))
    remedy = "`python -m trm_jax.commands.manual > docs/reference/commands.md` writes it"
    assert not difference, f"{remedy}:\n{difference}"


def test_every_command_has_its_section_and_no_path_of_a_machine_is_there():
    text = PAGE.read_text()
    for name in (*(f"trm {command}" for command in COMMANDS), "trm-launch"):
        assert f"\n## {name}\n" in text
    assert sys.executable not in text and str(runs.ROOT) not in text
