"""Files of named arrays: every format, every prefix, and what is refused."""

import pickle

import numpy as np
import pytest

from tests.published.arrays import (
    FILE,
    TORCH,
    Saved,
    arrays_of,
    assert_same,
    model_of,
    saved,
    state_dict,
    torch_saved,
)
from trm_jax.core.errors import UserError
from trm_jax.published import torch_files
from trm_jax.published.torch_files import PREFIXES, read, read_said, write


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
def test_every_format_and_prefix_keeps_every_bit(tmp_path, suffix, prefix):
    if suffix == ".pt":
        pytest.importorskip("torch", reason=TORCH)
    arrays = arrays_of(model_of(dtype="bfloat16"))
    assert write(tmp_path / f"a{suffix}", arrays, prefix) is (suffix == ".npz")
    if suffix == ".npz":
        arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    assert_same(read(tmp_path / f"a{suffix}"), arrays)
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


def test_what_torch_makes_of_our_file(tmp_path):
    torch = pytest.importorskip("torch", reason=TORCH)
    arrays = arrays_of(model_of(dtype="bfloat16"))
    found = torch.load(saved(tmp_path / "a.pt", arrays), weights_only=True)
    assert found[PREFIXES[0] + "H_init"].dtype == torch.bfloat16
    weight = found[PREFIXES[0] + "lm_head.weight"]
    assert weight.shape == (6, 16) and weight.is_contiguous()


def test_names_without_a_suffix_and_views(tmp_path):
    numbers = np.arange(7, dtype=np.float32)
    turned = Saved(np.zeros((3, 2), np.float32), storage=numbers, offset=1, stride=(1, 3))
    tensors = {"inner.a": turned, "inner.b": Saved(np.zeros((), np.float16))}
    found = read(torch_saved(tmp_path / "step_12", tensors))
    np.testing.assert_array_equal(found["a"], [[1, 4], [2, 5], [3, 6]])
    assert found["b"].shape == () and found["b"].dtype == np.float16


def test_arrays_of_a_file_that_holds_more(tmp_path):
    arrays = {"param/model.inner.a": np.ones(2, np.float32), "batch0/inputs": np.zeros(3)}
    np.savez(tmp_path / FILE, **arrays)
    assert list(read(tmp_path / FILE)) == ["a"]


class Evil:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("suffix", [".pt", "", ".npz"])
def test_a_pickle_is_refused_and_not_run(tmp_path, suffix):
    trace, file = tmp_path / "trace", tmp_path / f"evil{suffix}"
    if suffix == ".npz":
        with file.open("wb") as stream:
            np.savez(stream, a=np.asarray([Evil(trace)], object))
    else:
        torch_saved(file, {"inner.a": Evil(trace)})
    with pytest.raises(UserError, match="more than weights|cannot be read"):
        read(file)
    assert not trace.exists()


def test_an_old_plain_pickle_is_refused_and_not_run(tmp_path):
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Evil(tmp_path / "trace")))
    with pytest.raises(UserError, match="more than weights"):
        read(tmp_path / "a.pt")
    assert not (tmp_path / "trace").exists()


def test_a_pickle_beside_the_weights_is_not_run(tmp_path):
    """Trainers keep their own objects in a checkpoint; the weights are read, and nothing else."""
    content = {"state_dict": {"inner.a": Saved(np.ones(2, np.float32))}}
    torch_saved(tmp_path / "a.ckpt", content | {"callbacks": [Evil(tmp_path / "trace")]})
    arrays, words = read_said(tmp_path / "a.ckpt")
    assert list(arrays) == ["a"] and words == ["took the weights under 'state_dict'"]
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("content", [[1, 2], {"inner.a": 3}, {}])
def test_files_of_something_else(tmp_path, content):
    torch_saved(tmp_path / "a.pt", content)
    with pytest.raises(UserError, match="a.pt holds"):
        read(tmp_path / "a.pt")


@pytest.mark.parametrize("suffix", [".pt", ".npz", ".safetensors"])
def test_damaged_and_missing_files(tmp_path, suffix):
    arrays = {"a": np.ones(1000, np.float32)}
    write_one = torch_saved if suffix == ".pt" else saved
    given = state_dict(arrays) if suffix == ".pt" else arrays
    file = write_one(tmp_path / f"a{suffix}", given)
    file.write_bytes(file.read_bytes()[:1500])
    with pytest.raises(UserError, match=r"a\..* cannot be read as"):
        read(file)
    with pytest.raises(UserError, match="is not a file"):
        read(tmp_path / f"b{suffix}")


def test_without_torch_the_extra_is_named(tmp_path, monkeypatch):
    """It is needed to write such files; reading them takes none."""

    def missing(name):
        raise ImportError(name)

    arrays = {"a": np.ones(3, np.float32)}
    file = torch_saved(tmp_path / "a.pt", state_dict(arrays))
    monkeypatch.setattr(torch_files.importlib, "import_module", missing)
    assert_same(read(file), arrays)
    with pytest.raises(UserError, match=r"pip install 'trm-jax\[torch\]'"):
        write(tmp_path / "b.pt", arrays, "inner.")


def test_prefixes_unknown_and_mixed(tmp_path):
    np.savez(tmp_path / FILE, **{"encoder.a": np.zeros(1)})
    with pytest.raises(UserError, match=r"'encoder\.a', which starts with none"):
        read(tmp_path / FILE)
    np.savez(tmp_path / FILE, **{"inner.a": np.zeros(1), "model.inner.b": np.zeros(1)})
    with pytest.raises(UserError, match=r"'model\.inner\.b', but other names start with 'inner"):
        read(tmp_path / FILE)


def test_a_failed_or_refused_write_leaves_things_as_they_were(tmp_path, monkeypatch):
    def full(file, arrays):
        file.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setitem(torch_files.WRITERS, ".npz", full)
    with pytest.raises(UserError, match="no space left"):
        write(tmp_path / "a.npz", {}, "inner.")
    with pytest.raises(UserError, match="suffix '.bin'"):
        write(tmp_path / "a.bin", {}, "inner.")
    assert not list(tmp_path.iterdir())
    (tmp_path / "a.npz").write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        write(tmp_path / "a.npz", {}, "inner.")
    assert (tmp_path / "a.npz").read_text() == "mine"


def changed(name, raw):
    """Another file of that name in the archive; None for none at all."""

    def damage(files):
        rest = {key: value for key, value in files.items() if key != name}
        return rest if raw is None else rest | {name: raw}

    return damage


ONE = Saved(np.ones(4, np.float32))
FAR = Saved(np.ones((2, 2), np.float32), stride=(9, 1))
WIDE = np.broadcast_to(np.float32(1), (10**6, 10**6))
LARGE = Saved(WIDE, storage=np.ones(4, np.float32), stride=(0, 0))


@pytest.mark.parametrize(
    ("tensor", "damage", "words"),
    [
        (ONE, changed("data/0", None), "it is incomplete: it has no archive/data/0"),
        (ONE, changed("data/0", b"1234"), "it has 1 stored numbers instead of 4"),
        (ONE, changed("data/0", bytes(999)), "larger than it can be"),
        (ONE, changed("data.pkl", None), "without PyTorch's data.pkl"),
        (ONE, changed("data.pkl", b"\x80\x02nonsense"), "its data.pkl cannot be read"),
        (ONE, changed("constants.pkl", b""), "TorchScript"),
        (ONE, changed("byteorder", b"big"), "big-endian"),
        (FAR, changed("x", b""), r"a tensor of shape \(2, 2\) over 4 stored"),
        (LARGE, changed("x", b""), r"a tensor of shape \(1000000, 1000000\) over 4 stored"),
    ],
)
def test_archives_that_contradict_themselves(tmp_path, tensor, damage, words):
    file = torch_saved(tmp_path / "a.pt", {"inner.a": tensor}, damage)
    with pytest.raises(UserError, match=words) as error:
        read(file)
    assert "a.pt cannot be read as a PyTorch file: it" in str(error.value)


@pytest.mark.parametrize("suffix", ["", ".pt", ".npz", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 2\n", "Git LFS pointer"),
        ("\ufeff <!DOCTYPE html><html></html>", "is a web page"),
        ("<html>", "is a web page"),
        ("Invalid username or password.", "is a text"),
        ("", "is empty"),
    ],
)
def test_what_downloads_leave_is_named(tmp_path, suffix, content, words):
    file = tmp_path / f"weights{suffix}"
    file.write_text(content, "utf-8")
    with pytest.raises(UserError, match=words) as error:
        read(file)
    assert str(error.value).startswith(str(file)) and "\n" not in str(error.value)
