"""`trm serve` as a process: it starts, finishes what it accepted when it is told to stop, ends."""

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from tests.runs import ROOT, environment
from trm_jax.cli import main

PUZZLE = "1.....2..3....4."


@pytest.fixture
def process():
    command = ["-m", "trm_jax", "serve", "--model", "sudoku-4x4-lattice", "--port", "0"]
    started = subprocess.Popen(
        [sys.executable, *command, "--batch_size", "2", "--steps_per_call", "1"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield started
    started.kill()
    started.communicate()


def post(url, puzzles):
    body = json.dumps({"puzzles": puzzles}).encode()
    request = urllib.request.Request(f"{url}/api/solve", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def wait_until_busy(url):
    busy = 0.0
    while not busy:
        with urllib.request.urlopen(f"{url}/metrics", timeout=60) as response:
            lines = response.read().decode().splitlines()
        busy = next(float(line.split()[1]) for line in lines if line.startswith("trm_rows_busy"))


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGINT]
)
def test_it_finishes_what_it_accepted(process, number):
    line = process.stdout.readline()
    url = line.split()[-1]
    assert line.startswith("serving sudoku-4x4-lattice on http://127.0.0.1:")
    assert post(url, [PUZZLE])[0] == 200
    answers = []
    long = threading.Thread(target=lambda: answers.append(post(url, [PUZZLE] * 256)))
    long.start()
    wait_until_busy(url)
    process.send_signal(number)
    refused = None
    while refused is None:  # until the signal has arrived, it accepts more
        status, content = post(url, [PUZZLE])
        refused = content if status == 503 else None
    assert refused == {"error": "the server is shutting down."}
    long.join(60)
    assert answers[0][0] == 200 and all(a["solved"] for a in answers[0][1]["answers"])
    assert process.wait(60) == 0
    assert process.stderr.read().splitlines()[-1] == "stopped"


def test_a_second_signal_ends_it_at_once(process):
    url = process.stdout.readline().split()[-1]
    answers = []
    long = threading.Thread(target=lambda: answers.append(post(url, ["." * 16] * 256)))
    long.start()
    wait_until_busy(url)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    long.join(30)
    assert answers == [(503, {"error": "the server is shutting down."})]
    said = process.stderr.read()
    assert said.splitlines()[-1] == "stopped" and "Traceback" not in said


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "--workdir is missing"),
        (["--model", "sudoku-4x4-lattice", "--steps", "3"], "--steps is not for lattice models"),
        (["--model", "sudoku-4x4-lattice", "--port", "70000"], "--port is 70000; give"),
        (["--model", "sudoku-4x4-lattice", "--port", "-1"], "--port is -1; give"),
        (["--model", "sudoku-4x4-lattice", "--port", "9" * 20], "give a number in [0, 65535]"),
        (["--model", "sudoku-4x4-lattice", "--host", "[1.2"], "--host [1.2 --port"),
        (["--model", "sudoku-4x4-lattice", "--host", "no.such.host.invalid"], "--host no.such"),
        (["--model", "sudoku-4x4-lattice", "--queue", "0"], "--queue is 0"),
        (["--model", "sudoku-4x4-lattice", "--time_limit", "-1"], "--time_limit is -1"),
        (["--model", "sudoku-4x4-lattice", "--batch_size", "0"], "--batch_size is 0"),
        (["--model", "sudoku-4x4-lattice", "--passes", "0"], "--passes is 0"),
        (["--model", "nothing"], "no released model is named 'nothing'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_it_compiles(capsys, flags, words):
    assert main(["serve", *flags]) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.splitlines()) == 1
