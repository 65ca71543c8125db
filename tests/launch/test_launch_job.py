"""The job file: what is refused, and in which words; names, secrets, slices, exit codes."""

import itertools

import pytest

from launch import exits, job, layout, names, private, tpu_slices
from launch.errors import LaunchError
from launch.exits import Next
from tests.launch.helpers import HEAD, ROOT, SOURCE, TPU, load, make

LOCAL = "workdir: runs/x\nlocal: {processes: 2}\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("restart=3", "has no key 'restart'; did you mean 'restarts'?"),
        ("tpu.acelerator=v5litepod-8", "has no key 'acelerator'; did you mean 'accelerator'?"),
        ("tpu.spot=maybe", "spot must be true or false, not 'maybe'"),
        ("tpu.slices=true", "slices must be a whole number, not True"),
        ("tpu.slices=0", "slices must be 1 or more, not 0"),
        ("tpu.reserved=true", "spot and reserved exclude each other"),
        ("tpu.wait=soon", "wait 'soon' must be a number with s, m, h or d"),
        ("tpu.accelerator=v5litepod-12x", "'v5litepod-12x' is unknown"),
        ("tpu.accelerator=tpu7x-8", "use GKE"),
        ("tpu.accelerator=v5litepod-18", "not a whole slice"),
        ("tpu.accelerator=v4-9", "counts 2 cores per chip"),
        ("command=[train, --token=abc]", "looks like a secret"),
        ("command=[train, --config.hf_token=abc]", "looks like a secret"),
        ("restarts=-1", "restarts must be 0 or more"),
        ("name=My_Job", "'my-job-"),
        ("command=[eval]", "must begin with `train`"),
        ("command=[train, --workdir=x]", "write it as the key `workdir`"),
        ("command=train", "must be a list"),
        ("environment.TRM_COMMIT=x", "TRM_COMMIT is reserved for the launcher"),
        ("environment.A-B=x", "not a valid name of an environment variable"),
        ("environment.RATE=1.5", "put 1.5 in quotes"),
        ("environment.WANDB_API_KEY=abc", "WANDB_API_KEY looks like a secret"),
        ("gke={accelerator: nvidia-l4}", "either `topology` (TPU) or `gpus`"),
        ("gke={accelerator: tpu-v6e-slice, topology: 4x4x4}", "must be 2 numbers"),
        ("gke={accelerator: tpu-v9, topology: 4x4}", "'tpu-v9' is unknown"),
        (
            "slurm={nodes: 1, tasks_per_node: 1, gpus_per_node: 8, time: '1', directory: /x}",
            "equal",
        ),
        ("slurm={nodes: 1, tasks_per_node: 1, time: soon, directory: /x}", "time 'soon'"),
        ("local.processes=0", "processes must be 1 or more"),
        ("nokey", "must be KEY=VALUE"),
        ("name.x=1", "'name' is not a section"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_file(tmp_path, change, words):
    with pytest.raises(LaunchError) as caught:
        load(tmp_path, HEAD + TPU, change)
    text = str(caught.value)
    assert words in text and "\n" not in text
    assert str(tmp_path / "job.yaml") in text or "--set" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is not valid YAML"),
        ("- a", "must be a mapping of keys to values"),
        ("name: x", "lacks the key 'command'"),
        ("", "must be a mapping of keys to values"),
    ],
)
def test_a_file_that_is_no_job(tmp_path, text, words):
    with pytest.raises(LaunchError, match=words):
        load(tmp_path, text)


def test_a_missing_file(tmp_path):
    with pytest.raises(LaunchError, match="cannot be read: No such file"):
        job.load(tmp_path / "none.yaml")


def test_set_changes_and_adds(tmp_path):
    got = load(tmp_path, HEAD + TPU, "tpu.zone=b", "local.processes=3", "environment.A=1")
    assert (got.tpu.zone, got.local.processes, got.environment) == ("b", 3, {"A": "1"})
    assert got.engines == ["tpu", "local"]


@pytest.mark.parametrize("name", ["arc1", "a", "a-b-2"])
def test_a_safe_name_stays(name):
    assert names.safe(name) == name


RAW = ["T=1", "T-1", "T_1", "t=1", "1", "", "é", "a--b", "-a", "a-", "x" * 41, "x" * 400, "a/b"]


def test_every_name_is_made_safe_and_stays_distinct():
    made = [names.safe(raw) for raw in RAW]
    assert all(names.is_safe(name) for name in made), made
    assert len(set(made)) == len(RAW)
    assert made == [names.safe(raw) for raw in RAW]


def test_the_longest_name_fits_where_kubernetes_builds_on_it():
    pod = names.safe("x" * 100) + "-w-1023-1023-abcde"
    assert len(pod) <= 63


def test_labels_are_what_both_clouds_take():
    for raw in (*RAW, "a.b/c", "A" * 99):
        text = names.label(raw)
        assert len(text) <= 63 and text == text.lower() and text.strip("-_") == text and text


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "WANDB_API_KEY", "DB_PASSWORD", "aws_secret_access_key", "MY_CREDENTIALS"]
)
def test_names_that_look_secret_are_refused_without_their_value(name):
    with pytest.raises(LaunchError, match=name) as caught:
        private.check_environment({name: "hunter2"})
    assert "hunter2" not in str(caught.value) and "`secrets:`" in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "https://me:hunter2@example.org/x.git",
        "-----BEGIN RSA PRIVATE KEY-----",
        "ghp_" + "a1" * 15,
        "hf_" + "aB" * 15,
    ],
)
def test_values_that_look_secret_are_refused_wherever_they_stand(tmp_path, value):
    for change in (f"environment.X={value}", f"command=[train, '{value}']", f"workdir='{value}'"):
        with pytest.raises(LaunchError, match="secret") as caught:
            load(tmp_path, HEAD + TPU, change)
        assert value not in str(caught.value)
    with pytest.raises(LaunchError, match="code: repository"):
        load(tmp_path, HEAD + TPU, f"code.repository={value}")


@pytest.mark.parametrize("word", ["--config.model.prefix_tokens=16", "--config.data.path=gs://b/k"])
def test_ordinary_settings_are_not_taken_for_secrets(word):
    private.check_text("command", [word])
    private.check_environment({"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_x=1", "KEYS": "1"})


@pytest.mark.parametrize(
    ("accelerator", "hosts", "chips"),
    [
        ("v5litepod-1", 1, 1),
        ("v5litepod-8", 1, 8),
        ("v5litepod-16", 4, 4),
        ("v5litepod-256", 64, 4),
        ("v6e-16", 4, 4),
        ("v4-8", 1, 4),
        ("v4-32", 4, 4),
        ("v5p-16", 2, 4),
    ],
)
def test_hosts_of_a_slice(accelerator, hosts, chips):
    got = tpu_slices.of_accelerator(accelerator)
    assert (got.hosts, got.chips_per_host) == (hosts, chips)


@pytest.mark.parametrize(
    ("kind", "shape", "hosts", "chips"),
    [
        ("tpu-v5-lite-podslice", "4x4", 4, 4),
        ("tpu-v5-lite-podslice", "2x4", 1, 8),
        ("tpu-v4-podslice", "2x2x2", 2, 4),
        ("tpu-v6e-slice", "2x2", 1, 4),
        ("tpu7x", "4x8x8", 64, 4),
        ("tpu7x", "2x2x1", 1, 4),
    ],
)
def test_hosts_of_a_topology(kind, shape, hosts, chips):
    got = tpu_slices.of_topology(kind, shape)
    assert (got.hosts, got.chips_per_host) == (hosts, chips)


def test_what_follows_from_exit_codes():
    def says(codes, elsewhere):
        return tuple(exits.judge(codes, elsewhere))

    assert says([None, None], False) == (Next.WAIT, 0)
    assert says([0, None], True) == (Next.WAIT, 0)
    assert says([0, 0], True) == (Next.STOP, 0)
    assert says([42, None], False) == (Next.WAIT, 0)
    assert says([42, 0], False) == (Next.AGAIN, 42)
    assert says([-9, None], False) == (Next.STOP, 137)
    assert says([-9, None], True) == (Next.AGAIN, 137)


def test_a_final_code_is_final_whatever_the_others_say():
    for others in itertools.product([None, 0, 42, 1, -9], repeat=2):
        for final in (2, 3):
            for elsewhere in (True, False):
                got = exits.judge([others[0], final, others[1]], elsewhere)
                assert got == (Next.STOP, final)
    assert exits.judge([2, 3], True).code == 3


def test_commit_and_dirty_flag_are_part_of_every_run(tmp_path):
    made = make(tmp_path, HEAD + LOCAL)
    environment = made.environment()
    assert environment["TRM_COMMIT"] == SOURCE.commit and environment["TRM_DIRTY"] == "0"
    assert made.labels()["trm-commit"] == SOURCE.commit[:12]


def test_a_sweep_has_the_work_directories_of_trm_sweep(tmp_path):
    runs = layout.read_sweep("experiments/ablations.py:table1", 2)
    made = make(tmp_path, HEAD + LOCAL, sweep=runs)
    assert len(made.runs) == len(runs) > 2
    assert len({run.name for run in made.runs}) == len(runs)
    for run, (title, settings) in zip(made.runs, runs, strict=True):
        assert run.command[-1] == f"--workdir=runs/x/{title}"
        assert f"--config.seed={settings['seed']}" in run.command


def test_a_sweep_sets_nothing_that_the_command_sets(tmp_path):
    text = HEAD.replace('demo"', 'demo", --config.seed=3')
    with pytest.raises(LaunchError, match="both the command and the sweep set --config.seed"):
        make(tmp_path, text + LOCAL, sweep=[("a", {"seed": 1})])


def test_a_list_in_a_sweep_is_a_tuple_in_its_flag(tmp_path):
    made = make(tmp_path, HEAD + LOCAL, sweep=[("a", {"data.box": [2, 2]})])
    assert "--config.data.box=(2, 2)" in made.runs[0].command


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("experiments/none.py", "cannot be read"),
        ("none.json", "cannot be read"),
        ("experiments/ablations.py:nothing", "cannot be read"),
    ],
)
def test_a_sweep_that_cannot_be_read(spec, words):
    with pytest.raises(LaunchError, match=words):
        layout.read_sweep(spec, 1)


def test_json_of_something_else_is_no_sweep(tmp_path):
    for text in ('{"a": 1}', "[[1]]", "[", "[]"):
        (tmp_path / "s.json").write_text(text)
        with pytest.raises(LaunchError, match="--sweep"):
            layout.read_sweep(str(tmp_path / "s.json"), 1)


def test_ready_job_files_can_all_be_read():
    paths = sorted((ROOT / "launch" / "jobs").glob("*.yaml"))
    engines = {engine for path in paths for engine in job.load(path).engines}
    assert engines == set(job.ENGINES)
