"""Results on disk: each is written as soon as it is known, so that a kill loses nothing."""

import datetime
import json
import os
import threading
from pathlib import Path
from typing import Any


class Ledger:
    """An append-only file of JSON lines, of which the newest line of each name counts.

    It is thread-safe. Incomplete lines, of killed processes, are ignored.
    """

    def __init__(self, path: Path) -> None:
        """Reads the existing lines; the file is created by the first `add`."""
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
        """Appends a result, which is on disk when this returns."""
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
        """The newest result of a name; None without any."""
        with self._guard:
            return self._found.get(name)

    def forget_failures(self) -> None:
        """Forgets failed results, so that they are run again; the file keeps its lines."""
        with self._guard:
            fine = {name: each for name, each in self._found.items() if "failed" not in each}
            self._found = fine

    def all(self) -> list[dict[str, Any]]:
        """The newest result of each name, in the order in which the names were added."""
        with self._guard:
            return list(self._found.values())
