"""The house stands: imports go down only, and files and functions stay short enough to read."""

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "trm_jax"
FUNCTION_LINES, FILE_LINES, MEDIAN_LINES = 80, 400, 150

FLOORS = {
    "trm_jax": 0,
    "trm_jax.bench": 0,
    "trm_jax.infer.calibration": 0,
    "trm_jax.commands": 0,
    "trm_jax.data": 0,
    "trm_jax.tasks.maze.paths": 0,
    "trm_jax.core.errors": 0,
    "trm_jax.core.files": 0,
    "trm_jax.core.grids": 0,
    "trm_jax.core.numerics": 0,
    "trm_jax.published": 0,
    "trm_jax.published.transcription": 0,
    "trm_jax.scoring": 0,
    "trm_jax.serving": 0,
    "trm_jax.serving.card": 0,
    "trm_jax.serving.load": 0,
    "trm_jax.core.signals": 0,
    "trm_jax.tasks.arc.records": 1,
    "trm_jax.data.choice": 1,
    "trm_jax.tasks.maze.maze": 1,
    "trm_jax.tasks.maze.carve": 1,
    "trm_jax.tasks.maze.recipe": 1,
    "trm_jax.data.csv_rows": 1,
    "trm_jax.tasks.sudoku.sudoku": 1,
    "trm_jax.train.logbook": 1,
    "trm_jax.core.mesh": 1,
    "trm_jax.published.torch_files": 1,
    "trm_jax.tasks.maze.score": 1,
    "trm_jax.serving.hub": 1,
    "trm_jax.plan.topology": 1,
    "trm_jax.core.types": 1,
    "trm_jax.models.act": 2,
    "trm_jax.config.experiment": 2,
    "trm_jax.tasks.arc.canvas": 2,
    "trm_jax.tasks.arc.copies": 2,
    "trm_jax.tasks.arc.read": 2,
    "trm_jax.tasks.maze.read": 2,
    "trm_jax.tasks.maze.generate": 2,
    "trm_jax.data.rows": 2,
    "trm_jax.tasks.sudoku.read": 2,
    "trm_jax.tasks.sudoku.generate": 2,
    "trm_jax.core.distributed": 2,
    "trm_jax.show.figures": 2,
    "trm_jax.models.layers": 2,
    "trm_jax.models.losses": 2,
    "trm_jax.models.recursion": 2,
    "trm_jax.train.optim": 2,
    "trm_jax.show.panels": 2,
    "trm_jax.models.puzzle_table": 2,
    "trm_jax.data.format": 3,
    "trm_jax.show.boards": 3,
    "trm_jax.models.parts": 3,
    "trm_jax.models.variants": 3,
    "trm_jax.published.shapes": 3,
    "trm_jax.train.reporter": 3,
    "trm_jax.tasks.arc.vote": 3,
    "trm_jax.serving.forms": 3,
    "trm_jax.config.names": 3,
    "trm_jax.show.terminal": 3,
    "trm_jax.show.trace_page": 3,
    "trm_jax.tasks.arc.build": 4,
    "trm_jax.tasks.maze.build": 4,
    "trm_jax.tasks.random_puzzles": 4,
    "trm_jax.tasks.sudoku.build": 4,
    "trm_jax.data.views": 4,
    "trm_jax.models.model": 4,
    "trm_jax.published.settle": 4,
    "trm_jax.show.pictures": 4,
    "trm_jax.show.trace_gif": 4,
    "trm_jax.train.workdir": 4,
    "trm_jax.data.pipeline": 5,
    "trm_jax.data.questions": 5,
    "trm_jax.commands.traces": 5,
    "trm_jax.tasks.sources": 5,
    "trm_jax.models": 5,
    "trm_jax.train.curriculum": 6,
    "trm_jax.show.exhibits": 6,
    "trm_jax.models.flops": 6,
    "trm_jax.train.chains": 6,
    "trm_jax.tasks.judges": 6,
    "trm_jax.train.state": 6,
    "trm_jax.sweep.runs": 6,
    "trm_jax.train.checkpoint": 7,
    "trm_jax.sweep.jobs": 7,
    "trm_jax.sweep.outcomes": 7,
    "trm_jax.published.torch_names": 7,
    "trm_jax.infer.rollout": 7,
    "trm_jax.serving.program": 8,
    "trm_jax.serving.voted": 7,
    "trm_jax.train.gradient": 7,
    "trm_jax.train.step": 8,
    "trm_jax.infer.trace_rollout": 8,
    "trm_jax.infer.evaluate": 8,
    "trm_jax.sweep.report": 8,
    "trm_jax.train.trained": 8,
    "trm_jax.published.parity": 9,
    "trm_jax.train.run": 9,
    "trm_jax.serving.facts": 9,
    "trm_jax.infer.solve": 9,
    "trm_jax.show.trace_record": 9,
    "trm_jax.train.transfer": 9,
    "trm_jax.train.fit": 10,
    "trm_jax.plan.compiled": 10,
    "trm_jax.published.convert": 10,
    "trm_jax.serving.export": 10,
    "trm_jax.train.loop": 10,
    "trm_jax.bench.profile": 0,
    "trm_jax.bench.programs": 10,
    "trm_jax.bench.clock": 11,
    "trm_jax.bench.parts": 12,
    "trm_jax.bench.worker": 13,
    "trm_jax.bench.processes": 1,
    "trm_jax.bench.peer": 3,
    "trm_jax.bench.record": 4,
    "trm_jax.bench.tables": 5,
    "trm_jax.commands.common": 11,
    "trm_jax.plan.estimate": 11,
    "trm_jax.serving.demonstrated": 11,
    "trm_jax.plan.remedies": 12,
    "trm_jax.serving.solver": 12,
    "trm_jax.commands.solve_tasks": 12,
    "trm_jax.commands.bench": 13,
    "trm_jax.commands.convert": 13,
    "trm_jax.commands.data": 13,
    "trm_jax.commands.eval": 13,
    "trm_jax.commands.export": 13,
    "trm_jax.commands.report": 13,
    "trm_jax.commands.show": 13,
    "trm_jax.commands.solve": 13,
    "trm_jax.commands.sweep": 13,
    "trm_jax.commands.train": 13,
    "trm_jax.plan.page": 13,
    "trm_jax.commands.plan": 14,
    "trm_jax.cli": 15,
    "trm_jax.__main__": 16,
    "trm_jax.infer.halting": 8,
    "trm_jax.core.memory": 1,
    "trm_jax.infer.perturbation": 2,
    "trm_jax.infer.selection": 1,
    "trm_jax.tasks.symmetries": 2,
    "trm_jax.tasks.rules": 2,
    "trm_jax.infer.search": 9,
    "trm_jax.infer.evaluate_search": 10,
    "trm_jax.infer.evaluate_curve": 11,
    "trm_jax.show.curves": 3,
    "trm_jax.commands.eval_tables": 2,
    "trm_jax.commands.search_flags": 11,
}
"""Floor of every module; it may import what is on lower floors, not what is beside or above."""


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


def python_files():
    return [
        path
        for folder in (PACKAGE, "benchmarks", "experiments", "launch")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def within(name, package):
    return name == package or name.startswith(package + ".")


def test_every_module_has_a_floor_and_every_floor_its_module():
    assert set(modules()) == set(FLOORS)


@pytest.mark.parametrize("name", modules())
def test_imports_go_down_only(name):
    known = modules()
    below = {other for other in imports(known[name], known) if within(other, PACKAGE)}
    wrong = {other for other in below if FLOORS[other] >= FLOORS[name]}
    assert not wrong, f"{name} is on floor {FLOORS[name]}; " + ", ".join(
        f"{other} on {FLOORS[other]}" for other in sorted(wrong)
    )


def test_imports_are_seen_wherever_they_stand(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import trm_jax.train.step\n"
        "from trm_jax import act, __version__\n"
        "def f():\n    from trm_jax.data.format import load\n    import numpy as np\n"
    )
    expected = {
        "trm_jax.train.step",
        "trm_jax.models.act",
        "trm_jax",
        "trm_jax.data.format",
        "numpy",
    }
    assert imports(path, modules()) == expected


def test_experiments_are_plain_configs():
    paths = sorted((ROOT / "experiments").rglob("*.py"))
    assert paths
    for path in paths:
        assert not [name for name in imports(path) if within(name, PACKAGE)], path


def test_only_the_generator_needs_the_solver():
    users = {
        name
        for name, path in modules().items()
        if any(within(other, "pysat") for other in imports(path))
    }
    assert users == {"trm_jax.tasks.sudoku.generate"}


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
