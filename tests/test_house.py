"""The house stands: packages import downwards only, names mean one thing, files stay short."""

import ast
import configparser
import re
import statistics
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "trm_jax"
FUNCTION_LINES, FILE_LINES, MEDIAN_LINES, ROOT_MODULES = 80, 400, 150, 12

PACKAGES = (
    "core",
    "data",
    "models",
    "tasks",
    "config",
    "infer",
    "train",
    "released",
    "show",
    "plan",
    "published",
    "serving",
    "server",
    "sweep",
    "bench",
    "commands",
)
"""From the bottom up: a package imports from those before it, and from no other."""

SAME_MEANING = {
    # of each task, of each group of settings, of examples
    "task",
    "build",
    "read",
    "generate",
    "judge",
    "symmetry",
    "on_device",
    "settings",
    "views",
    # of the package, and of the launcher
    "cli",
    "errors",
    "__init__",
    "__main__",
    # what the puzzles are, and the configs for them
    "sudoku",
    "maze",
    "futoshiki",
    "numberlink",
}
"""Modules of one name that are one thing in several rooms; commands are named after commands."""


def modules():
    """Path of each module of the package, by its dotted name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path, known=()):
    """Dotted names that a file imports, anywhere in it; of packages, their modules if `known`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in known else node.module)
    return found


def python_files(*folders):
    return [
        path
        for folder in folders or (PACKAGE, "benchmarks", "experiments", "launch")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def within(name, package):
    return name == package or name.startswith(package + ".")


def room(name):
    """The package that a module of trm_jax is in; "" for the root."""
    parts = name.split(".")
    is_package = (ROOT / PACKAGE / parts[1]).is_dir() if len(parts) > 1 else False
    return parts[1] if is_package else ""


def test_the_list_of_packages_is_that_of_the_disk():
    on_disk = {path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py")}
    assert on_disk == set(PACKAGES) and len(PACKAGES) == len(on_disk)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_between_packages_go_down_only(package):
    known = modules()
    allowed = {"", *PACKAGES[: PACKAGES.index(package) + 1]}
    wrong = {
        f"{name} imports {other}"
        for name, path in known.items()
        if room(name) == package
        for other in imports(path, known)
        if within(other, PACKAGE) and room(other) not in allowed
    }
    assert not wrong


def test_imports_within_a_package_run_in_no_circle():
    known = modules()
    below = {
        name: {other for other in imports(path, known) if other in known and other != name}
        for name, path in known.items()
        if path.name != "__init__.py"
    }
    done = set()
    while ready := {n for n, others in below.items() if not (others & below.keys()) - done} - done:
        done |= ready
    assert not below.keys() - done


def test_few_modules_stay_in_the_root():
    assert len(list((ROOT / PACKAGE).glob("*.py"))) <= ROOT_MODULES


def test_every_package_says_in_one_sentence_what_it_is():
    for package in PACKAGES:
        doc = ast.get_docstring(ast.parse((ROOT / PACKAGE / package / "__init__.py").read_text()))
        assert doc and len(doc.splitlines()[0]) <= 98, package


def test_no_module_name_has_two_meanings():
    places = defaultdict(list)
    for path in python_files(PACKAGE, "experiments", "launch"):
        if path.parent.name != "commands" and path.stem not in SAME_MEANING:
            places[path.stem].append(str(path.relative_to(ROOT)))
    assert not {name: where for name, where in places.items() if len(where) > 1}


def test_no_class_name_has_three_meanings():
    places = defaultdict(list)
    for path in python_files(PACKAGE, "experiments", "launch"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert not {name: where for name, where in places.items() if len(where) > 2}
    assert len(places["Run"]) == 1


ASKS = re.compile(r"""\b(task|mixer)(\.name)?["']?\]? *(==|!=|in|not in) *[(\["']""")
"""A comparison of a task or a mixer with names, in Python or JavaScript."""


def test_nothing_outside_asks_which_task_or_mixer_it_is():
    files = [*python_files(PACKAGE), *(ROOT / PACKAGE).rglob("*.js")]
    homes = ("tasks", "models/mixers")
    outside = [p for p in files if not p.relative_to(ROOT / PACKAGE).as_posix().startswith(homes)]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in outside
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if ASKS.search(line)
    ]
    assert not found


def test_nothing_outside_imports_the_rooms_of_one_task():
    known = modules()
    wrong = {
        f"{name} imports {other}"
        for name, path in known.items()
        if not within(name, f"{PACKAGE}.tasks")
        for other in imports(path, known)
        if re.match(rf"{PACKAGE}\.tasks\.(sudoku|maze|arc|futoshiki|numberlink)\b", other)
    }
    assert not wrong


def test_experiments_are_plain_configs():
    paths = python_files("experiments")
    assert paths
    for path in paths:
        assert not [name for name in imports(path) if within(name, PACKAGE)], path


def test_only_generators_need_the_solver():
    users = {
        name
        for name, path in modules().items()
        if any(within(other, "pysat") for other in imports(path))
    }
    modules_of_tasks = ("sudoku.generate", "futoshiki.generate", "numberlink.links")
    assert users == {f"trm_jax.tasks.{name}" for name in modules_of_tasks}


def test_the_wheel_has_every_package():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    on_disk = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / PACKAGE).rglob("__init__.py")
    }
    assert listed == on_disk | {"trm_jax.experiments", "trm_jax.launch"}


def test_functions_are_short():
    too_long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno >= FUNCTION_LINES
    ]
    assert not too_long


def test_files_are_short():
    lines = {path: len(path.read_text().splitlines()) for path in python_files()}
    assert not [str(path) for path, count in lines.items() if count > FILE_LINES]
    assert statistics.median(lines.values()) <= MEDIAN_LINES
