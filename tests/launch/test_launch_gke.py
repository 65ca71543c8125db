"""Kubernetes: the restart rules, and the verbs against a fake kubectl."""

import json

import pytest
import yaml

from launch import gke
from launch.desk import Desk
from launch.errors import LaunchError
from tests.launch.helpers import HEAD, make, put_on_path
from tests.launch.renders import render

GPU = 'workdir: gs://b/x\ncode: {image: "x/y:1"}\ngke: {accelerator: nvidia-l4, gpus: 1}\n'


def jobset(case):
    return yaml.safe_load(render(case)["jobset.yaml"])


def group(case):
    return jobset(case)["spec"]["replicatedJobs"][0]


def test_a_tpu_slice_is_one_pod_for_each_host():
    job = group("gke-tpu-two-slices")
    assert job["replicas"] == 2
    assert job["template"]["spec"]["completions"] == job["template"]["spec"]["parallelism"] == 4
    limits = job["template"]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"google.com/tpu": 4}


def test_gpu_pods_are_told_of_each_other_and_tpu_pods_find_each_other():
    def variables(case):
        pod = group(case)["template"]["spec"]["template"]["spec"]
        return {item["name"]: item for item in pod["containers"][0]["env"]}

    told = variables("gke-gpu")
    assert told["TRM_COORDINATOR"]["value"] == "maze-gke-w-0-0.maze-gke:8476"
    assert told["TRM_NUM_PROCESSES"]["value"] == "2"
    assert "job-completion-index" in json.dumps(told["TRM_PROCESS_ID"])
    assert variables("gke-tpu")["TRM_DISTRIBUTED"]["value"] == "auto"
    assert not {"TRM_DISTRIBUTED", "TRM_COORDINATOR"} & set(variables("gke-one-gpu-node"))


def end_of(case, code=None, disrupted=False):
    """What the controllers make of one pod's end, by the documented meaning of the rules."""
    spec = group(case)["template"]["spec"]
    reason, message = "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    for index, rule in enumerate(spec["podFailurePolicy"]["rules"]):
        codes = rule.get("onExitCodes")
        within = codes and (code in codes["values"]) == (codes["operator"] == "In")
        if (disrupted and "onPodConditions" in rule) or (codes and within):
            reason, message = "PodFailurePolicy", f"... matching FailJob rule at index {index}"
            break
    for rule in jobset(case)["spec"]["failurePolicy"]["rules"]:
        patterns = [p.rstrip("$") for p in rule.get("onJobFailureMessagePatterns", [])]
        fits = not patterns or any(message.endswith(pattern) for pattern in patterns)
        if reason in rule["onJobFailureReasons"] and fits:
            return rule["action"]
    return "RestartJobSet"


@pytest.mark.parametrize("case", ["gke-tpu", "gke-gpu", "gke-one-gpu-node"])
def test_exit_codes_drive_the_restarts(case):
    assert end_of(case, 2) == end_of(case, 3) == "FailJobSet"
    assert end_of(case, 42) == "RestartJobSet"
    assert end_of(case, 42, disrupted=True) == "RestartJobSetAndIgnoreMaxRestarts"
    crash = "FailJobSet" if case == "gke-one-gpu-node" else "RestartJobSet"
    assert end_of(case, 1) == end_of(case, 137) == crash
    assert group(case)["template"]["spec"]["backoffLimit"] == 0


@pytest.mark.parametrize("image", ["x/y", "x/y:latest", "host:5000/y"])
def test_an_image_without_a_fixed_tag_is_refused(tmp_path, image):
    with pytest.raises(LaunchError, match="other than latest"):
        gke.render(make(tmp_path, HEAD + GPU, f"code.image='{image}'"))


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    def put(script):
        text = f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n{script}\n'
        put_on_path(monkeypatch, tmp_path / "bin", "kubectl", text)
        return make(tmp_path, HEAD + GPU), Desk(tmp_path / "desk")

    return put


def calls(tmp_path):
    return (tmp_path / "calls").read_text().splitlines()


def test_submit_creates_and_never_changes_what_is_there(kubectl, tmp_path):
    assert gke.submit(*kubectl("echo created")) == 0
    assert calls(tmp_path)[0].startswith("create -f ")
    with pytest.raises(LaunchError, match="already exists; `delete` it first"):
        gke.submit(*kubectl("echo 'Error (AlreadyExists): x' >&2; exit 1"))


@pytest.mark.parametrize("script", ["exit 1", "echo not json", "echo '{}'", "echo '[]'"])
def test_a_state_that_cannot_be_read_is_said_to_be_so(kubectl, capsys, script):
    assert gke.status(*kubectl(script)) == 1
    assert "could not be read" in capsys.readouterr().out


def test_status(kubectl, capsys):
    item = {"metadata": {"name": "tiny"}, "status": {"terminalState": "Completed", "restarts": 3}}
    assert gke.status(*kubectl(f"echo '{json.dumps({'items': [item]})}'")) == 0
    assert "tiny: Completed, 3 restarts" in capsys.readouterr().out


def test_cancel_suspends_and_delete_deletes_this_jobs_sets(kubectl, tmp_path):
    layout, desk = kubectl("echo ok")
    assert gke.cancel(layout, desk) == gke.delete(layout, desk) == 0
    assert "patch jobset tiny --namespace=default" in calls(tmp_path)[0]
    assert '"suspend":true' in calls(tmp_path)[0]
    assert calls(tmp_path)[1] == "delete jobset --namespace=default --selector=trm-job=tiny"
