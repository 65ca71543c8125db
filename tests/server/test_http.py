"""The HTTP interface: answers, and for everything else a status and one sentence."""

import contextlib
import json
import socket
import threading

import pytest

import trm_jax
from tests.compilations import compilations
from tests.server.served import MODEL

PUZZLE, ANSWER = "1.....2..3....4.", "1234342143122143"
OTHER = "..3.4......3.2.."
MATRIX = [[1, 0, 0, 0], [0, 0, 2, 0], [0, 3, 0, 0], [0, 0, 4, 0]]


def test_an_answer_says_all_that_is_known(served):
    status, content = served.solve([PUZZLE])
    assert status == 200 and content["model"] == MODEL and "traces" not in content
    (answer,) = content["answers"]
    assert answer["text"] == ANSWER and answer["solved"] is True and answer["broken"] == []
    assert answer["grid"] == [[int(c) for c in ANSWER[i : i + 4]] for i in range(0, 16, 4)]
    assert answer["confidence"] == 1 and answer["timed_out"] is False
    assert answer["passes"] >= answer["steps"] >= 1
    assert answer["queue_ms"] >= 0 and answer["compute_ms"] > 0


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (PUZZLE, "text/plain"),
        ("\n".join(PUZZLE[i : i + 4] for i in range(0, 16, 4)), None),
        (PUZZLE, "application/x-www-form-urlencoded"),
        (json.dumps({"puzzles": PUZZLE}), "application/x-www-form-urlencoded"),
        (json.dumps({"puzzles": MATRIX}), "application/json"),
        (json.dumps({"puzzles": [MATRIX]}), "application/json; charset=utf-8"),
        (json.dumps({"puzzles": [[c for row in MATRIX for c in row]]}), "application/json"),
    ],
)
def test_puzzles_come_in_many_forms(served, body, kind):
    status, _, content = served.ask("POST", "/api/solve", body, kind)
    assert status == 200 and [a["text"] for a in content["answers"]] == [ANSWER]


def test_answers_are_those_of_the_library(served):
    puzzles = [PUZZLE, OTHER, ".234341.21434321"]
    solver = trm_jax.load(MODEL)
    wanted = [found.text for found in solver.solve(puzzles)]
    assert [a["text"] for a in served.solve(puzzles)[1]["answers"]] == wanted


def test_traces_are_what_pages_play(served):
    status, content = served.solve([PUZZLE, OTHER], trace=True)
    traces = content["traces"]["traces"]
    assert status == 200 and [t["name"] for t in traces] == ["puzzle 1", "puzzle 2"]
    for trace, answer in zip(traces, content["answers"], strict=True):
        spelt = "".join(str(int(c) + 1) for c in answer["text"])
        assert trace["path"][-1] == spelt and trace["verdict"] == "solved"
        assert trace["candidates"]["count"] == 4 and trace["events"][-1] == "solved"
    assert served.ask("POST", "/api/solve?trace=true", PUZZLE, None)[2]["traces"]["boards"]


BAD = [
    ("", "application/json", 400, "is not JSON"),
    ("{", "application/json", 400, "is not JSON"),
    ("[" * 5000, "application/json", 400, "nested too deeply"),
    ("[1]", "application/json", 400, '"puzzles"'),
    ('{"puzzles": []}', "application/json", 400, '"puzzles" is empty'),
    ('{"puzzles": null}', "application/json", 400, "must be a string or a list"),
    ('{"puzzles": ["1"], "trace": 1}', "application/json", 400, '"trace"'),
    ('{"puzzles": ["1"], "steps": 1}', "application/json", 400, "'steps'"),
    (json.dumps({"puzzles": ["1"], "s" * 5000: 1}), "application/json", 400, "key 'sssss"),
    ('{"puzzles": [[[[[1]]]]]}', "application/json", 400, "Puzzle 1: lists are nested deeper"),
    ('{"puzzles": [[1, 2], [1, NaN]]}', "application/json", 400, "Puzzle 2: cell 2 is NaN"),
    ('{"puzzles": [[true]]}', "application/json", 400, "Puzzle 1: cell 1 is true"),
    ('{"puzzles": ["1...", 5]}', "application/json", 400, "one form"),
    ('{"puzzles": [[1, 2, 3]]}', "application/json", 400, "give texts, or arrays"),
    (json.dumps({"puzzles": [PUZZLE, "123"]}), "application/json", 400, "Puzzle 2: "),
    (json.dumps({"puzzles": [PUZZLE, "1..y" * 4]}), "application/json", 400, "Puzzle 2: "),
    ('{"puzzles": [%s]}' % ([9] * 16), "application/json", 400, "Puzzle 1"),
    ('{"puzzles": ["11.............."]}', "application/json", 400, "Puzzle 1 contradicts itself"),
    (json.dumps({"puzzles": ["\ud800" * 16]}), "application/json", 400, "Puzzle 1"),
    ('{"puzzles": [[]]}', "application/json", 400, "an array [1, 0]"),
    (" \n", "text/plain", 400, "the body is empty"),
    ("1.2", "text/plain", 400, "Puzzle 1"),
    (b"\xff\xfe", "text/plain", 400, "UTF-8"),
    (PUZZLE, "image/png", 415, "application/json"),
    (json.dumps({"puzzles": [PUZZLE] * 17}), "application/json", 400, "17 puzzles"),
    (json.dumps({"puzzles": [PUZZLE] * 9, "trace": True}), "application/json", 400, "at most 8"),
    (" " * 9000, "text/plain", 413, "8 KiB"),
]


@pytest.mark.parametrize(("body", "kind", "status", "words"), BAD)
def test_what_makes_no_sense_gets_one_sentence(served, body, kind, status, words):
    got, headers, content = served.ask("POST", "/api/solve", body, kind)
    assert got == status and words in content["error"]
    assert len(content["error"]) <= 503
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert served.solve([PUZZLE])[0] == 200


def test_texts_are_read_without_solving_them(served):
    for body in (PUZZLE, "1 . | . .\n. . | 2 .\n----+----\n. 3 | . .\n. . | 4 .", "11" + "." * 14):
        status, _, content = served.ask("POST", "/api/read", body, "text/plain")
        assert status == 200 and content["text"] == ("11" + "." * 14 if "11" in body else PUZZLE)
        assert content["tokens"] == [int(c) + 1 if c != "." else 1 for c in content["text"]]
    bad = [("123", "3 cells"), (f"{PUZZLE}\n{PUZZLE}", "2 puzzles"), (b"\xff", "UTF-8")]
    for body, words in [*bad, ("", "empty"), ("\n1" * 50, "too many lines for 1 puzzle;")]:
        status, _, content = served.ask("POST", "/api/read", body, "text/plain")
        assert status == 400 and words in content["error"], content


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/solve", 405),
        ("DELETE", "/", 405),
        ("GET", "/nothing", 404),
        ("GET", "/assets/../../../etc/passwd", 404),
        ("GET", "/assets/%2e%2e/%2e%2e/setup.cfg", 404),
        ("GET", "/assets/", 404),
        ("GET", "/api/info/", 404),
    ],
)
def test_other_addresses_are_refused(served, method, path, status):
    got, _, content = served.ask(method, path)
    assert got == status and list(content) == ["error"]


def raw(served, data, more=b""):
    """Sends bytes, then others bit by bit; what comes back until the server closes."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", served.port), 30)) as connection:
        connection.sendall(data)
        with contextlib.suppress(OSError):
            for i in range(len(more)):
                connection.sendall(more[i : i + 1])
                threading.Event().wait(0.05)
        answer = b""
        with contextlib.suppress(OSError):
            while part := connection.recv(4096):
                answer += part
        return answer


HEAD = b"POST /api/solve HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n"


def test_bodies_that_do_not_end_are_cut_off(served):
    slow = raw(served, HEAD + b"Content-Length: 100\r\n\r\n", b"1" * 40)
    assert b" 408 " in slow and b"did not arrive within 0.5 s" in slow
    endless = raw(served, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"1" * 0x400)
    assert b" 408 " in endless
    chunk = b"1000\r\n" + b"1" * 0x1000 + b"\r\n"
    assert b" 413 " in raw(served, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + 3 * chunk)
    assert b" 413 " in raw(served, HEAD + b"Content-Length: 99999999\r\n\r\n")
    assert b" 400 " in raw(served, b"\x00\x01 nonsense\r\n\r\n")
    assert served.solve([PUZZLE])[0] == 200


def test_heads_and_trailers_have_a_limit(served):
    start = b"GET /api/info HTTP/1.1\r\nHost: a\r\n"
    body = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n"
    for begun in (start + b"X: " + b"a" * 300_000, start + b"X: a\r\n" * 50_000):
        answer = raw(served, begun)  # which never ends; the client may be cut off before it reads
        assert answer == b"" or b"The head is larger than 64 KiB" in answer
    assert b" 200 " not in raw(served, body + b"X: a\r\n" * 50_000)
    large = b"X: " + b"a" * 9000 + b"\r\nConnection: close\r\n\r\n"
    assert b" 200 " in raw(served, start + large)


def test_what_else_there_is(served):
    assert served.ask("GET", "/api/health")[2] == {"status": "ok"}
    info = served.ask("GET", "/api/info")[2]
    assert info["task"] == "sudoku" and info["rows"] == info["columns"] == 4
    assert [s["text"] for s in info["symbols"]] == [".", "1", "2", "3", "4"]
    assert info["limits"]["puzzles"] == 16 and info["search"]["passes"] == 64
    drawn = served.ask("GET", "/api/random")[2]
    assert served.solve([drawn["text"]])[1]["answers"][0]["solved"]
    assert served.solve([drawn["grid"]])[1]["answers"][0]["solved"]


def test_metrics_count(served):
    served.solve([PUZZLE] * 3)
    served.ask("GET", "/secret")
    _, headers, text = served.ask("GET", "/metrics")
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    assert float(values['trm_puzzles_total{end="solved"}']) >= 3
    assert float(values['trm_requests_total{path="/api/solve",status="200"}']) >= 1
    assert float(values['trm_requests_total{path="other",status="404"}']) >= 1
    assert float(values["trm_queue_seconds_count"]) >= 3 and float(values["trm_rows"]) == 8
    assert "secret" not in text


def test_no_other_site_may_read_or_frame_it(served):
    _, headers, _ = served.ask("GET", "/")
    assert "access-control-allow-origin" not in headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "server" not in headers


def test_many_clients_and_no_compilation(served):
    statuses = []

    def client(number):
        for _ in range(3):
            answer = served.solve([PUZZLE, OTHER][: 1 + number % 2], trace=number % 3 == 0)
            statuses.append((answer[0], all(a["solved"] for a in answer[1]["answers"])))

    threads = [threading.Thread(target=client, args=(i,)) for i in range(12)]
    with compilations("compile") as compiled:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [(200, True)] * 36 and not compiled
