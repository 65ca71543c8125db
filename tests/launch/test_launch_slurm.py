"""SLURM: the script's decisions, and a real cluster of two nodes where SLURM is installed."""

import itertools
import os
import subprocess
import time

import pytest

from launch import exits, slurm
from launch.desk import Desk
from launch.errors import LaunchError
from launch.exits import Next
from tests.launch import slurm_cluster
from tests.launch.helpers import SWEEP, make, put_on_path

TRM = """#!/bin/bash
# Stands in for `trm`: each task does what its word in the command says, one word for each start.
trap 'echo "$SLURM_PROCID asked"; exit 42' TERM
dir=${!#}
dir=${dir#--workdir=}
mkdir -p "$dir"
start=$(cat "$dir/$SLURM_PROCID" 2>/dev/null || echo 0)
echo $((start + 1)) >"$dir/$SLURM_PROCID"
echo "$SLURM_PROCID on $SLURMD_NODENAME, $TRM_DISTRIBUTED, $TRM_COMMIT, ${TOKEN_NAME:-}, $*"
IFS=, read -ra tasks <<<"$2"
IFS=/ read -ra words <<<"${tasks[$SLURM_PROCID]}"
word=${words[$start]}
# The signal also ends the sleep, and may do so before the trap is run.
while [ "$word" = hang ]; do sleep 100 & wait; done
exit "$word"
"""


def job(folder, does="0", nodes=2, name="tiny", extra=""):
    return (
        f'name: {name}\ncommand: [train, "{does}"]\nworkdir: {folder}/work-{name}\nrestarts: 2\n'
        f'slurm: {{nodes: {nodes}, tasks_per_node: 2, time: "5", directory: "{folder}", '
        f"setup: ['export PATH=\"{folder}/bin:$PATH\"'], "
        f"secrets_file: {folder}/secrets.env}}\n{extra}"
    )


def verdict(folder, codes, nodes):
    """What the rendered script decides on the codes that its tasks wrote down."""
    written = folder / "codes"
    written.mkdir(parents=True)
    text = slurm.render(make(folder, job(folder)))["job.sh"]
    function = text[text.index("verdict() {") : text.index("read -r next code")]
    for index, code in enumerate(codes):
        if code is not None:
            (written / str(index)).write_text(f"{code}\n")
    script = f"TRM_CODES={written}\nSLURM_JOB_NUM_NODES={nodes}\n{function}verdict\n"
    return subprocess.run(["bash", "-uc", script], capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize("nodes", [1, 2])
def test_the_script_decides_as_the_launcher_does(tmp_path, nodes):
    samples = [*itertools.combinations_with_replacement([0, 2, 3, 42, 134], 4)]
    for number, codes in enumerate(samples[:: 2 + nodes]):
        want = exits.judge(codes, nodes > 1)
        word = {Next.STOP: "stop", Next.AGAIN: "again"}[want.next]
        got = verdict(tmp_path / str(number), codes, nodes)
        assert got == [word, str(want.code)], codes


def test_a_task_that_left_no_code_was_killed(tmp_path):
    assert verdict(tmp_path / "one", [0, 0, 42, None], 1) == ["stop", "137"]
    assert verdict(tmp_path / "two", [0, 0, 42, None], 2) == ["again", "137"]


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A fake of the commands; squeue prints what the file `queue` holds, or fails without it."""
    for name, text in {
        "squeue": f"cat {tmp_path}/queue",
        "sbatch": f'echo "$@" >>{tmp_path}/calls; echo "17;cluster"',
        "scancel": f'echo "$@" >>{tmp_path}/calls',
    }.items():
        put_on_path(monkeypatch, tmp_path / "bin", name, f"#!/bin/sh\n{text}\n")
    return tmp_path / "queue", tmp_path / "calls"


def test_submit_remembers_the_number(tmp_path, queue):
    queue[0].write_text("")
    table = Desk(tmp_path / "desk")
    assert slurm.submit(make(tmp_path, job(tmp_path)), table) == 0
    assert table.recall()["job"] == "17"
    assert "job.sh" in queue[1].read_text()


def test_a_job_in_the_queue_is_not_submitted_twice(tmp_path, queue):
    queue[0].write_text("16\n")
    with pytest.raises(LaunchError, match="in the queue as 16"):
        slurm.submit(make(tmp_path, job(tmp_path)), Desk(tmp_path / "desk"))
    assert not queue[1].exists()


@pytest.mark.parametrize("verb", ["submit", "cancel", "delete", "status"])
def test_nothing_is_done_on_a_queue_that_cannot_be_read(tmp_path, queue, capsys, verb):
    assert getattr(slurm, verb)(make(tmp_path, job(tmp_path)), Desk(tmp_path / "desk")) == 1
    assert not queue[1].exists()
    assert "no action taken" in capsys.readouterr().out


def test_a_directory_must_be_absolute(tmp_path):
    with pytest.raises(LaunchError, match="absolute path"):
        slurm.render(make(tmp_path, job(tmp_path), "slurm.directory=here"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    reason = slurm_cluster.missing()
    if reason:
        pytest.skip(reason)
    with slurm_cluster.Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def submit(cluster, tmp_path, monkeypatch):
    put_on_path(monkeypatch, tmp_path / "bin", "trm", TRM)
    for key, value in cluster.environment.items():
        monkeypatch.setenv(key, value)

    def go(does, name="tiny", nodes=2, extra="", sweep=()):
        made = make(tmp_path, job(tmp_path, does, nodes, name, extra), sweep=sweep)
        table = Desk(tmp_path / "desk" / name)
        assert slurm.submit(made, table) == 0
        return made, table

    return go


def facts(cluster, table):
    words = cluster.run("scontrol", "show", "job", "-o", table.recall()["job"]).split()
    return dict(word.partition("=")[::2] for word in words)


def until(cluster, table, *states, seconds=60):
    deadline = time.monotonic() + seconds
    while (now := facts(cluster, table))["JobState"] not in states:
        assert time.monotonic() < deadline, now
        if now["Reason"] == "BeginTime":  # SLURM lets a requeued job wait for two minutes
            cluster.run("scontrol", "update", f"JobId={table.recall()['job']}", "StartTime=now")
        time.sleep(0.3)
    return now


def log(tmp_path, name="tiny"):
    folder = tmp_path / "runs" / "launch" / name / "logs"
    return "".join(path.read_text() for path in sorted(folder.glob("*.log")))


@pytest.mark.slow
@pytest.mark.slurm
def test_two_nodes_are_requeued_on_42_and_finish(cluster, submit, tmp_path):
    _, table = submit("42/0,42/0,42/0,42/0")
    end = until(cluster, table, "COMPLETED", "FAILED")
    assert (end["JobState"], end["ExitCode"], end["Restarts"]) == ("COMPLETED", "0:0", "1")
    assert [(tmp_path / "work-tiny" / str(i)).read_text() for i in range(4)] == ["2\n"] * 4
    text = log(tmp_path)
    assert "0 on n1, auto" in text and "3 on n2, auto" in text
    assert text.count("launch: again, exit code 42") == 1


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.parametrize("final", [2, 3])
def test_a_final_code_ends_the_tasks_that_hang_and_is_not_requeued(
    cluster, submit, tmp_path, final
):
    _, table = submit(f"hang,{final},hang,hang", name=f"final{final}")
    end = until(cluster, table, "COMPLETED", "FAILED")
    assert (end["ExitCode"], end["Restarts"]) == (f"{final}:0", "0")


@pytest.mark.slow
@pytest.mark.slurm
def test_the_warning_before_the_limit_reaches_the_tasks(cluster, submit, tmp_path):
    _, table = submit("hang/0,hang/0,hang/0,hang/0", name="warned")
    deadline = time.monotonic() + 20
    while not all((tmp_path / "work-warned" / str(i)).exists() for i in range(4)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(0.5)
    cluster.run("scancel", "--signal=TERM", "--batch", table.recall()["job"])
    end = until(cluster, table, "COMPLETED", "FAILED")
    assert (end["ExitCode"], end["Restarts"]) == ("0:0", "1")
    assert log(tmp_path, "warned").count(" asked\n") == 4


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.parametrize("by", ["launcher", "hand"])
def test_a_cancelled_job_does_not_come_back(cluster, submit, tmp_path, by):
    made, table = submit("hang,hang,hang,hang", name=by)
    deadline = time.monotonic() + 20
    while not (tmp_path / f"work-{by}" / "3").exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(0.5)
    if by == "launcher":
        assert slurm.cancel(made, table) == 0
    else:
        cluster.run("scancel", table.recall()["job"])
    end = until(cluster, table, "CANCELLED")
    assert end["Restarts"] == "0"
    deadline = time.monotonic() + 20
    while cluster.run("squeue", "--noheader", f"--name={by}"):
        assert time.monotonic() < deadline
        time.sleep(0.3)


@pytest.mark.slow
@pytest.mark.slurm
def test_a_sweep_is_an_array_and_secrets_come_from_their_file(cluster, submit, tmp_path):
    secrets = tmp_path / "secrets.env"
    secrets.write_text("export TOKEN_NAME=from-the-file\n")
    secrets.chmod(0o600)
    _, table = submit("0,0", "swept", 1, "secrets: [TOKEN_NAME]\n", SWEEP)
    deadline = time.monotonic() + 60
    while cluster.run("squeue", "--noheader", "--name=swept"):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    text = log(tmp_path, "swept")
    assert text.count("from-the-file") == 4 and text.count("stop, exit code 0") == 2
    for title, settings in SWEEP:
        assert (tmp_path / "work-swept" / title / "1").read_text() == "1\n"
        assert f"--config.model.T={settings['model.T']}" in text
    assert "from-the-file" not in (table.folder / "job.sh").read_text()


@pytest.mark.slow
@pytest.mark.slurm
def test_secrets_that_others_can_read_end_the_job_as_a_mistake(cluster, submit, tmp_path):
    (tmp_path / "secrets.env").write_text("export TOKEN_NAME=x\n")
    os.chmod(tmp_path / "secrets.env", 0o644)
    _, table = submit("0,0", "open", 1, "secrets: [TOKEN_NAME]\n")
    assert until(cluster, table, "FAILED", "COMPLETED")["ExitCode"] == "2:0"
    assert "with mode 600" in log(tmp_path, "open")
