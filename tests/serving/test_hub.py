"""The hub, simulated: nothing here reaches it.

A module in place of `huggingface_hub` keeps what is uploaded in a directory, and gives it back. The
last tests run the real client where it is installed: offline on a cache of its own form, and
against a server on this machine that speaks as much of the hub's protocol as downloading takes.
"""

import hashlib
import http.server
import json
import shutil
import subprocess
import sys
import threading
import types

import numpy as np
import pytest

import trm_jax
from tests import runs
from tests.serving.test_export import untrained
from trm_jax.core.errors import UserError
from trm_jax.serving import hub
from trm_jax.serving.card import model_card
from trm_jax.serving.export import Form, save

PUZZLE = "1.....2..3....4."
TOKEN = "hf_verysecret"
SHA = "0123456789abcdef0123456789abcdef01234567"


class FakeHub(types.ModuleType):
    """As much of huggingface_hub as is used."""

    def __init__(self, root):
        super().__init__("huggingface_hub")
        self.root, self.token, self.online, self.made = root, TOKEN, True, {}

    def get_token(self):
        return self.token

    def HfApi(self):  # noqa: N802
        return self

    def create_repo(self, repo_id, *, private, exist_ok):
        if not self.online:
            raise ConnectionError(f"cannot connect with {self.token}\nand more lines")
        assert exist_ok
        self.made.setdefault(repo_id, private)

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        assert repo_id in self.made and commit_message
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)

    def snapshot_download(self, repo_id, *, revision, allow_patterns):
        found = self.root / repo_id
        if not found.exists() or revision not in (None, "main"):
            raise FileNotFoundError("An error happened while trying to locate it.")
        here = self.root / "cache" / repo_id
        here.mkdir(parents=True, exist_ok=True)
        for name in allow_patterns:
            if (found / name).exists():
                shutil.copy(found / name, here)
        return str(here)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    module = FakeHub(tmp_path / "hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return module


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    place = tmp_path_factory.mktemp("hub")
    save(untrained(place), place / "out", Form(steps=2))
    return place / "out"


def test_what_is_pushed_is_what_is_loaded(fake, exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hub.push(exported, "me/tiny", private=True) == "https://huggingface.co/me/tiny"
    assert fake.made == {"me/tiny": True}
    assert {p.name for p in (fake.root / "me/tiny").iterdir()} == {
        p.name for p in exported.iterdir()
    }
    expected = trm_jax.load(exported).solve(PUZZLE)[0]
    for name in ("hf://me/tiny", "me/tiny", "hf://me/tiny@main"):
        found = trm_jax.load(name).solve(PUZZLE)[0]
        np.testing.assert_array_equal(found.answer, expected.answer)
    # programs of others are not run, and so not even fetched
    assert not (fake.root / "cache/me/tiny/load.py").exists()


def test_a_path_here_comes_before_the_hub(fake, exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(exported, tmp_path / "me/tiny")
    assert trm_jax.load("me/tiny").solve(PUZZLE)
    with pytest.raises(
        UserError, match="hf://me/tiny is neither a directory here nor in the hub's"
    ):
        trm_jax.load("hf://me/tiny")


def test_a_download_that_is_damaged_is_refused(fake, exported):
    hub.push(exported, "me/tiny", private=False)
    (fake.root / "me/tiny/weights.npz").write_bytes(b"other weights")
    with pytest.raises(UserError, match=r"weights.npz was changed"):
        trm_jax.load("hf://me/tiny")


@pytest.mark.parametrize("name", ["me/none", "hf://me/none", "hf://me/tiny@other"])
def test_what_cannot_be_had_gets_one_sentence(fake, exported, name):
    hub.push(exported, "me/tiny", private=False)
    with pytest.raises(UserError) as error:
        trm_jax.load(name)
    text = str(error.value)
    assert text.startswith(f"{name} is neither a directory here nor in the hub's cache")
    assert "check the name and the network" in text and "\n" not in text


@pytest.mark.parametrize("name", ["hf://tiny", "hf://a/b/c", "hf://"])
def test_names_that_are_none(name):
    with pytest.raises(
        UserError, match=r"is not the name of a model on the hub; write hf://owner/name"
    ):
        trm_jax.load(name)


def test_who_is_not_logged_in_is_told_so_before_anything_is_done(fake, exported):
    fake.token = None
    with pytest.raises(
        UserError, match="you are not logged in .* run `hf auth login`, or set HF_TOKEN"
    ):
        hub.check_login("me/tiny")
    for name in ("tiny", "me/tiny@main"):
        with pytest.raises(UserError, match="write owner/name"):
            hub.check_login(name)


def test_no_token_is_ever_printed(fake, exported):
    fake.online = False
    with pytest.raises(UserError) as error:
        hub.push(exported, "me/tiny", private=False)
    text = str(error.value)
    assert TOKEN not in text and "cannot connect with ***" in text and "\n" not in text
    assert f"hf upload me/tiny {exported}" in text


def test_without_the_library_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install 'trm-jax\[hub\]'"):
        trm_jax.load("hf://me/tiny")


def card(exported, **changes):
    return model_card(json.loads((exported / "manifest.json").read_text()) | changes)


def score(**changes):
    row = {
        "data": "test",
        "fingerprint": "f" * 64,
        "split": "test",
        "checkpoint": 7,
        "examples": 422,
        "steps": 16,
        "scores": {"exact_accuracy": 0.87451},
    }
    return row | changes


def test_the_card_holds_what_was_measured_and_nothing_else(exported):
    text = card(exported)
    assert text.startswith('---\nlicense: "apache-2.0"\nlibrary_name: "trm_jax"\ntags: ["jax", ')
    assert "Accuracy: not measured." in text and "%" not in text
    text = card(exported, scores=[score()])
    assert (
        "| test (`ffffffffffff`) | test | 422 puzzles | 7 | 16 | 0 | exact_accuracy 0.8745 |"
        in text
    )
    assert "not measured" not in text and "held-out" not in text
    own = score(split="heldout", fingerprint="0" * 64)
    text = card(exported, scores=[own], weights_dtype="bfloat16")
    assert "| the run's own (`000000000000`) | heldout |" in text
    assert "may have been selected by its score on the held-out split" in text
    assert "measured before the weights were rounded to bfloat16" in text


def test_only_scores_of_this_very_checkpoint_are_taken(tmp_path):
    trained = untrained(tmp_path)
    folder = tmp_path / "nothing/eval"
    folder.mkdir(parents=True)
    record = {
        "data": "/home/me/private/test.csv.gz",
        "split": "test",
        "fingerprint": "f" * 64,
        "checkpoint": 7,
        "exact_accuracy": 0.5,
        "cell_accuracy": None,
        "steps_used": 16,
        "examples": 10,
        "by_depth": [],
    }
    (folder / "a.json").write_text(json.dumps(record))
    (folder / "b.json").write_text(json.dumps(record | {"checkpoint": 8, "exact_accuracy": 1.0}))
    (folder / "c.json").write_text("half a re")
    manifest = save(trained, tmp_path / "out", Form(steps=1))
    (found,) = manifest["scores"]
    assert found["scores"] == {"exact_accuracy": 0.5} and found["data"] == "test.csv.gz"
    text = (tmp_path / "out/README.md").read_text()
    assert "exact_accuracy 0.5000" in text and "1.0000" not in text and "private" not in text


SOLVE = f"import trm_jax; print(trm_jax.load('hf://me/tiny').solve('{PUZZLE}')[0].text)"


def client(cache, **environment):
    """The real client in a process of its own, as it reads its settings when it is imported."""
    environment = {"HF_HOME": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1"} | environment
    return subprocess.run(
        [sys.executable, "-c", SOLVE],
        cwd=runs.ROOT,
        env=runs.environment(**environment),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_real_client_finds_its_cache_offline(exported, tmp_path):
    pytest.importorskip("huggingface_hub")
    done = client(tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode and "hf://me/tiny is neither a directory here nor in" in done.stderr
    place = tmp_path / "hub/models--me--tiny"
    (place / "refs").mkdir(parents=True)
    (place / "refs/main").write_text(SHA)
    shutil.copytree(exported, place / "snapshots" / SHA)
    done = client(tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == trm_jax.load(exported).solve(PUZZLE)[0].text


class Server(http.server.BaseHTTPRequestHandler):
    """The hub's answers to somebody who downloads a public model."""

    folder: object = None

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        if self.path.startswith("/api/models/me/tiny"):
            files = [(path.name, path.read_bytes()) for path in self.folder.iterdir()]
            if "/tree/" in self.path:
                facts = [
                    {"type": "file", "path": name, "size": len(content), "oid": SHA}
                    for name, content in files
                ]
                return self.send(json.dumps(facts).encode())
            names = [{"rfilename": name} for name, _ in files]
            return self.send(json.dumps({"id": "me/tiny", "sha": SHA, "siblings": names}).encode())
        name = self.path.removeprefix(f"/me/tiny/resolve/{SHA}/")
        if (self.folder / name).is_file():
            return self.send((self.folder / name).read_bytes())
        self.send_error(404)
        return None

    def send(self, content):
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", SHA)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_the_real_client_downloads_once(exported, tmp_path):
    pytest.importorskip("huggingface_hub")
    handler = type("Handler", (Server,), {"folder": exported})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        first = client(tmp_path, HF_ENDPOINT=endpoint)
        server.shutdown()
    assert first.returncode == 0, first.stderr
    names = {p.name for p in (tmp_path / "hub/models--me--tiny/snapshots" / SHA).iterdir()}
    assert "program.bin" in names and "load.py" not in names
    later = client(tmp_path, HF_ENDPOINT=endpoint)  # nobody is there any more
    assert later.returncode == 0 and later.stdout == first.stdout
