#!/usr/bin/env python3
"""A cloud in a folder: answers `gcloud compute tpus` from a scenario and records every call.

FAKE_GCLOUD names the folder. scenario.json says what happens:
  create   answers to the requests in turn: ok, half (no answer, yet it is there), orphan (no
           answer, and only a node is there), refused
  lives    for each accepted request, what its state is at each look; the last one stays
  looks    {number of a look: text to print instead}; "" fails
  attempts for each start, what the workers say at each look; "preempt" takes the slice away
  early    what the workers say before the first start
cloud.json is the cloud's own memory, calls.jsonl the record.
"""

import json
import os
import sys
from pathlib import Path

HOSTS = 4
FOLDER = Path(os.environ["FAKE_GCLOUD"])


def main(words):
    scenario = json.loads((FOLDER / "scenario.json").read_text())
    memory = FOLDER / "cloud.json"
    cloud = {"looks": 0, "creates": 0, "lives": 0, "starts": 0, "asked": 0, "nodes": {}}
    cloud |= {"resource": None, "at": 0, "running": False}
    if memory.exists():
        cloud = json.loads(memory.read_text())
    with (FOLDER / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    assert words[:2] == ["compute", "tpus"], words
    code = globals()["_".join(words[2:4]).replace("-", "_")](words, cloud, scenario)
    memory.write_text(json.dumps(cloud))
    return code


def option(words, name):
    return next(word.partition("=")[2] for word in words if word.startswith(f"--{name}="))


def fail(text, code=1):
    print(f"ERROR: (gcloud) {text}", file=sys.stderr)
    return code


def queued_resources_list(words, cloud, scenario):
    cloud["looks"] += 1
    text = scenario.get("looks", {}).get(str(cloud["looks"]))
    if text is not None:
        print(text)
        return 0 if text else fail("deadline exceeded")
    items = [{"name": "projects/p/locations/z/queuedResources/other", "state": {"state": "ACTIVE"}}]
    if cloud["resource"]:
        items.append({"name": cloud["resource"], "state": {"state": state_of(cloud, scenario)}})
    print(json.dumps(items))
    return 0


def state_of(cloud, scenario):
    if cloud["resource"].startswith("gone:"):
        cloud["resource"] = None  # seen once more while it goes
        return "DELETING"
    states = cloud.get("forced") or scenario["lives"][cloud["lives"] - 1]
    state = states[min(cloud["at"], len(states) - 1)]
    cloud["at"] += 1
    return state


def queued_resources_create(words, cloud, scenario):
    cloud["creates"] += 1
    answers = scenario.get("create", [])
    answer = answers[cloud["creates"] - 1] if cloud["creates"] <= len(answers) else "ok"
    labels = dict(pair.split("=") for pair in option(words, "labels").split(","))
    if answer == "refused":
        return fail("quota exceeded")
    if cloud["resource"] or cloud["nodes"]:
        return fail("ALREADY_EXISTS")
    cloud["nodes"] = {words[4]: {"state": "READY", "labels": labels}}
    if answer == "orphan":
        return fail("deadline exceeded")
    cloud |= {"resource": f"projects/p/locations/z/queuedResources/{words[4]}", "at": 0}
    cloud |= {"lives": cloud["lives"] + 1, "forced": None}
    return fail("deadline exceeded") if answer == "half" else 0


def queued_resources_delete(words, cloud, scenario):
    if not cloud["resource"]:
        return fail("NOT_FOUND")
    cloud |= {"resource": "gone:" + cloud["resource"], "nodes": {}}
    return 0


def tpu_vm_list(words, cloud, scenario):
    found = [{"name": f"projects/p/locations/z/nodes/{n}", **f} for n, f in cloud["nodes"].items()]
    print(json.dumps(found))
    return 0


def tpu_vm_delete(words, cloud, scenario):
    del cloud["nodes"][words[4]]
    return 0


def tpu_vm_scp(words, cloud, scenario):
    return 0 if cloud["nodes"] else fail("NOT_FOUND")


def tpu_vm_ssh(words, cloud, scenario):
    if not cloud["nodes"]:
        return fail("NOT_FOUND")
    verb = option(words, "command").split()[2]
    if verb == "start":
        cloud |= {"starts": cloud["starts"] + 1, "asked": 0, "running": True}
    if verb == "stop":
        cloud["running"] = False
    saying = {"start": "started", "stop": "stopped"}.get(verb) or worker_words(cloud, scenario)
    if saying == "preempt":
        cloud |= {"forced": ["SUSPENDING", "SUSPENDED"], "at": 0, "running": False}
        cloud["nodes"] = {
            name: {**facts, "state": "PREEMPTED"} for name, facts in cloud["nodes"].items()
        }
        return fail("ssh: connection closed", 255)
    each = saying if isinstance(saying, list) else [saying] * HOSTS
    for host, word in enumerate(each):
        print(f"trm-worker host-{host} {word}")
    return 0 if len(each) == HOSTS else 255


def worker_words(cloud, scenario):
    early = scenario.get("early", [])
    if not cloud["running"]:
        cloud["before"] = cloud.get("before", 0) + 1
        return early[cloud["before"] - 1] if cloud["before"] <= len(early) else "waiting"
    said = scenario["attempts"][cloud["starts"] - 1]
    cloud["asked"] += 1
    return said[min(cloud["asked"], len(said)) - 1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
