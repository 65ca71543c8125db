"""The loop over queued resources, against a cloud in a folder."""

import json

import pytest

from launch import tpu, tpu_read
from launch.desk import Desk
from launch.errors import LaunchError
from launch.tpu_drive import Driver
from tests.launch.helpers import HEAD, SWEEP, TPU, desk, make, put_gcloud

UP = ["WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"]
DONE = ["running", "ended 0"]


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    put_gcloud(monkeypatch, tmp_path)

    def play(*changes, sweep=(), **scenario):
        (tmp_path / "scenario.json").write_text(json.dumps({"lives": [UP] * 5, **scenario}))
        layout = make(tmp_path, HEAD + TPU, *changes, sweep=sweep)
        return layout, desk(tmp_path)

    return play


def calls(tmp_path, *verb):
    path = tmp_path / "calls.jsonl"
    every = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [words for words in every if words[2 : 2 + len(verb)] == list(verb)]


def acts(tmp_path):
    """What changed something, in order: create, delete, and the verbs told to the workers."""
    found = []
    for words in calls(tmp_path):
        if words[2:4] == ["tpu-vm", "ssh"]:
            command = next(w for w in words if w.startswith("--command=")).split()
            if command[2] != "state":
                found.append((command[2], int(command[4])))
        elif words[3] in ("create", "delete"):
            found.append(words[3])
    return found


def test_asks_waits_runs_and_gives_the_slice_back(cloud, tmp_path, capsys):
    assert tpu.submit(*cloud(attempts=[DONE], early=["preparing", "preparing"])) == 0
    assert acts(tmp_path) == ["create", ("start", 1), ("stop", 1), ("stop", 1), "delete"]
    words = calls(tmp_path, "queued-resources", "create")[0]
    assert words[4] == "tiny"
    for option in ("--spot", "--node-id=tiny", "--runtime-version=v2-alpha-tpuv5-lite"):
        assert option in words
    assert "the slices are deleted" in capsys.readouterr().out


@pytest.mark.parametrize("answer", ["half", "orphan"])
def test_a_create_that_timed_out_is_looked_into_before_anything_else(cloud, tmp_path, answer):
    assert tpu.submit(*cloud(create=[answer], attempts=[DONE])) == 0
    start = [("start", 1), ("stop", 1), ("stop", 1), "delete"]
    # Half-made, it is taken up; a node without its request is deleted before the next request.
    before = ["create"] if answer == "half" else ["create", "delete", "create"]
    assert acts(tmp_path) == before + start
    assert len(calls(tmp_path, "tpu-vm", "delete")) == (answer == "orphan")


def test_a_node_of_someone_else_is_left_alone(cloud, tmp_path, capsys):
    layout, table = cloud(attempts=[DONE])
    nodes = {"tiny": {"state": "READY", "labels": {"owner": "someone"}}}
    memory = {"looks": 0, "creates": 0, "lives": 0, "starts": 0, "asked": 0, "nodes": nodes}
    memory |= {"resource": None, "at": 0, "running": False}
    (tmp_path / "cloud.json").write_text(json.dumps(memory))
    assert tpu.submit(layout, table) == 1
    assert acts(tmp_path) == []
    assert "not this job's" in capsys.readouterr().out


def test_a_preempted_slice_is_deleted_and_made_again_and_costs_no_restart(cloud, tmp_path):
    layout, table = cloud(attempts=[["running", "preempt"], DONE])
    assert tpu.submit(layout, table) == 0
    assert acts(tmp_path)[:5] == ["create", ("start", 1), "delete", "create", ("start", 2)]
    assert table.recall()["restarts"] == 0
    assert len(calls(tmp_path, "queued-resources", "create")) == 2


def test_a_preemption_that_first_shows_as_42_costs_no_restart(cloud, tmp_path):
    layout, table = cloud(attempts=[["running", "ended 42", "preempt"], DONE])
    assert tpu.submit(layout, table) == 0
    assert table.recall()["restarts"] == 0


def test_42_runs_again_on_the_same_slice(cloud, tmp_path):
    layout, table = cloud(attempts=[["ended 42"], DONE])
    assert tpu.submit(layout, table) == 0
    assert acts(tmp_path)[:4] == ["create", ("start", 1), ("stop", 1), ("start", 2)]
    assert len(calls(tmp_path, "queued-resources", "create")) == 1
    assert table.recall()["restarts"] == 1


def test_restarts_are_counted(cloud, tmp_path, capsys):
    assert tpu.submit(*cloud(attempts=[["ended 42"]] * 3)) == 42
    assert [act for act in acts(tmp_path) if act[0] == "start"] == [
        ("start", 1),
        ("start", 2),
        ("start", 3),
    ]
    assert "all 2 restarts are used up" in capsys.readouterr().out
    assert acts(tmp_path)[-1] == "delete"


@pytest.mark.parametrize("code", [2, 3])
def test_a_final_code_on_one_worker_stops_all_and_starts_nothing(cloud, tmp_path, code):
    said = [["running", "running", f"ended {code}", "running"]]
    assert tpu.submit(*cloud(attempts=[said])) == code
    assert acts(tmp_path) == ["create", ("start", 1), ("stop", 1), ("stop", 1), "delete"]


def test_a_crash_stops_the_workers_that_hang_and_runs_again(cloud, tmp_path):
    layout, table = cloud(attempts=[[["running", "ended 134", "running", "running"]], DONE])
    assert tpu.submit(layout, table) == 0
    assert acts(tmp_path)[1:4] == [("start", 1), ("stop", 1), ("start", 2)]


def test_a_start_that_reached_some_workers_is_repeated(cloud, tmp_path):
    some = ["running", "waiting", "running", "waiting"]
    layout, table = cloud(attempts=[[some], DONE])
    assert tpu.submit(layout, table) == 0
    assert acts(tmp_path)[:3] == ["create", ("start", 1), ("start", 1)]


@pytest.mark.parametrize("text", ["", "Updates are available!", "{}", '[{"name": "a/tiny"}]'])
def test_nothing_is_done_on_a_state_that_could_not_be_read(cloud, tmp_path, capsys, text):
    looks = {str(look): text for look in range(1, 6)} | {"9": text}
    assert tpu.submit(*cloud(looks=looks, attempts=[DONE])) == 0
    first = calls(tmp_path)
    assert [words[2:4] for words in first[:6]] == [["queued-resources", "list"]] * 6
    assert len(calls(tmp_path, "queued-resources", "create")) == 1
    assert "no action taken" in capsys.readouterr().out


def test_an_unknown_word_for_a_state_is_unknown(cloud, tmp_path):
    layout, table = cloud(create=["half"], lives=[["BRAND_NEW"]])
    reader = tpu_read.Reader(layout, table)
    table.folder.mkdir()
    assert table.run(tpu_read.create(layout, "x")).code == 1
    assert reader.resource().state == tpu_read.UNKNOWN


def test_workers_that_do_not_all_answer_are_waited_for(cloud, tmp_path):
    three = ["running"] * 3
    assert tpu.submit(*cloud(attempts=[["running", three, three, "ended 0"]])) == 0
    assert acts(tmp_path) == ["create", ("start", 1), ("stop", 1), ("stop", 1), "delete"]


def test_a_failed_request_ends_the_job(cloud, tmp_path):
    assert tpu.submit(*cloud(lives=[["ACCEPTED", "FAILED"]])) == 1
    assert acts(tmp_path) == ["create", "delete"]


def test_requests_that_are_refused_again_and_again_end_the_job(cloud, tmp_path, capsys):
    assert tpu.submit(*cloud(create=["refused"] * 9)) == 1
    assert acts(tmp_path) == ["create"] * 5
    assert "quota exceeded" in capsys.readouterr().out


def test_a_failed_setup_ends_the_job(cloud, tmp_path):
    assert (
        tpu.submit(*cloud(early=["preparing", ["preparing", "failed", "waiting", "waiting"]])) == 1
    )
    assert ("start", 1) not in acts(tmp_path) and acts(tmp_path)[-1] == "delete"


def test_a_launcher_that_died_is_followed_by_one_that_goes_on(cloud, tmp_path):
    layout, table = cloud(attempts=[["running"] * 4 + ["ended 0"]])
    table.write(tpu.render(layout))
    first = Driver(layout, table)
    for _ in range(6):
        assert first._round() is None
    assert tpu.submit(layout, table) == 0
    assert acts(tmp_path) == ["create", ("start", 1), ("stop", 1), ("stop", 1), "delete"]


def test_a_sweep_runs_on_one_slice_one_after_the_other(cloud, tmp_path):
    layout, table = cloud(attempts=[["ended 3"], DONE], sweep=SWEEP)
    assert tpu.submit(layout, table) == 3
    assert len(calls(tmp_path, "queued-resources", "create")) == 1
    assert list(table.recall()["codes"].values()) == [3, 0]


def test_after_max_hours_the_slice_goes_back_and_asking_again_begins_anew(cloud, tmp_path):
    layout, table = cloud(attempts=[DONE])
    table.run(tpu_read.create(layout, "x"))
    table.remember(since=0.0, restarts=2)
    assert tpu.submit(layout, table) == 1
    assert acts(tmp_path) == ["create", "delete"]
    assert tpu.submit(layout, table) == 0
    assert acts(tmp_path)[2:4] == ["create", ("start", 2)]
    assert table.recall()["restarts"] == 0


def test_a_job_that_ended_can_be_asked_for_again(cloud, tmp_path):
    layout, table = cloud(attempts=[["ended 3"], DONE, ["ended 0"], ["ended 0"]], sweep=SWEEP)
    assert tpu.submit(layout, table) == 3
    assert tpu.submit(layout, table) == 0
    assert list(table.recall()["codes"].values()) == [0, 0]


def test_cancel_while_a_launcher_drives_deletes_the_slice_and_keeps_the_place(cloud, tmp_path):
    layout, table = cloud(attempts=[["running"]] * 2)
    driver = Driver(layout, table)
    table.write(tpu.render(layout))
    for _ in range(6):
        assert driver._round() is None
    with table.only_one():
        assert tpu.cancel(layout, Desk(table.folder)) == 0
        assert driver._round() == 42
    assert acts(tmp_path) == ["create", ("start", 1), ("stop", 1), "delete"]


def test_delete_deletes_what_it_saw(cloud, tmp_path):
    layout, table = cloud()
    assert tpu.delete(layout, table) == 0
    assert acts(tmp_path) == []
    table.run(tpu_read.create(layout, "x"))
    assert tpu.delete(layout, table) == 0
    assert acts(tmp_path) == ["create", "delete"]


def test_delete_does_nothing_on_an_unreadable_state(cloud, tmp_path, capsys):
    layout, table = cloud(looks={"1": "", "2": "<html>"})
    table.run(tpu_read.create(layout, "x"))
    assert tpu.delete(layout, table) == 1
    assert tpu.delete(layout, table) == 1
    assert acts(tmp_path) == ["create"]
    assert "could not be read" in capsys.readouterr().out


def test_status_says_what_the_cloud_says(cloud, capsys):
    layout, table = cloud()
    assert tpu.status(layout, table) == 0
    assert "queued resource tiny: ABSENT" in capsys.readouterr().out


def test_cancel_stops_the_workers_and_says_that_the_slice_still_costs(cloud, tmp_path, capsys):
    layout, table = cloud()
    table.run(tpu_read.create(layout, "x"))
    table.remember(run=0, attempt=7)
    assert tpu.cancel(layout, table) == 0
    assert acts(tmp_path) == ["create", ("stop", 7)]
    assert "until `delete`" in capsys.readouterr().out


def test_two_launchers_do_not_drive_one_job(cloud):
    layout, table = cloud()
    with table.only_one(), pytest.raises(LaunchError, match="another launcher"):
        tpu.submit(layout, table)


def test_several_slices_are_asked_for_at_once_and_each_worker_is_told(tmp_path):
    layout = make(tmp_path, HEAD + TPU, "tpu.slices=2")
    words = tpu_read.create(layout, "x")
    assert "--node-count=2" in words and "--node-prefix=tiny" in words
    assert tpu_read.nodes(layout) == ["tiny-0", "tiny-1"]


def test_several_hosts_need_a_bucket(tmp_path):
    with pytest.raises(LaunchError, match="must be a bucket"):
        tpu.render(make(tmp_path, HEAD + TPU, "workdir=/tmp/x"))
