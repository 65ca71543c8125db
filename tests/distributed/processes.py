"""Several real processes of the command line on this machine, with a limit on everything."""

import json
import socket
import subprocess
import sys
import time

from tests import runs

LIMIT = 300
"""Seconds until a test gives up on processes, all of which are then killed."""


class Processes:
    """`trm` with the same arguments in `count` processes of `devices` devices each."""

    def __init__(self, folder, count, devices, *arguments):
        folder.mkdir(exist_ok=True)
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{place.getsockname()[1]}"
        self.logs = [folder / f"process{i}-{time.time_ns()}.log" for i in range(count)]
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "trm_jax", *map(str, arguments)],
                cwd=runs.ROOT,
                env=runs.environment(
                    JAX_NUM_CPU_DEVICES=str(devices),
                    TRM_COORDINATOR=address,
                    TRM_NUM_PROCESSES=str(count),
                    TRM_PROCESS_ID=str(i),
                ),
                stdout=log.open("w"),
                stderr=subprocess.STDOUT,
            )
            for i, log in enumerate(self.logs)
        ]

    def wait(self):
        """Exit codes of all."""
        end = time.monotonic() + LIMIT
        try:
            return [p.wait(timeout=max(end - time.monotonic(), 0.1)) for p in self.processes]
        finally:
            for process in self.processes:
                process.kill()

    def text(self, number):
        """What a process has printed so far."""
        return self.logs[number].read_text()

    def wait_for(self, words, number=0):
        """Until a process has printed some words."""
        end = time.monotonic() + LIMIT
        while words not in self.text(number):
            assert self.processes[number].poll() is None, self.text(number)
            assert time.monotonic() < end, self.text(number)
            time.sleep(0.1)


def together(folder, count, devices, *arguments):
    """Runs to the end, well; gives what each printed."""
    these = Processes(folder, count, devices, *arguments)
    codes = these.wait()
    texts = [these.text(i) for i in range(count)]
    assert codes == [0] * count, texts
    return texts


def config_file(folder, **changes):
    """The tiny experiment, on tiny ARC tasks with a table that is split, as a config file."""
    arc = {
        "task": "arc",
        "path": str(folder / "files"),
        "base_examples": 0,
        "heldout_examples": 1,
        "copies": 5,
        "arc": {"side": 5},
    }
    config = runs.CONFIG | {"data": arc, "table": runs.CONFIG["table"] | {"rows": 1024}}
    config |= {"eval_copies": 2, "mesh": {"data": 0}, "log_every": 1} | changes
    path = folder / "config.py"
    path.write_text(
        "import json\nfrom ml_collections import ConfigDict\n"
        f"def get_config():\n    return ConfigDict(json.loads({json.dumps(config)!r}))\n"
    )
    return path
