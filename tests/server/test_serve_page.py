"""What docs/how-to/serve.md shows works as it stands there."""

import argparse
import re
import shlex

import pytest

from tests.runs import ROOT
from trm_jax.server import connection, listen
from trm_jax.server.bounds import Bounds

TEXT = (ROOT / "docs/how-to/serve.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)


def curl(served, command, files):
    """Does what a curl command of the page would."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-H", default="Content-Type: application/x-www-form-urlencoded")
    parser.add_argument("-d", "--data-binary", dest="data")
    parser.add_argument("url")
    given = parser.parse_args(shlex.split(command, comments=True)[1:])
    address, path = given.url.split(":8000")
    assert address == "http://127.0.0.1"
    body = files[given.data[1:]] if (given.data or "").startswith("@") else given.data
    kind = given.H.partition(": ")[2]
    return served.ask("POST" if body else "GET", path, body, kind)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_examples(served, number):
    files = {}
    for command in re.split(r"\n(?=curl|printf)", BLOCKS[number].replace("\\\n", " ").strip()):
        if command.startswith("printf"):
            _, content, _, name = shlex.split(command)
            files[name] = content.replace("\\n", "\n")
            continue
        status, _, content = curl(served, command, files)
        assert status == 200
        if "/metrics" in command:
            assert "trm_puzzles_total" in content
        else:
            assert all(answer["solved"] for answer in content.get("answers", ()))
            assert ("traces" in content) == ("trace" in command)
    assert number != 2 or len(content["answers"]) == 2


def test_limits_are_those_of_the_program():
    bounds = Bounds()
    assert f"`--max_puzzles {bounds.puzzles}`" in TEXT and f"`--queue {bounds.queue}`" in TEXT
    assert f"`--max_body {bounds.body_kib}`" in TEXT
    assert f"`--time_limit {bounds.seconds:g}`" in TEXT
    assert f"more than {bounds.traces} with traces" in TEXT
    assert f"arrive within {bounds.body_seconds:g} s" in TEXT
    assert f"{bounds.connections:,} connections" in TEXT
    assert f"a request within {connection.HEAD_SECONDS:g} s" in TEXT.replace("\n", " ")
    assert f"of a response for {connection.WRITE_SECONDS:g} s" in TEXT
    assert f"more than {connection.MAX_PIPELINED} requests" in TEXT
    assert f"have {listen.CLOSING_SECONDS:g} s to read" in TEXT


def test_metrics_are_those_of_the_server(served):
    served.solve(["1.....2..3....4."])
    _, _, text = served.ask("GET", "/metrics")
    for name in set(re.findall(r"`?(trm_[a-z_]+)", TEXT.partition("## Metrics")[2])) - {"trm_jax"}:
        assert re.search(rf"^{name}(_bucket|_total)?[ {{]", text, re.MULTILINE), name
