"""Values that try to break out of what is rendered, that hide secrets, or are beyond all bounds."""

import json
import os
import subprocess

import pytest
import yaml

from launch import cli, job, layout
from launch.cli import module_of
from launch.errors import LaunchError
from tests.launch.helpers import HEAD, SOURCE, TPU, load, make

EVIL = "$(touch PWNED)`touch PWNED`'; touch PWNED #\"\n touch PWNED\n@NAME@ $$ $(FOO) {{x}}: - a"
LINE = EVIL.replace("\n", " ")
ENGINES = {
    "slurm": "slurm: {nodes: 1, tasks_per_node: 1, time: '1:00:00', directory: DIRECTORY}\n",
    "local": "local: {processes: 1}\n",
    "tpu": "tpu: {accelerator: v5litepod-1, zone: z, project: p}\n",
    "gke": "gke: {accelerator: nvidia-l4, gpus: 1}\n",
    "sky": "sky: {accelerators: 'H100:8', nodes: 2}\n",
}
CODE = "code: {repository: 'https://example.org/x.git', image: 'reg/x:1'}\n"


def hostile(tmp_path, engine, sweep=()):
    """The files of a job whose free texts all try to break out."""
    section = ENGINES[engine].replace("DIRECTORY", str(tmp_path))
    words = ["train", "--config", "experiments/sudoku.py:demo", f"--config.name={EVIL}"]
    free = {"command": words, "workdir": f"marks/{LINE}", "environment": {"FOO": EVIL}}
    text = f"name: evil\n{CODE}{section}{yaml.safe_dump(free)}"
    made = make(tmp_path, text, sweep=sweep)
    return made, module_of(engine).render(made)


def evaluated(tmp_path, script, *arguments, **variables):
    """Arguments and $FOO that `trm` gets when a script runs, everything else being a stub."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    record = tmp_path / "record.json"
    for name in ("gcloud", "scontrol", "scancel", "kubectl", "git", "pip", "uv", "setsid"):
        (bin_ / name).write_text("#!/bin/sh\nexit 0\n")
    (bin_ / "srun").write_text('#!/bin/bash\nshift 2\nexec env SLURM_PROCID=0 "$@"\n')
    python = "import json,os,sys; json.dump([sys.argv[1:], os.environ.get('FOO')], open(R, 'w'))"
    python = python.replace("R", repr(str(record)), 1) if "R," in python else python
    (bin_ / "trm.py").write_text(python.replace("open(R", f"open({str(record)!r}"))
    (bin_ / "trm").write_text(f'#!/bin/sh\nexec python3 {bin_}/trm.py "$@"\n')
    for path in bin_.iterdir():
        path.chmod(0o755)
    file = tmp_path / "script.sh"
    file.write_text(script)
    assert subprocess.run(["bash", "-n", file], capture_output=True).returncode == 0
    environment = {"PATH": f"{bin_}:{os.environ['PATH']}", "HOME": str(tmp_path), **variables}
    subprocess.run(["bash", file, *arguments], cwd=tmp_path, env=environment, timeout=60)
    assert not list(tmp_path.rglob("PWNED"))
    return json.loads(record.read_text())


def expected(made):
    return [list(made.runs[0].command[1:]), EVIL]


def test_a_slurm_script_runs_the_words_as_they_are(tmp_path):
    made, files = hostile(tmp_path, "slurm")
    place = {"SLURM_JOB_ID": "1", "SLURM_JOB_NUM_NODES": "1"}
    assert evaluated(tmp_path, files["job.sh"], **place) == expected(made)


def test_a_local_script_runs_the_words_as_they_are(tmp_path):
    made, files = hostile(tmp_path, "local")
    assert evaluated(tmp_path, files["local.sh"]) == expected(made)


def test_a_tpu_worker_runs_the_words_as_they_are(tmp_path):
    made, files = hostile(tmp_path, "tpu")
    (tmp_path / "opt/source").mkdir(parents=True)
    (tmp_path / "trm-evil/evil/1").mkdir(parents=True)
    script, where = files["worker.sh"], str(tmp_path / "opt")
    script = script.replace('export PATH="$trm/venv/bin:$PATH"', ":")
    assert evaluated(tmp_path, script, "inside", "evil", "1", TRM_HOME=where) == expected(made)


def test_a_jobset_holds_the_words_as_kubernetes_hands_them_on(tmp_path):
    made, files = hostile(tmp_path, "gke")
    (document,) = yaml.safe_load_all(files["jobset.yaml"])
    (group,) = document["spec"]["replicatedJobs"]
    (container,) = group["template"]["spec"]["template"]["spec"]["containers"]
    handed = [word.replace("$$", "$") for word in container["command"]]
    assert handed == list(made.runs[0].command)
    assert {"name": "FOO", "value": EVIL.replace("$", "$$")} in container["env"]


def test_a_sky_task_runs_the_words_as_they_are(tmp_path):
    made, files = hostile(tmp_path, "sky")
    task = yaml.safe_load(files["evil.yaml"])
    assert task["envs"]["FOO"] == EVIL
    (tmp_path / "trm_jax").mkdir()
    assert evaluated(tmp_path, task["run"], FOO=EVIL) == expected(made)


BREAKOUTS = ("x\ntouch PWNED", "x; touch PWNED", 'x"; touch PWNED; "', "$(touch PWNED)", "-x", " ")
WORDS = [
    *(f"code.{key}" for key in ("repository", "image", "extra")),
    *(f"tpu.{key}" for key in ("zone", "project", "image", "service_account", "network", "wait")),
    *(f"tpu.{key}" for key in ("accelerator",)),
    *(f"gke.{key}" for key in ("accelerator", "topology", "namespace", "queue", "secret")),
    *(f"gke.{key}" for key in ("service_account", "claim", "mount")),
    *(f"slurm.{key}" for key in ("partition", "account", "constraint", "memory", "time")),
    *(f"slurm.{key}" for key in ("directory", "secrets_file")),
    *(f"sky.{key}" for key in ("accelerators", "infra", "labels.team")),
]
ALL = HEAD + "workdir: w\n" + CODE + "".join(ENGINES.values()).replace("DIRECTORY", "/x")


@pytest.mark.parametrize("key", WORDS)
@pytest.mark.parametrize("value", BREAKOUTS)
def test_what_is_no_free_text_has_a_pattern(tmp_path, key, value):
    with pytest.raises(LaunchError) as error:
        load(tmp_path, ALL, f"{key}={json.dumps(value)}")
    assert "\n" not in str(error.value)


TOKENS = {
    "AKIA": "AKIA" + "ABCD1234" * 2,
    "anthropic": "sk-ant-api03-" + "aB1-" * 8,
    "openai": "sk-" + "aB1c" * 8,
    "github": "ghp_" + "aB1c" * 9,
    "github fine": "github_pat_11" + "AB1c" * 8,
    "gitlab": "glpat-" + "aB1-" * 5,
    "slack": "xoxb-1234567890-abcdef",
    "hub": "hf_" + "aB1c" * 8,
    "wandb": "0123456789abcdef" * 2 + "01234567",
    "url": "https://me:hunter2@example.org/x",
    "token url": "https://" + "a1b2" * 6 + "@example.org/x",
    "query": "https://example.org/x?access_token=abc",
    "flag": "curl --token hunter2",
    "assigned": "export MY_API_KEY=hunter2",
    "password": "DB_PASSWORD='hunter2'",
    "key": "-----BEGIN OPENSSH PRIVATE KEY-----",
}
PLACES = ["workdir", "name", "slurm.partition", "slurm.secrets_file", "tpu.project", "sky.infra"]
PLACES += ["code.repository", "gke.secret", "sky.labels.a", "environment.X"]


@pytest.mark.parametrize("kind", TOKENS)
def test_secrets_are_refused_wherever_they_stand_and_never_said(tmp_path, kind):
    value = TOKENS[kind]
    changes = [f"{place}={json.dumps(value)}" for place in PLACES]
    for key in ("command", "slurm.setup", "secrets"):
        changes.append(f"{key}={json.dumps(['train', value])}")
    for change in changes:
        with pytest.raises(LaunchError) as error:
            load(tmp_path, ALL, change)
        assert value not in str(error.value), change
        assert "secret" in str(error.value), (change, str(error.value))


def test_a_secret_may_be_two_words(tmp_path):
    with pytest.raises(LaunchError, match="secret"):
        load(tmp_path, ALL, "command=[train, --hub-token, hunter2]")


@pytest.mark.parametrize(
    "words",
    [
        ["--config.model.lattice.conflict_token=False", "--config.model.prefix_tokens=16"],
        ["git checkout " + "0123abcd" * 5, "pip install git+https://x.org/y@" + "0123abcd" * 5],
        ["export HF_TOKEN=$(cat ~/.token)", "export A_KEY=$B", "git clone ssh://git@host/x.git"],
        ["curl -H 'Authorization: Bearer $TOKEN' https://example.org", "--seed=3"],
    ],
)
def test_what_is_no_secret_passes(tmp_path, words):
    load(tmp_path, ALL, f"slurm.setup={json.dumps(words)}")


def test_a_broken_file_is_named_without_what_it_holds(tmp_path):
    with pytest.raises(LaunchError, match=r"is not valid YAML.* in line 1") as error:
        load(tmp_path, f"a: {TOKENS['hub']}: [\n")
    assert "hf_" not in str(error.value)


DEEP = "a: " + "[" * 5000 + "]" * 5000
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}workdir: w\nrestarts: {'1' + '0' * 5000}\nlocal: {{}}\n",
        f"{HEAD}workdir: w\nlocal: {{processes: 999999999999999999999999}}\n",
        f"{HEAD}workdir: w\nlocal: {{grace: .inf}}\n",
        f"{HEAD}workdir: w\nlocal: {{grace: 10000000}}\n",
        f'{HEAD}workdir: "a\\0b"\nlocal: {{}}\n',
        f'{HEAD}workdir: "a\\nb"\nlocal: {{}}\n',
        f'{HEAD}workdir: ""\nlocal: {{}}\n',
        f"{HEAD}workdir: {'x' * 20_000}\nlocal: {{}}\n",
        f"{HEAD}workdir: 2001-99-99\n",
        "\0",
        DEEP,
        BOMB,
        "x" * 2_000_000,
        "? [a]\n: b",
    ],
)
def test_beyond_bounds_is_one_short_sentence(tmp_path, text):
    with pytest.raises(LaunchError) as error:
        load(tmp_path, text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize(
    "entries",
    [
        '[["a\\ntouch PWNED #", {}]]',
        '[["../../../ESC", {"seed": 1}]]',
        '[["/etc/x", {}]]',
        '[["$(touch PWNED)", {}]]',
        '[["a", {"seed": NaN}]]',
        '[["a", {"seed": 1e999}]]',
        '[["a", {"seed": ' + "9" * 5000 + "}]]",
        '[["a", {"a b": 1}]]',
        '[["a", {"seed": {"b": 1}}]]',
        '[["a", {}], ["a", {}]]',
        '[["a", {}], ["a/b", {}]]',
        '[["a", {"name": "' + TOKENS["hub"] + '"}]]',
        "[" * 5000 + "]" * 5000,
        "\0",
    ],
)
def test_a_sweep_is_checked_as_trm_sweep_checks_it(tmp_path, entries):
    file = tmp_path / "s.json"
    file.write_text(entries)
    with pytest.raises(LaunchError) as error:
        layout.read_sweep(str(file), 1)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    assert TOKENS["hub"] not in str(error.value)


def test_a_name_with_a_nul_is_no_file(capsys):
    assert cli.main(["render", "a\0b"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_hostile_titles_never_reach_a_comment(tmp_path):
    made = layout.make(load(tmp_path, ALL), SOURCE, [("T=1/seed0", {"seed": 0})])
    assert "T=1/seed0" in module_of("local").render(made)["local.sh"]
    assert job.placeholders(["YOUR-ZONE"]) == ["YOUR-ZONE"] and TPU
