"""Kubernetes: a JobSet of TPU slices or GPU nodes, on GKE or any cluster with JobSet's controller.

The restart rules need JobSet v0.10 or later, which can match the message of a failed Job.
"""

import json
import shlex
from typing import Any

from . import tpu_slices, yaml_text
from .desk import Desk
from .errors import MISTAKE, NON_FINITE, RESTART, LaunchError
from .hardware import Gke
from .layout import LaunchRun, Layout
from .names import label, safe

UNREADABLE = 1
PORT = 8476
GROUP = "w"
"""Name of the replicated job; short, since it is part of each pod's name."""
PROVIDER = "cloud.google.com"


def render(layout: Layout) -> dict[str, str]:
    """Renders one JobSet per run, in one file."""
    documents = [yaml_text.dump(_jobset(layout, run)) for run in layout.runs]
    return {"jobset.yaml": "---\n".join(documents)}


def submit(layout: Layout, desk: Desk) -> int:
    """Creates the JobSets; the cluster restarts them."""
    files = render(layout)
    desk.write(files)
    done = desk.run(["kubectl", "create", "-f", str(desk.folder / "jobset.yaml")])
    print(done.out, end="")
    if "AlreadyExists" in done.err:
        raise LaunchError(
            f"JobSet {layout.name} already exists; `delete` it first (its work directory is kept, "
            "and the run resumes from it)."
        )
    if not done.ok:
        raise LaunchError(f"kubectl refused the job: {done.reason}")
    desk.remember(commit=layout.source.commit, dirty=layout.source.dirty)
    return 0


def status(layout: Layout, desk: Desk) -> int:
    """Prints the state of each JobSet."""
    done = desk.run([*_kubectl(layout, "get", "jobset"), "--output=json"], quiet=True)
    try:
        items = json.loads(done.out)["items"] if done.ok else None
        lines = None if items is None else [_line(item) for item in items]
    except (ValueError, KeyError, TypeError):
        lines = None
    if lines is None:
        desk.say(f"the state could not be read ({done.reason}); try again later")
        return UNREADABLE
    for line in lines or [f"no JobSet of job {layout.name}"]:
        desk.say(line)
    return 0


def logs(layout: Layout, desk: Desk) -> int:
    """Follows the log of process 0 of each run."""
    first = "batch.kubernetes.io/job-completion-index=0,jobset.sigs.k8s.io/job-index=0"
    words = [*_kubectl(layout, "logs", more=first), "--follow", "--tail=100", "--prefix"]
    return desk.show([*words, f"--max-log-requests={max(5, len(layout.runs))}"])


def cancel(layout: Layout, desk: Desk) -> int:
    """Suspends the JobSets: the pods get SIGTERM and save a checkpoint."""
    for run in layout.runs:
        space = f"--namespace={_section(layout).namespace}"
        words = ["kubectl", "patch", "jobset", run.name, space]
        done = desk.run([*words, "--type=merge", '--patch={"spec":{"suspend":true}}'])
        if not done.ok:
            raise LaunchError(f"kubectl could not suspend {run.name}: {done.reason}")
    return 0


def delete(layout: Layout, desk: Desk) -> int:
    """Deletes the JobSets; the pods get SIGTERM and save a checkpoint."""
    done = desk.run(_kubectl(layout, "delete", "jobset"))
    if not done.ok:
        raise LaunchError(f"kubectl could not delete the job: {done.reason}")
    print(done.out or f"no JobSet of job {layout.name}\n", end="")
    return 0


def _line(item: dict[str, Any]) -> str:
    state = item.get("status", {})
    ends = [c["type"] for c in state.get("conditions", []) if c.get("status") == "True"]
    word = state.get("terminalState") or ", ".join(ends) or "running"
    return f"{item['metadata']['name']}: {word}, {state.get('restarts', 0)} restarts"


def _kubectl(layout: Layout, *verb: str, more: str = "") -> list[str]:
    chosen = f"trm-job={label(layout.name)}" + (f",{more}" if more else "")
    return ["kubectl", *verb, f"--namespace={_section(layout).namespace}", f"--selector={chosen}"]


def _jobset(layout: Layout, run: LaunchRun) -> dict[str, Any]:
    section = _section(layout)
    labels = {**layout.labels(), **({"trm-run": safe(run.name)} if len(layout.runs) > 1 else {})}
    metadata: dict[str, Any] = {"name": run.name, "namespace": section.namespace}
    queue = {"kueue.x-k8s.io/queue-name": section.queue} if section.queue else {}
    metadata["labels"] = {**labels, **queue}
    metadata["annotations"] = {"trm/command": shlex.join(run.command), "trm/run": run.title}
    if section.topology:
        # a slice is a node pool; otherwise two Jobs could share the hosts of one slice
        topology_key = "alpha.jobset.sigs.k8s.io/exclusive-topology"
        metadata["annotations"][topology_key] = f"{PROVIDER}/gke-nodepool"
    template = {
        "metadata": {"labels": labels},
        "spec": {
            "backoffLimit": 0,
            "completionMode": "Indexed",
            "completions": _pods(section),
            "parallelism": _pods(section),
            "podFailurePolicy": {"rules": _pod_rules(section)},
            "template": {"metadata": {"labels": labels}, "spec": _pod(layout, run, section)},
        },
    }
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": metadata,
        "spec": {
            "failurePolicy": {"maxRestarts": layout.job.restarts, "rules": _set_rules()},
            "replicatedJobs": [{"name": GROUP, "replicas": section.slices, "template": template}],
        },
    }


def _pod_rules(section: Gke) -> list[dict[str, Any]]:
    """Rules for failed pods; `_set_rules` matches the index of the first one that applies."""
    alone = section.slices * _pods(section) == 1
    # a crash is final on one machine; with several it may be caused by the loss of another one
    final: dict[str, Any] = {"operator": "In", "values": [MISTAKE, NON_FINITE]}
    if alone:
        final = {"operator": "NotIn", "values": [RESTART]}
    return [
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "trm", **final}},
    ]


def _set_rules() -> list[dict[str, Any]]:
    """Rules for failed Jobs: preemption costs no restart, final codes stop, 42 costs a restart."""
    policy = {"onJobFailureReasons": ["PodFailurePolicy"]}
    return [
        {
            "name": "preempted",
            "action": "RestartJobSetAndIgnoreMaxRestarts",
            **policy,
            "onJobFailureMessagePatterns": ["matching FailJob rule at index 0$"],
        },
        {"name": "final", "action": "FailJobSet", **policy},
    ]


def _pod(layout: Layout, run: LaunchRun, section: Gke) -> dict[str, Any]:
    resource, count = "nvidia.com/gpu", section.gpus
    selector = {f"{PROVIDER}/gke-accelerator": section.accelerator}
    if section.topology:
        slice_ = tpu_slices.of_topology(section.accelerator, section.topology)
        resource, count = "google.com/tpu", slice_.chips_per_host
        selector = {
            f"{PROVIDER}/gke-tpu-accelerator": section.accelerator,
            f"{PROVIDER}/gke-tpu-topology": section.topology,
        }
    mounts = [{"name": "shm", "mountPath": "/dev/shm"}]
    volumes: list[dict[str, Any]] = [{"name": "shm", "emptyDir": {"medium": "Memory"}}]
    if section.claim:
        mounts.append({"name": "shared", "mountPath": section.mount})
        claim = {"claimName": section.claim}
        volumes.append({"name": "shared", "persistentVolumeClaim": claim})
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": section.grace,
        "nodeSelector": selector,
        "containers": [
            {
                "name": "trm",
                "image": layout.job.code.image,
                "command": [_literal(word) for word in run.command],
                "env": _environment(layout, run, section),
                "resources": {"requests": {resource: count}, "limits": {resource: count}},
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }
    if section.topology is None and section.nodes > 1:
        spec["containers"][0]["ports"] = [{"containerPort": PORT, "protocol": "TCP"}]
    if section.service_account:
        spec["serviceAccountName"] = section.service_account
    if section.spot:
        key = f"{PROVIDER}/gke-spot"
        selector[key] = "true"
        toleration = {"key": key, "operator": "Equal", "value": "true", "effect": "NoSchedule"}
        spec["tolerations"] = [toleration]
    return spec


def _environment(layout: Layout, run: LaunchRun, section: Gke) -> list[dict[str, Any]]:
    given = [{"name": key, "value": _literal(value)} for key, value in layout.environment().items()]
    secrets = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": section.secret, "key": name}}}
        for name in layout.job.secrets
    ]
    return [*given, *secrets, *_place(run, section)]


def _literal(text: str) -> str:
    """Escapes a text for Kubernetes, which expands $(NAME) and $$."""
    return text.replace("$", "$$")


def _place(run: LaunchRun, section: Gke) -> list[dict[str, Any]]:
    """Variables by which a process finds its peers; GKE sets its own for TPU pods."""
    if section.topology:
        return [{"name": "TRM_DISTRIBUTED", "value": "auto"}]
    if section.nodes == 1:
        return []
    # a pod's host name under the set's headless service: SET-GROUP-JOB-POD.SET
    index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    return [
        {"name": "TRM_COORDINATOR", "value": f"{run.name}-{GROUP}-0-0.{run.name}:{PORT}"},
        {"name": "TRM_NUM_PROCESSES", "value": str(section.nodes)},
        {"name": "TRM_PROCESS_ID", "valueFrom": {"fieldRef": {"fieldPath": index}}},
    ]


def _pods(section: Gke) -> int:
    if section.topology is None:
        return section.nodes
    return tpu_slices.of_topology(section.accelerator, section.topology).hosts


def _section(layout: Layout) -> Gke:
    assert layout.job.gke is not None
    image = layout.job.code.image
    if image is None:
        raise LaunchError("code: `image` is missing; pods run a container image (see Dockerfile).")
    if image.endswith(":latest") or ":" not in image.split("/")[-1]:
        raise LaunchError(
            f"code: image {image!r} must name a tag other than latest, or a digest, "
            "so that a restart runs the same code."
        )
    return layout.job.gke
