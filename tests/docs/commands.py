"""The commands that stand in the documents' bash blocks."""

import re
import shlex

from tests import runs

BLOCK = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = sorted(
    path.relative_to(runs.ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "experiments/*.md", "benchmarks/*.md", "launch/*.md")
    for path in runs.ROOT.glob(pattern)
)


def blocks_of(text):
    """Each bash block as a list of command lines, without comments, continued lines joined."""
    for block in BLOCK.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        yield [line for line in lines if words_of(line)]


def words_of(line):
    """The words of a command line without its comment."""
    return shlex.split(line, comments=True)


def command_lines(page):
    """All command lines of a page, in order."""
    text = (runs.ROOT / page).read_text()
    return [line for block in blocks_of(text) for line in block]
