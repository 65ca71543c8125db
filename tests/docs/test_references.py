"""What the documents name is there: files, names in them, links, and settings."""

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from tests.docs.commands import PAGES

ROOT = Path(__file__).parents[2]
HOMES = ("", "trm_jax/", "experiments/", "launch/", "tests/", "docs/")
REFERENCE = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.py)(?::([A-Za-z_][\w.]*))?`")
MODULE = re.compile(r"\b(?:from (trm_jax[\w.]*) import ([\w, ]+)|`(trm_jax\.[\w.]+)`)")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]*))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
SETTING = re.compile(r"--config\.([a-z_]+(?:\.[A-Za-z_]\w*)*)")

PUBLISHED = {
    "trm.py",
    "trm_singlez.py",
    "trm_hier6.py",
    "hrm.py",
    "transformers_baseline.py",
    "evaluators/arc.py",
    "torch_trm.py",
    "load.py",
}
"""Files of the published code, others that readers bring, and what exported directories hold."""


def names_of(path):
    """Dotted names that a module defines at its top, and members of its classes."""
    found = set()

    def targets(node):
        if isinstance(node, ast.Assign):
            names = [n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        elif isinstance(node, ast.AnnAssign):
            names = [node.target.id] if isinstance(node.target, ast.Name) else []
        else:
            names = [node.name] if hasattr(node, "name") else []
        return names

    for node in ast.parse(path.read_text()).body:
        found |= set(targets(node))
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for inner in node.body for name in targets(inner)}
    return found


def references(page):
    return REFERENCE.findall((ROOT / page).read_text())


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_name_in_it_exists(page):
    missing = []
    for file, name in references(page):
        if file in PUBLISHED:
            continue
        places = [ROOT / home / file for home in HOMES if (ROOT / home / file).is_file()]
        if not places or (name and not any(name in names_of(place) for place in places)):
            missing.append(f"{file}:{name}" if name else file)
    assert not missing, f"{page} names what is not there"


def test_the_check_sees_what_is_missing(tmp_path):
    assert REFERENCE.findall("`a/b.py:C.d` and `x.py` but not x.py") == [
        ("a/b.py", "C.d"),
        ("x.py", ""),
    ]
    (tmp_path / "m.py").write_text("A = 1\nclass B:\n    c: int = 2\n    def d(self): ...\n")
    assert names_of(tmp_path / "m.py") == {"A", "B", "B.c", "B.d"}
    assert any(name for page in PAGES for _, name in references(page)), "nothing is checked"


def anchors_of(path):
    """The anchors of a page's headings, as GitHub and the website make them."""
    headings = HEADING.findall(FENCED.sub("", path.read_text()))
    plain = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"\s+", "-", words) for words in plain}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    wrong = []
    for place, anchor in LINK.findall(FENCED.sub("", (ROOT / page).read_text())):
        if "://" in place:
            continue
        target = (ROOT / page).parent / place if place else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            wrong.append(f"{place}#{anchor}")
    assert not wrong, f"{page} links to what is not there"


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_on_a_command_line_exists(page):
    from trm_jax.config.dotted import known_name

    for name in dict.fromkeys(SETTING.findall((ROOT / page).read_text())):
        if name not in ("a.b", "name", "key"):
            known_name(name)


@pytest.mark.parametrize("page", PAGES)
def test_every_module_and_what_is_imported_from_it_exists(page):
    for module, names, dotted in MODULE.findall((ROOT / page).read_text()):
        if not module:
            module, _, names = dotted.rpartition(".")
        if dotted in ("trm_jax.plugins", "trm_jax.git"):
            continue  # a group of entry points, a repository
        found = importlib.import_module(module)
        for name in names.replace(" ", "").split(","):
            there = hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}")
            assert there, f"{page}: {module} has no {name}"


NAMED = re.compile(r"(?<![\w/])(?:docs|experiments|launch|benchmarks)/[\w/.-]+\.md")


def test_every_page_that_the_code_names_exists():
    folders = ("trm_jax", "experiments", "launch", "benchmarks", "tests")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    named = {(page, path) for path in files for page in NAMED.findall(path.read_text())}
    wrong = {
        f"{path.relative_to(ROOT)}: {page}" for page, path in named if not (ROOT / page).exists()
    }
    assert len(named) > 10 and not wrong
