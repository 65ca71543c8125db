"""What is rendered: as kept, and as the checkers of each engine want it."""

import copy
import functools
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from launch import private
from tests.launch.helpers import ROOT
from tests.launch.renders import CASES, GOLDEN, layout_of, render

FILES = [(case, name) for case in CASES for name in render(case)]
SCRIPTS = [pair for pair in FILES if pair[1].endswith(".sh")]
JOBSETS = [pair for pair in FILES if pair[1] == "jobset.yaml"]
KUBERNETES = "1.31"
FREE = ("labels", "annotations", "nodeSelector", "limits", "requests")


def documents(case, name):
    return list(yaml.safe_load_all(render(case)[name]))


@pytest.mark.parametrize(("case", "name"), FILES, ids="/".join)
def test_renders_are_the_ones_that_were_looked_at(case, name):
    kept = (GOLDEN / case / name).read_text()
    assert render(case)[name] == kept, "if it is meant: python -m tests.launch.renders, and look"


def test_no_kept_render_is_left_over():
    kept = {tuple(p.relative_to(GOLDEN).parts) for p in GOLDEN.rglob("*") if p.is_file()}
    assert kept == set(FILES)


@pytest.mark.parametrize(("case", "name"), FILES, ids="/".join)
def test_commit_and_dirty_flag_are_in_what_runs(case, name):
    everything = "".join(render(case).values())
    assert layout_of(case).source.commit in everything
    assert "TRM_DIRTY" in everything


@pytest.mark.parametrize("case", CASES)
def test_secrets_are_named_and_never_held(case, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "hunter2")
    everything = "".join(render(case).values())
    assert "hunter2" not in everything
    assert ("WANDB_API_KEY" in everything) == bool(layout_of(case).job.secrets)


@pytest.mark.parametrize(("case", "name"), SCRIPTS, ids="/".join)
def test_shellcheck(case, name):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        ["shellcheck", "--norc", "-"], input=render(case)[name], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("case", "name"), SCRIPTS, ids="/".join)
def test_bash_reads_it(case, name):
    done = subprocess.run(["bash", "-n"], input=render(case)[name], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr
    assert "@" not in re.sub(r"[$%]@|\S+@%|\[@\]|%?[AB]?:?TERM@", "", render(case)[name]).replace(
        "trm_jax@", ""
    )


def misspelt(value, path=()):
    """Copies of a document, each with one key misspelt."""
    if isinstance(value, dict):
        for key in value:
            if path[-1:] and path[-1] in FREE:
                continue  # its keys are the user's own
            yield path, key
            yield from misspelt(value[key], (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from misspelt(item, (*path, index))


def with_typo(document, path, key):
    changed = copy.deepcopy(document)
    place = changed
    for part in path:
        place = place[part]
    place[key + "x"] = place.pop(key)
    return changed


def jobset_faults(document):
    """What JobSet's model says; it drops unknown keys, so what comes back is compared."""
    models = pytest.importorskip("kubeflow_trainer_api.models")
    try:
        back = models.JobsetV1alpha2JobSet.from_dict(copy.deepcopy(document)).to_dict()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return str(error)
    return "" if json.loads(json.dumps(back)) == document else "something was dropped"


@pytest.mark.parametrize(("case", "name"), JOBSETS, ids="/".join)
def test_jobsets_pass_the_model_of_jobset(case, name):
    for document in documents(case, name):
        assert jobset_faults(document) == ""


def test_the_model_of_jobset_catches_every_misspelt_key():
    (document,) = documents("gke-tpu-two-slices", "jobset.yaml")
    assert jobset_faults(document) == ""
    typos = list(misspelt(document))
    assert len(typos) > 60
    for path, key in typos:
        assert jobset_faults(with_typo(document, path, key)), (path, key)


@functools.cache
def job_validator():
    validate = pytest.importorskip("kubernetes_validate")
    return lambda document: validate.validate(document, KUBERNETES, strict=True)


def inner_jobs(document):
    for group in document["spec"]["replicatedJobs"]:
        yield {"apiVersion": "batch/v1", "kind": "Job", **copy.deepcopy(group["template"])}


@pytest.mark.parametrize(("case", "name"), JOBSETS, ids="/".join)
def test_the_jobs_within_pass_the_schema_of_kubernetes(case, name):
    for document in documents(case, name):
        for job in inner_jobs(document):
            job_validator()(job)


def test_the_schema_of_kubernetes_catches_every_misspelt_key():
    (document,) = documents("gke-gpu", "jobset.yaml")
    (job,) = inner_jobs(document)
    check = job_validator()
    for path, key in misspelt(job):
        with pytest.raises(Exception, match=r"."):
            check(with_typo(job, path, key))


@pytest.mark.parametrize(("case", "name"), JOBSETS, ids="/".join)
def test_names_fit_what_kubernetes_builds_on_them(case, name):
    for document in documents(case, name):
        group = document["spec"]["replicatedJobs"][0]
        pod = f"{document['metadata']['name']}-{group['name']}-{group['replicas'] - 1}-999-abcde"
        assert len(pod) <= 63
        for value in document["metadata"]["labels"].values():
            assert re.fullmatch("[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?", value)


def options_of_gcloud():
    """The options that the installed gcloud knows, from its own table for tab completion."""
    program = shutil.which("gcloud")
    if program is None:
        pytest.skip("gcloud is not installed")
    table = Path(program).resolve().parent.parent / "data/cli/gcloud_completions.py"
    if not table.exists():
        pytest.skip("this gcloud brings no table of its options")
    space = {}
    exec(table.read_text(), space)  # it holds one literal, STATIC_COMPLETION_CLI_TREE
    return space["STATIC_COMPLETION_CLI_TREE"]


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("tpu")])
def test_every_option_is_one_of_gclouds(case):
    tree = options_of_gcloud()
    text = render(case)["commands.sh"].replace("\\\n", " ")
    commands = [line.split() for line in text.splitlines() if line.startswith("gcloud ")]
    assert len(commands) >= 5
    for words in commands:
        node = tree
        for word in words[1:5]:
            node = node["commands"][word]
        known = {*node["flags"], *tree["flags"]}
        used = {word.strip("'").split("=")[0] for word in words if word.strip("'").startswith("--")}
        assert used <= known, (words, used - known)


def test_the_dockerfile_is_pinned_holds_no_secret_and_copies_what_is_there():
    text = (ROOT / "Dockerfile").read_text()
    (base,) = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert ":" in base and not base.endswith(":latest")
    assert not private.looks_secret(text) and not private.ENVIRONMENT.search(text)
    ignored = (ROOT / ".dockerignore").read_text().split()
    for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists() and f"!{name}" in ignored


def test_hadolint():
    if shutil.which("hadolint") is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run(["hadolint", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
