"""What docs/how-to/serve.md shows works as it stands there."""

import json
import re
import shutil
import subprocess

import pytest

from tests.runs import ROOT
from trm_jax.server.bounds import Bounds

TEXT = (ROOT / "docs/how-to/serve.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on PATH")
@pytest.mark.parametrize("block", BLOCKS)
def test_examples(served, tmp_path, block):
    for command in re.split(r"\n(?=curl|printf)", block.replace("\\\n", " ")):
        command = command.replace("http://127.0.0.1:8000", served.url)
        with open(tmp_path / "out", "w+") as out:
            shell = ["bash", "-c", command]
            done = subprocess.run(shell, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=out)
            out.seek(0)
            said = out.read()
        assert done.returncode == 0
        if "/metrics" in command:
            assert "trm_puzzles_total" in said
        elif command.startswith("curl"):
            content = json.loads(said)
            assert "error" not in content
            assert all(answer["solved"] for answer in content.get("answers", ()))
            assert ("traces" in content) == ("trace" in command)


def test_limits_are_those_of_the_program():
    bounds = Bounds()
    assert f"`--max_puzzles {bounds.puzzles}`" in TEXT and f"`--queue {bounds.queue}`" in TEXT
    assert f"`--max_body {bounds.body_kib}`" in TEXT
    assert f"`--time_limit {bounds.seconds:g}`" in TEXT
    assert f"more than {bounds.traces} with traces" in TEXT
    assert f"arrive within {bounds.body_seconds:g} s" in TEXT
    assert f"{bounds.connections:,} connections" in TEXT


def test_metrics_are_those_of_the_server(served):
    served.solve(["1.....2..3....4."])
    _, _, text = served.ask("GET", "/metrics")
    for name in set(re.findall(r"`?(trm_[a-z_]+)", TEXT.partition("## Metrics")[2])) - {"trm_jax"}:
        assert re.search(rf"^{name}(_bucket|_total)?[ {{]", text, re.MULTILINE), name
