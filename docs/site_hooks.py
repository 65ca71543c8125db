"""Pages of the website that are outside of docs/, and links to and from them; see mkdocs.yml."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
HOME = {"README.md": "index.md"}
"""Where pages outside of docs/ go, if not to their own path."""
OUTSIDE = (
    *("README.md", "CONTRIBUTING.md", "launch/*.md", "benchmarks/*.md"),
    *("experiments/*.md", "experiments/*.csv", "notebooks/*.ipynb"),
)
LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")


def on_files(files: Files, config: Any) -> Files:
    """Adds the files that are outside of docs/."""
    for path in (path for pattern in OUTSIDE for path in sorted(ROOT.glob(pattern))):
        source = path.relative_to(ROOT).as_posix()
        place = HOME.get(source, source)
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrites relative links from paths in the repository to paths in the website."""
    here = page.file.src_uri
    source = Path(page.file.abs_src_path).relative_to(ROOT).parent.as_posix()

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(source, link[1]))
        target = HOME.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(target, posixpath.dirname(here) or ".")

    return LINK.sub(moved, markdown)
