"""The notebooks run from the first cell to the last, and what they show is what they gave."""

import os
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")

FOLDER = Path(__file__).parents[2] / "notebooks"
SMALL = {
    "quickstart.ipynb": {"STEPS": 20},
    "arc_offline.ipynb": {"STEPS": 20, "FIT_UPDATES": 4},
}
"""Parameters with which a test runs each notebook."""


def read(name):
    return nbformat.read(FOLDER / name, as_version=4)


def parameters(notebook):
    found = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    assert len(found) == 1
    return found[0]


def text_of(notebook):
    """All that the cells printed."""
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    return "\n".join(str(o.get("text", o.get("data", ""))) for o in outputs)


def test_every_notebook_is_tested():
    assert {path.name for path in FOLDER.glob("*.ipynb")} == set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_kept_outputs_are_those_of_one_whole_run(name):
    notebook = read(name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]
    text = text_of(notebook)
    assert "Traceback" not in text and "trm: error" not in text
    assert not re.search(r"/(tmp|home|work|root)/", text), "a path of one machine"
    assert os.path.getsize(FOLDER / name) < 1_000_000


@pytest.mark.parametrize("name", SMALL)
def test_links_lead_to_files(name):
    for cell in read(name).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\((?!http)([^)#]+)", cell.source):
                assert (FOLDER / target).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_runs_with_small_settings(name, tmp_path, monkeypatch):
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    notebook = read(name)
    cell = parameters(notebook)
    for setting, value in SMALL[name].items():
        cell.source, count = re.subn(
            rf"^{setting} = \d+", f"{setting} = {value}", cell.source, flags=re.M
        )
        assert count == 1
    resources = {"metadata": {"path": str(tmp_path)}}
    client.NotebookClient(notebook, timeout=900, resources=resources).execute()
    text = text_of(notebook)
    assert "Traceback" not in text and "trm: error" not in text
    made = {"quickstart.ipynb": "runs/demo/trace.html", "arc_offline.ipynb": "submission_new.json"}
    assert (tmp_path / made[name]).exists()
