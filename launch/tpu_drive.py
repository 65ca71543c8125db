"""Keeps a job running on queued resources: requests slices, starts and watches the workers.

Each round reads the state and takes at most one step; an unreadable state is read again. The state
that a later launcher needs is recorded first, so the same `submit` continues after a launcher died.
"""

import time
from typing import Any

from . import exits, tpu_read
from .desk import Desk
from .errors import DONE, RESTART
from .exits import Next
from .layout import Layout
from .tpu_read import Seen, Worker

BROKEN = 1
"""Exit code if the hardware or its set-up failed, not the training."""
TRIES = 5
HOUR = 3600.0


class Driver:
    """The control loop of one job."""

    def __init__(self, layout: Layout, desk: Desk) -> None:
        """Continues from the state that an earlier launcher recorded, if any."""
        self._layout, self._desk = layout, desk
        self._reader = tpu_read.Reader(layout, desk)
        facts = _taken_up(desk.recall(), len(layout.runs))
        self._run, self._attempt = int(facts["run"]), int(facts["attempt"])
        self._restarts, self._since = int(facts["restarts"]), float(facts["since"])
        self._codes: dict[str, int] = facts["codes"]
        self._delivered = self._doubted = self._lone = False
        self._refusals, self._last = 0, ""
        self._write_down()

    def drive(self) -> int:
        """Runs rounds until the job has ended; returns its exit code."""
        while True:
            code = self._round()
            if code is not None:
                return code
            time.sleep(self._desk.every)

    def _round(self) -> int | None:
        """Reads the state and takes at most one step; returns the exit code at the end."""
        seen = self._reader.resource()
        self._tell(f"queued resource {self._layout.name}: {seen.state}", seen.why)
        if seen.state == tpu_read.UNKNOWN:
            return None
        if (self._desk.folder / "cancelled").exists():
            return self._end(seen, RESTART, "cancelled")
        assert self._layout.job.tpu is not None
        if time.time() - self._since > self._layout.job.tpu.max_hours * HOUR:
            return self._end(seen, BROKEN, f"max_hours {self._layout.job.tpu.max_hours} are over")
        if seen.state == tpu_read.ABSENT:
            return self._ask()
        self._refusals, self._lone = 0, False
        if seen.state == tpu_read.FAILED:
            return self._end(seen, BROKEN, f"the request failed: {seen.why or 'no reason given'}")
        if seen.state == tpu_read.SUSPENDED:
            self._give_up("preempted")
        elif seen.state == tpu_read.ACTIVE:
            return self._attend(seen)
        return None

    def _ask(self) -> int | None:
        """Requests the slices, unless some of their nodes exist."""
        self._delivered = False
        machines = self._reader.machines()
        # the lists of nodes and of queued resources may disagree for a moment
        lone, self._lone = self._lone, bool(machines)
        if machines is None:
            self._tell("the zone's nodes could not be read; nothing is requested")
            return None
        for node, facts in machines.items():
            # left by a request that timed out, or by another job with this name
            if facts.get("labels", {}).get("trm-job") != self._layout.labels()["trm-job"]:
                self._desk.say(f"node {node} exists and is not this job's; choose another name")
                return BROKEN
            if lone:
                self._desk.say(f"node {node} has no queued resource; it is deleted first")
                self._desk.run(tpu_read.remove_node(self._layout, node))
        if machines:
            return None
        if self._refusals == TRIES:
            self._desk.say(f"refused {TRIES} times in a row; fix what gcloud reports above")
            return BROKEN
        script = str(self._desk.folder / "startup.sh")
        done = self._desk.run(tpu_read.create(self._layout, script))
        if not done.ok:
            # the request may have been accepted anyway: the next round's state decides
            self._refusals += 1
            self._desk.say(f"no clear answer: {done.reason}")
        return None

    def _attend(self, seen: Seen) -> int | None:
        """Starts and watches the workers of active slices."""
        if not self._delivered:
            self._delivered = self._reader.deliver()
        workers = self._ask_workers("state") if self._delivered else None
        if workers is None:
            self._unreached()
            return None
        words = {worker.word for worker in workers}
        self._tell(f"{self._name}, attempt {self._attempt}: " + ", ".join(sorted(words)))
        if "failed" in words:
            return self._end(seen, BROKEN, "the set-up failed; see the start-up log on the worker")
        if "preparing" not in words and "waiting" in words:
            self._ask_workers("start")
        elif "preparing" not in words:
            return self._judge(seen, workers)
        return None

    def _judge(self, seen: Seen, workers: list[Worker]) -> int | None:
        verdict = exits.judge([w.code for w in workers], len(workers) > 1)
        if verdict.next is Next.WAIT:
            self._doubted = False
            return None
        if verdict.next is Next.STOP:
            return self._next_run(seen, verdict.code)
        # a preemption ends processes before the slice's state shows it: wait for one more round
        if not self._doubted:
            self._doubted = True
            return None
        self._doubted = False
        if self._ask_workers("stop") is None:
            return None
        if self._restarts == self._layout.job.restarts:
            self._desk.say(f"all {self._restarts} restarts are used up")
            return self._next_run(seen, verdict.code)
        self._restarts += 1
        self._attempt += 1
        self._desk.say(f"{exits.sentence(verdict.code)}; restart {self._restarts}")
        self._write_down()
        return None

    def _next_run(self, seen: Seen, code: int) -> int | None:
        """Records the end of a run; continues with the next one of a sweep, or ends the job."""
        self._desk.say(f"{self._name}: {exits.sentence(code)}")
        if self._ask_workers("stop") is None:
            return None  # the other processes hang; the next run must not start beside them
        self._codes[self._name] = code
        if self._run + 1 == len(self._layout.runs):
            self._write_down()
            worst = next((c for c in self._codes.values() if c), DONE)
            return self._end(seen, worst, "finished")
        self._run, self._attempt, self._restarts = self._run + 1, 1, 0
        self._write_down()
        return None

    def _end(self, seen: Seen, code: int, why: str) -> int:
        """Stops the workers, copies the logs and deletes the slices."""
        self._desk.say(f"{why}; exit code {code}")
        if seen.state == tpu_read.ACTIVE:
            if self._delivered:
                self._ask_workers("stop")
            self._reader.fetch_logs()
        if seen.state != tpu_read.ABSENT and not self._reader.delete():
            self._desk.say("the slices may still exist and cost money: run `delete` again")
        self._desk.remember(ended=code)
        return code

    def _give_up(self, why: str) -> None:
        """Deletes preempted slices; a later round requests new ones."""
        self._desk.say(f"{why}; the slices are deleted, then new ones are requested")
        self._attempt += 1
        self._delivered = self._doubted = False
        self._write_down()
        self._reader.delete()

    def _unreached(self) -> None:
        """Handles workers that did not answer: they are preempted if their nodes' state says so."""
        machines = self._reader.machines() or {}
        if any(facts.get("state") in tpu_read.TAKEN for facts in machines.values()):
            self._give_up("a node was preempted")
        else:
            self._tell("not all workers answered; waiting")

    def _ask_workers(self, verb: str) -> list[Worker] | None:
        return self._reader.workers(verb, self._name, self._attempt)

    @property
    def _name(self) -> str:
        return self._layout.runs[self._run].name

    def _write_down(self) -> None:
        self._desk.remember(
            run=self._run,
            attempt=self._attempt,
            restarts=self._restarts,
            since=self._since,
            codes=self._codes,
            ended=None,
        )

    def _tell(self, text: str, why: str = "") -> None:
        """Prints a line unless it is the same as in the last round."""
        line = f"{text} ({why}); no action taken" if why and "UNKNOWN" in text else text
        if line != self._last:
            self._desk.say(line)
        self._last = line


def _taken_up(facts: dict[str, Any], runs: int) -> dict[str, Any]:
    """Completes the state of an earlier launcher; if it ended, restarts and hours start anew.

    Args:
      facts: content of state.json, which may be empty.
      runs: number of runs of the job. Runs of a sweep that have ended are not repeated, unless all
        have ended.
    """
    first = {"run": 0, "attempt": 1, "restarts": 0, "since": time.time(), "codes": {}}
    facts = {**first, **facts}
    if facts.get("ended") is not None:
        facts |= {"restarts": 0, "since": time.time(), "attempt": facts["attempt"] + 1}
        if len(facts["codes"]) == runs:
            facts |= {"run": 0, "codes": {}}
    return facts
