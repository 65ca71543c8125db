"""The website is built without a warning, and its images and links lead somewhere."""

import html.parser
import importlib.util
import os
import subprocess
import sys
from urllib.parse import unquote, urldefrag

import pytest
import yaml

from tests import runs

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("material") is None, reason="needs mkdocs-material, extra docs"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    place = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)],
        cwd=runs.ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return place


class Page(html.parser.HTMLParser):
    """The addresses and the anchors of an HTML page."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors.add(found.get("id"))
        self.addresses += [found[name] for name in ("href", "src") if found.get(name)]


def test_links_images_and_anchors_lead_somewhere(site):
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html")}
    wrong = []
    for path, page in pages.items():
        for address in page.addresses:
            place, anchor = urldefrag(address)
            if "://" in place or place.startswith(("mailto:", "/")):
                continue
            target = (path.parent / unquote(place)).resolve() if place else path
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].anchors if target in pages else {anchor}
            if not target.exists() or (anchor and unquote(anchor) not in known):
                wrong.append(f"{path.relative_to(site)}: {address}")
    assert len(pages) > 25 and not wrong


def test_every_page_is_in_the_menu(site):
    text = (runs.ROOT / "mkdocs.yml").read_text()
    pages = {path.relative_to(runs.ROOT / "docs") for path in (runs.ROOT / "docs").rglob("*.md")}
    lines = yaml.safe_load(text)["nav"]

    def named(entry):
        inner = entry.values() if isinstance(entry, dict) else entry
        return [entry] if isinstance(entry, str) else [x for each in inner for x in named(each)]

    missing = {page.as_posix() for page in pages} - set(named(lines))
    assert not missing, "add a line to nav in mkdocs.yml"
