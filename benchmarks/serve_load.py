r"""Load test of `trm serve`: puzzles per second, latency, refusals, malformed requests.

    python benchmarks/serve_load.py --model sudoku-6x6-lattice --clients 64 --puzzles 1,8 --baseline
    python benchmarks/serve_load.py --url http://127.0.0.1:8000 --clients 64 --seconds 20
    python benchmarks/serve_load.py --url http://127.0.0.1:8000 --malformed 1000

Starts a server on a free port, unless --url names a running one. Each client sends one request
after another. `--baseline` then runs the fixed queue of `trm eval --halt` (for a lattice model, its
search) in a separate process, on the same puzzles with the same batch, and prints the ratios of
puzzles per second and per processor second; on a shared machine only the latter is meaningful. The
script has its own HTTP client, since client libraries take more time per request than the server.
"""

import argparse
import asyncio
import json
import random
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Client:
    """One connection, which is opened again after the server closes it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, raw: bytes) -> tuple[int, dict[str, str], bytes]:
        """Sends bytes and reads a response: status (0 for none), headers, body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.host, self.port)
        reader, writer = self._streams
        try:
            writer.write(raw)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = (line.partition(": ") for line in head[1:] if line)
            headers = {name.lower(): value for name, _, value in fields}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.close()
            return 0, {}, b""
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(head[0].split()[1]), headers, body

    async def get(self, path: str) -> bytes:
        """The body at a path."""
        return (await self.send(request("GET", path)))[2]

    def close(self) -> None:
        """Closes the connection."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


def request(method: str, path: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    """The bytes of a request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def solving(puzzles: Any) -> bytes:
    """A request to solve puzzles."""
    return request("POST", "/api/solve", json.dumps({"puzzles": puzzles}).encode())


async def sample(url: str, count: int = 200) -> list[str]:
    """Puzzles from the server's `/api/random`."""
    client = Client(url)
    return [json.loads(await client.get("/api/random"))["text"] for _ in range(count)]


class Meter(NamedTuple):
    """A server's processor seconds, resident memory in bytes, steps, and slots."""

    process_cpu_seconds_total: float
    process_resident_memory_bytes: float
    trm_steps_total: float
    trm_row_steps_total: float
    trm_rows: float

    @property
    def mib(self) -> float:
        """Resident memory in MiB."""
        return round(self.process_resident_memory_bytes / 2**20, 1)


async def process(url: str) -> Meter:
    """Reads a server's metrics."""
    text = (await Client(url).get("/metrics")).decode()
    found = [re.search(rf"^{name} (\S+)", text, re.MULTILINE) for name in Meter._fields]
    return Meter(*(float(each[1]) if each else float("nan") for each in found))


async def load(
    url: str, puzzles: list[str], clients: int, each: int, seconds: float
) -> dict[str, Any]:
    """Sends requests of `each` puzzles from several clients at once for some seconds."""
    statuses: Counter[int] = Counter()
    latencies: list[float] = []
    solved = answered = 0

    async def one(seed: int) -> None:
        nonlocal solved, answered
        draw, client = random.Random(seed), Client(url)
        while time.perf_counter() < end:
            start = time.perf_counter()
            status, headers, body = await client.send(solving(draw.choices(puzzles, k=each)))
            if time.perf_counter() > end:
                break  # the server was no longer full
            statuses[status] += 1
            if status == 200:
                latencies.append(time.perf_counter() - start)
                answers = json.loads(body)["answers"]
                answered += len(answers)
                solved += sum(answer["solved"] is True for answer in answers)
            elif status == 429:
                await asyncio.sleep(float(headers["retry-after"]))
        client.close()

    async def at_the_end() -> Meter:
        await asyncio.sleep(end - time.perf_counter())
        return await process(url)

    before = await process(url)
    start, end = time.perf_counter(), time.perf_counter() + seconds
    ending = asyncio.create_task(at_the_end())
    await asyncio.gather(*map(one, range(clients)))
    wall, after = end - start, await ending
    cpu, _, steps, row_steps, _ = (b - a for a, b in zip(before, after, strict=True))
    return {
        "clients": clients,
        "puzzles_a_request": each,
        "seconds": round(wall, 1),
        "puzzles_per_s": round(answered / wall, 1),
        "puzzles_per_cpu_s": round(answered / cpu, 1),
        "rows_busy": round(row_steps / max(steps, 1) / after.trm_rows, 3),
        "solved": round(solved / max(answered, 1), 4),
        "median_ms": round(1000 * statistics.median(latencies), 1) if latencies else None,
        "p99_ms": round(1000 * sorted(latencies)[int(0.99 * len(latencies))], 1)
        if latencies
        else None,
        "429s": statuses[429],
        "statuses": dict(sorted(statuses.items())),
    }


def nonsense(number: int, puzzle: str) -> bytes:
    """Makes a malformed request; there are 23 kinds with random variations."""
    draw = random.Random(number)
    noise = draw.randbytes(draw.randrange(1, 400))
    deep = 10 ** draw.randrange(1, 5)
    kinds = [
        noise + b"\r\n\r\n",
        request("POST", "/api/solve", noise),
        request("POST", "/api/solve", b"[" * deep),
        request("POST", "/api/solve", b'{"puzzles": ' + b"[" * 50 + b"]" * 50 + b"}"),
        request("POST", "/api/solve", b'{"puzzles": [' + b"9" * deep + b"]}"),
        request("POST", "/api/solve", b"\xff" * 40, "text/plain"),
        request("POST", "/api/solve", puzzle[:-1].encode(), "text/plain"),
        request("POST", "/api/solve", puzzle.encode(), "image/png"),
        request("PUT", "/api/solve", puzzle.encode()),
        request("GET", "/assets/../../etc/passwd"),
        request("GET", "/" + "a" * deep),
        request("POST", "/api/solve")[:-4] + b"\r\nContent-Length: 99999999999\r\n\r\n",
        request("POST", "/api/solve").replace(b"Length: 0", b"Length: 1073741824"),
        request("POST", "/api/solve").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        + b"zz\r\n",
        solving([]),
        solving(None),
        solving({"a": 1}),
        solving([puzzle, 5]),
        solving([puzzle] * 5000),
        solving([puzzle[:-1] + chr(draw.randrange(200, 60000))]),
        solving([[draw.choice([None, True, 0.5, -3, 10**9, {}, "", "ab"])] * len(puzzle)]),
        solving([[[1] * draw.randrange(12)] * draw.randrange(12)]),
        request("POST", "/api/solve", b'{"puzzles": "1", "trace": 1, "x": 2}'),
    ]
    return kinds[number % len(kinds)]


async def malformed(url: str, puzzle: str, count: int) -> dict[str, Any]:
    """Sends malformed requests one after another; returns statuses and memory before and after."""
    statuses: Counter[int] = Counter()
    client = Client(url)
    before = (await process(url)).mib
    for number in range(count):
        try:
            answer = client.send(nonsense(number, puzzle))
            status, _, body = await asyncio.wait_for(answer, 30)
        except TimeoutError:
            status, body = -1, b""
            client.close()
        statuses[status] += 1
        if status >= 400 and not body:
            raise SystemExit(f"request {number}: status {status} without a sentence")
    after = (await process(url)).mib
    status, _, _ = await Client(url).send(solving([puzzle]))
    return {
        "malformed": count,
        "statuses": dict(sorted(statuses.items())),
        "no_response": statuses[0],
        "timeouts": statuses[-1],
        "rss_mib": [before, after],
        "a_good_request_afterwards": status,
    }


@contextmanager
def server(arguments: list[str]) -> Iterator[str]:
    """Runs a server on a free port while the context is open; yields its URL."""
    command = [sys.executable, "-m", "trm_jax", "serve", "--port", "0", *arguments]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout
        line = child.stdout.readline()
        if " on http" not in line:
            raise SystemExit("the server did not start")
        yield line.rsplit(" ", 1)[1].strip()
    finally:
        child.terminate()
        print(f"the server ended with {child.wait(60)}", file=sys.stderr)


def baseline(options: argparse.Namespace) -> dict[str, float]:
    """Measures the puzzles per second of the fixed queue, in this process."""
    import functools

    import jax
    import numpy as np

    from trm_jax.infer.chain_search import ChainSearch, Limits
    from trm_jax.infer.halting import Entries, Halt, answer_queue
    from trm_jax.infer.search import QUEUE
    from trm_jax.models.lattice.lattice_model import LatticeModel
    from trm_jax.released.stored import load_released
    from trm_jax.server.start import sample_questions
    from trm_jax.tasks.task import task_of
    from trm_jax.train.trained import load

    trained = load_released(options.model) if options.model else load(options.workdir)
    model, size = trained.model, options.batch_size
    samples = sample_questions(trained)
    assert samples is not None
    count = QUEUE * size
    inputs = samples[np.random.default_rng(0).integers(0, len(samples), count)]
    if isinstance(model, LatticeModel):
        deduction = task_of(trained.manifest).deduction(trained.manifest)
        search = ChainSearch(model, deduction, trained.mesh, size, Limits())

        def once() -> None:
            search(trained.weights.params, inputs)

    else:
        numbers = np.arange(count, dtype=np.int32)
        fields = (inputs.astype(np.int32), numbers * 0, numbers, numbers * 0, numbers)
        entries = Entries(*fields)  # type: ignore[arg-type]
        halt = Halt(model.config.N)
        queue = functools.partial(answer_queue, model, slots=size, halt=halt, mesh=trained.mesh)
        run: Any = jax.jit(queue)

        def once() -> None:
            jax.device_get(run(trained.weights, entries, np.int32(count)))

    once()
    start, cpu, done = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < options.seconds:
        once()
        done += count
    wall, used = time.perf_counter() - start, time.process_time() - cpu
    return {
        "puzzles_per_s": round(done / wall, 1),
        "puzzles_per_cpu_s": round(done / used, 1),
    }


def main() -> None:
    """Runs the measurements; prints one JSON object per line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--url", help="URL of a running server")
    parser.add_argument("--model", help="released model, to start a server")
    parser.add_argument("--workdir", help="work directory, to start a server")
    parser.add_argument("--batch_size", type=int, default=32, help="slots of the server")
    parser.add_argument(
        "--steps_per_call", type=int, default=4, help="steps per call of the server"
    )
    parser.add_argument(
        "--clients", type=int, default=64, help="number of clients at the same time"
    )
    parser.add_argument("--puzzles", default="1", help="puzzles per request, as in 1,8")
    parser.add_argument("--seconds", type=float, default=10, help="duration of each measurement")
    parser.add_argument(
        "--malformed", type=int, default=0, help="send this many malformed requests instead"
    )
    parser.add_argument("--baseline", action="store_true", help="compare with the fixed queue")
    parser.add_argument("--only_baseline", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_baseline:
        print(json.dumps(baseline(options)))
        return
    which = ["--model", options.model] if options.model else ["--workdir", options.workdir]
    sizes = ["--batch_size", str(options.batch_size)]
    if options.url:
        measure(options, options.url)
        return
    if None in which:
        parser.error("give --url, --model or --workdir")
    with server([*which, *sizes, "--steps_per_call", str(options.steps_per_call)]) as url:
        found = measure(options, url)
    if options.baseline:
        child = [*which, *sizes, "--seconds", str(options.seconds), "--only_baseline"]
        line = subprocess.check_output([sys.executable, __file__, *child], text=True)
        fixed = json.loads(line)
        print(json.dumps({"fixed_queue": fixed}))
        for each in found:
            ratios = {name: round(each[name] / fixed[name], 3) for name in fixed}
            print(json.dumps({"puzzles_a_request": each["puzzles_a_request"], "ratio": ratios}))


def measure(options: argparse.Namespace, url: str) -> list[dict[str, Any]]:
    """Measures a server and prints each result."""
    puzzles = asyncio.run(sample(url))
    if options.malformed:
        print(json.dumps(asyncio.run(malformed(url, puzzles[0], options.malformed))))
        return []
    found = []
    for each in map(int, options.puzzles.split(",")):
        asyncio.run(load(url, puzzles, options.clients, each, min(2, options.seconds)))  # warm-up
        found.append(asyncio.run(load(url, puzzles, options.clients, each, options.seconds)))
        print(json.dumps(found[-1]), flush=True)
    return found


if __name__ == "__main__":
    main()
