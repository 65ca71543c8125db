"""Results that a kill cannot take away: each is written the moment it is there."""

import datetime
import json
import os
import threading
from pathlib import Path
from typing import Any


class Ledger:
    """A file of JSON lines that is only ever added to; the newest line of a name counts.

    Any thread may add. A line that was cut short by the end of its process is passed over.
    """

    def __init__(self, path: Path) -> None:
        """Reads what is there; the file comes with the first line."""
        self._path, self._guard = path, threading.Lock()
        self._found: dict[str, dict[str, Any]] = {}
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        for line in lines:
            try:
                record = json.loads(line)
                self._found[record["name"]] = record
            except (ValueError, KeyError, TypeError):
                continue

    def add(self, name: str, found: dict[str, Any]) -> None:
        """Writes a line down, on disk when this returns."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        record = {**found, "name": name, "at": now}
        with self._guard:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                size = os.fstat(file).st_size
                torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
                os.write(file, (b"\n" if torn else b"") + json.dumps(record).encode() + b"\n")
                os.fsync(file)
            finally:
                os.close(file)
            self._found[name] = record

    def get(self, name: str) -> dict[str, Any] | None:
        """The newest result of that name, None if there is none."""
        with self._guard:
            return self._found.get(name)

    def forget_failures(self) -> None:
        """Has no more of what failed, until it is added again; the lines stay in the file."""
        with self._guard:
            fine = {name: each for name, each in self._found.items() if "failed" not in each}
            self._found = fine

    def all(self) -> list[dict[str, Any]]:
        """The newest result of each name, in the order in which the names came."""
        with self._guard:
            return list(self._found.values())
