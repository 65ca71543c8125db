"""Reads the state of slices: `gcloud` command lines, and the meaning of their output.

A missing, late or unclear output means UNKNOWN, and nothing is created or deleted because of it.
"""

import json
import re
import shlex
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import tpu_slices
from .desk import Desk
from .hardware import Tpu
from .layout import Layout

UNKNOWN, ABSENT = "UNKNOWN", "ABSENT"
WAITING = frozenset({"CREATING", "ACCEPTED", "PROVISIONING", "WAITING_FOR_RESOURCES"})
LEAVING = frozenset({"SUSPENDING", "DELETING"})
ACTIVE, SUSPENDED, FAILED = "ACTIVE", "SUSPENDED", "FAILED"
KNOWN = WAITING | LEAVING | {ACTIVE, SUSPENDED, FAILED}
TAKEN = frozenset({"PREEMPTED", "TERMINATED"})
LINE = re.compile(r"^trm-worker (\S+) ([a-z]+)(?: (\d+))?$", re.MULTILINE)
TPUS = ["gcloud", "compute", "tpus"]


class Seen(NamedTuple):
    """A state, and its reason."""

    state: str
    why: str = ""


class Worker(NamedTuple):
    """The state of a worker: preparing, failed, waiting, running, ended, started or stopped."""

    word: str
    code: int | None


@dataclass(frozen=True)
class Reader:
    """Reads states and sends requests for one job."""

    layout: Layout
    desk: Desk

    def resource(self) -> Seen:
        """The state of the queued resource, ABSENT, or UNKNOWN."""
        done = self.desk.run(listing(self.layout), quiet=True)
        if not done.ok:
            return Seen(UNKNOWN, done.reason)
        try:
            found = _by_name(done.out)
            if self.layout.name not in found:
                return Seen(ABSENT)
            told = found[self.layout.name]["state"]
            state = told["state"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return Seen(UNKNOWN, "gcloud did not print a list of queued resources")
        if state not in KNOWN:
            return Seen(UNKNOWN, f"gcloud reports the state {state!r}")
        return Seen(state, _cause(told))

    def machines(self) -> dict[str, dict[str, Any]] | None:
        """The job's TPU nodes by name; None if they could not be read."""
        section = _section(self.layout)
        words = [*TPUS, "tpu-vm", "list", *_where(section), "--format=json"]
        done = self.desk.run(words, quiet=True)
        if not done.ok:
            return None
        try:
            found = _by_name(done.out)
            return {name: found[name] for name in nodes(self.layout) if name in found}
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def deliver(self) -> bool:
        """Copies the script to all workers; returns whether all copies succeeded."""
        script = str(self.desk.folder / "worker.sh")
        return all(self.desk.run(copy(self.layout, n, script)).ok for n in nodes(self.layout))

    def workers(self, verb: str, run: str, attempt: int) -> list[Worker] | None:
        """Calls the script on all workers; None unless all of them answered."""
        hosts = tpu_slices.of_accelerator(_section(self.layout).accelerator).hosts
        answers: list[Worker] = []
        for node in nodes(self.layout):
            words = ssh(self.layout, node, call(self.layout, verb, run, attempt))
            done = self.desk.run(words, quiet=verb == "state")
            found = {
                m[1]: Worker(m[2], int(m[3]) if m[3] else None) for m in LINE.finditer(done.out)
            }
            if not done.ok or len(found) != hosts:
                return None
            answers += found.values()
        return answers

    def fetch_logs(self) -> None:
        """Copies the log of each slice's worker 0 to this machine, if it can be read."""
        for node in nodes(self.layout):
            target = self.desk.folder / f"{node}.log"
            if self.desk.run(fetch(self.layout, node, str(target))).ok:
                self.desk.say(f"log of {node}: {target}")

    def delete(self, looks: int = 40) -> bool:
        """Deletes the queued resource and its nodes; returns whether it is confirmed."""
        self.desk.run(remove(self.layout))
        for _ in range(looks):
            if self.resource().state == ABSENT:
                self.desk.say("the slices are deleted")
                return True
            time.sleep(self.desk.every)
        return False


def listing(layout: Layout) -> list[str]:
    """Command that lists all queued resources of the zone, so that absence differs from failure."""
    return [*TPUS, "queued-resources", "list", *_where(_section(layout)), "--format=json"]


def create(layout: Layout, script: str) -> list[str]:
    """Command that requests the slices; `script` is the path of the start-up script."""
    section = _section(layout)
    image = section.image or tpu_slices.of_accelerator(section.accelerator).generation.image
    several = [f"--node-count={section.slices}", f"--node-prefix={layout.name}"]
    labels = ",".join(f"{key}={value}" for key, value in layout.labels().items())
    words = [
        *[*TPUS, "queued-resources", "create", layout.name],
        *_where(section),
        f"--accelerator-type={section.accelerator}",
        f"--runtime-version={image}",
        *(several if section.slices > 1 else [f"--node-id={layout.name}"]),
        f"--labels={labels}",
        f"--metadata-from-file=startup-script={script}",
    ]
    chosen = {
        "--spot": section.spot,
        "--reserved": section.reserved,
        f"--service-account={section.service_account}": section.service_account,
        f"--network={section.network}": section.network,
        f"--valid-until-duration={section.wait}": section.wait,
    }
    return [*words, *(word for word, given in chosen.items() if given), "--async"]


def remove(layout: Layout) -> list[str]:
    """Command that deletes the queued resource with its nodes."""
    words = [*TPUS, "queued-resources", "delete", layout.name, *_where(_section(layout))]
    return [*words, "--force", "--async"]


def remove_node(layout: Layout, node: str) -> list[str]:
    """Command that deletes a node without a queued resource."""
    return [*TPUS, "tpu-vm", "delete", node, *_where(_section(layout)), "--async"]


def ssh(layout: Layout, node: str, command: str, worker: str = "all") -> list[str]:
    """Command that runs a command on the workers of a node."""
    words = [*TPUS, "tpu-vm", "ssh", node, *_where(_section(layout))]
    return [*words, f"--worker={worker}", f"--command={command}"]


def copy(layout: Layout, node: str, script: str) -> list[str]:
    """Command that copies the workers' script to all workers of a node."""
    target = f"{node}:trm-{layout.name}.sh"
    return [*TPUS, "tpu-vm", "scp", script, target, *_where(_section(layout)), "--worker=all"]


def fetch(layout: Layout, node: str, target: str) -> list[str]:
    """Command that copies the log of a node's worker 0 to this machine."""
    log = f"{node}:trm-{layout.name}/log.txt"
    return [*TPUS, "tpu-vm", "scp", log, target, *_where(_section(layout)), "--worker=0"]


def call(layout: Layout, verb: str, run: str, attempt: int) -> str:
    """Shell command that calls the workers' script."""
    return shlex.join(["bash", f"trm-{layout.name}.sh", verb, run, str(attempt)])


def nodes(layout: Layout) -> list[str]:
    """Names of the slices' nodes."""
    slices = _section(layout).slices
    return [layout.name] if slices == 1 else [f"{layout.name}-{index}" for index in range(slices)]


def _where(section: Tpu) -> list[str]:
    # --quiet, since a prompt, such as for the passphrase of a new key, would wait for ever
    return [f"--zone={section.zone}", f"--project={section.project}", "--quiet"]


def _by_name(text: str) -> dict[str, dict[str, Any]]:
    """The items of a JSON list that gcloud printed, by name."""
    items = json.loads(text)
    if not isinstance(items, list):
        raise ValueError("no list")
    return {item["name"].rpartition("/")[2]: item for item in items}


def _cause(told: dict[str, Any]) -> str:
    """The error message of a failed request."""
    error = told.get("failedData", {}).get("error", {})
    return str(error.get("message", "")) if isinstance(error, dict) else ""


def _section(layout: Layout) -> Tpu:
    assert layout.job.tpu is not None
    return layout.job.tpu
