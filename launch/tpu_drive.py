"""Keeps a job running on queued resources: ask, wait, start, watch, ask again after a preemption.

Each round reads the state and takes at most one step; what cannot be read is waited for. All that a
later launcher needs is written down first, so the same `submit` goes on after the launcher died.
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
"""Exit code where it is not the training but the hardware or its set-up that failed."""
TRIES = 5
HOUR = 3600.0


class Driver:
    """One job's loop."""

    def __init__(self, layout: Layout, desk: Desk) -> None:
        """Takes up what an earlier launcher wrote down."""
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
        """Rounds until the job has ended; returns its exit code."""
        while True:
            code = self._round()
            if code is not None:
                return code
            time.sleep(self._desk.every)

    def _round(self) -> int | None:
        """One look, at most one step; an exit code at the end of the job."""
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
        """Asks for the slices, unless something of them is there."""
        self._delivered = False
        machines = self._reader.machines()
        # Two lists that were read one after the other may disagree for a moment.
        lone, self._lone = self._lone, bool(machines)
        if machines is None:
            self._tell("the zone's nodes could not be read; nothing is asked for")
            return None
        for node, facts in machines.items():
            # Left by a request that timed out, or by another job that has this name.
            if facts.get("labels", {}).get("trm-job") != self._layout.labels()["trm-job"]:
                self._desk.say(f"node {node} is there and is not this job's; choose another name")
                return BROKEN
            if lone:
                self._desk.say(f"node {node} has no queued resource; it is deleted first")
                self._desk.run(tpu_read.remove_node(self._layout, node))
        if machines:
            return None
        if self._refusals == TRIES:
            self._desk.say(f"refused {TRIES} times in a row; mend what gcloud says above")
            return BROKEN
        script = str(self._desk.folder / "startup.sh")
        done = self._desk.run(tpu_read.create(self._layout, script))
        if not done.ok:
            # It may have been heard all the same: the next look decides, never this answer.
            self._refusals += 1
            self._desk.say(f"no clear answer: {done.reason}")
        return None

    def _attend(self, seen: Seen) -> int | None:
        """Looks after the workers of slices that are there."""
        if not self._delivered:
            self._delivered = self._reader.deliver()
        workers = self._ask_workers("state") if self._delivered else None
        if workers is None:
            self._unreached()
            return None
        words = {worker.word for worker in workers}
        self._tell(f"{self._name}, attempt {self._attempt}: " + ", ".join(sorted(words)))
        if "failed" in words:
            return self._end(seen, BROKEN, "the set-up failed; see the start-up script's log there")
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
        # A preemption makes processes end before the slice is seen to go: look twice.
        if not self._doubted:
            self._doubted = True
            return None
        self._doubted = False
        if self._ask_workers("stop") is None:
            return None
        if self._restarts == self._layout.job.restarts:
            self._desk.say(f"no restart left of {self._restarts}")
            return self._next_run(seen, verdict.code)
        self._restarts += 1
        self._attempt += 1
        self._desk.say(f"{exits.sentence(verdict.code)}; restart {self._restarts}")
        self._write_down()
        return None

    def _next_run(self, seen: Seen, code: int) -> int | None:
        """Writes a run's end down; goes on with the next of a sweep, or ends the job."""
        self._desk.say(f"{self._name}: {exits.sentence(code)}")
        if self._ask_workers("stop") is None:
            return None  # the others hang without the one that ended; no next run beside them
        self._codes[self._name] = code
        if self._run + 1 == len(self._layout.runs):
            self._write_down()
            worst = next((c for c in self._codes.values() if c), DONE)
            return self._end(seen, worst, "finished")
        self._run, self._attempt, self._restarts = self._run + 1, 1, 0
        self._write_down()
        return None

    def _end(self, seen: Seen, code: int, why: str) -> int:
        """Stops what runs, brings the logs and gives the slices back."""
        self._desk.say(f"{why}; exit code {code}")
        if seen.state == tpu_read.ACTIVE:
            if self._delivered:
                self._ask_workers("stop")
            self._reader.fetch_logs()
        if seen.state != tpu_read.ABSENT and not self._reader.delete():
            self._desk.say("the slices were not seen to go: run `delete` again, they cost money")
        self._desk.remember(ended=code)
        return code

    def _give_up(self, why: str) -> None:
        """Deletes slices that were taken away; the next round sees them gone and asks again."""
        self._desk.say(f"{why}; the remains are deleted, then new slices are asked for")
        self._attempt += 1
        self._delivered = self._doubted = False
        self._write_down()
        self._reader.delete()

    def _unreached(self) -> None:
        """Not all workers answered: taken away, if the nodes' own state says so."""
        machines = self._reader.machines() or {}
        if any(facts.get("state") in tpu_read.TAKEN for facts in machines.values()):
            self._give_up("a node was preempted")
        else:
            self._tell("not all workers answered; nothing is done")

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
        """Says what changed, and not the same every round."""
        line = f"{text} ({why}); nothing is done" if why and "UNKNOWN" in text else text
        if line != self._last:
            self._desk.say(line)
        self._last = line


def _taken_up(facts: dict[str, Any], runs: int) -> dict[str, Any]:
    """What an earlier launcher wrote down; if it came to an end, its budget is new.

    Args:
      facts: state.json, which may be empty.
      runs: how many runs the job has. Those of a sweep that have ended are not run again, unless
        all have: then asking once more means all of them.
    """
    first = {"run": 0, "attempt": 1, "restarts": 0, "since": time.time(), "codes": {}}
    facts = {**first, **facts}
    if facts.get("ended") is not None:
        facts |= {"restarts": 0, "since": time.time(), "attempt": facts["attempt"] + 1}
        if len(facts["codes"]) == runs:
            facts |= {"run": 0, "codes": {}}
    return facts
