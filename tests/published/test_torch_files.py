"""Files of named arrays: every format, every prefix, and what is refused."""

import pickle

import numpy as np
import pytest

from tests.published.arrays import FILE, TORCH, arrays_of, assert_same, model_of, saved
from trm_jax.core.errors import UserError
from trm_jax.published import torch_files
from trm_jax.published.torch_files import PREFIXES, read, write


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


def test_names_without_a_suffix_and_wrapped_state_dicts(tmp_path):
    torch = pytest.importorskip("torch", reason=TORCH)
    tensors = {"inner.a": torch.arange(6.0).reshape(2, 3).T, "inner.b": torch.zeros(())}
    for content in (tensors, {"model": tensors}, {"state_dict": tensors}):
        torch.save(content, tmp_path / "step_12")
        found = read(tmp_path / "step_12")
        np.testing.assert_array_equal(found["a"], [[0, 3], [1, 4], [2, 5]])
        assert found["b"].shape == ()


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
    torch = pytest.importorskip("torch", reason=TORCH)
    trace, file = tmp_path / "trace", tmp_path / f"evil{suffix}"
    if suffix == ".npz":
        with file.open("wb") as stream:
            np.savez(stream, a=np.asarray([Evil(trace)], object))
    else:
        torch.save({"inner.a": Evil(trace)}, file)
    with pytest.raises(UserError, match="more than weights|cannot be read"):
        read(file)
    assert not trace.exists()


def test_an_old_plain_pickle_is_refused_and_not_run(tmp_path):
    pytest.importorskip("torch", reason=TORCH)
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Evil(tmp_path / "trace")))
    with pytest.raises(UserError, match="more than weights"):
        read(tmp_path / "a.pt")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("content", [[1, 2], {"inner.a": 3}, {}])
def test_files_of_something_else(tmp_path, content):
    torch = pytest.importorskip("torch", reason=TORCH)
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(UserError, match="a.pt holds"):
        read(tmp_path / "a.pt")


@pytest.mark.parametrize("suffix", [".pt", ".npz", ".safetensors"])
def test_damaged_and_missing_files(tmp_path, suffix):
    if suffix == ".pt":
        pytest.importorskip("torch", reason=TORCH)
    file = saved(tmp_path / f"a{suffix}", {"a": np.ones(1000, np.float32)})
    file.write_bytes(file.read_bytes()[:1500])
    with pytest.raises(UserError, match=r"a\..* cannot be read as"):
        read(file)
    with pytest.raises(UserError, match="is no file"):
        read(tmp_path / f"b{suffix}")


def test_without_torch_the_extra_is_named(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    (tmp_path / "a.pt").touch()
    monkeypatch.setattr(torch_files.importlib, "import_module", missing)
    with pytest.raises(UserError, match=r"pip install 'trm-jax\[torch\]'"):
        read(tmp_path / "a.pt")


def test_prefixes_unknown_and_mixed(tmp_path):
    np.savez(tmp_path / FILE, **{"encoder.a": np.zeros(1)})
    with pytest.raises(UserError, match=r"'encoder\.a', which starts with none"):
        read(tmp_path / FILE)
    np.savez(tmp_path / FILE, **{"inner.a": np.zeros(1), "model.inner.b": np.zeros(1)})
    with pytest.raises(UserError, match=r"'model\.inner\.b' beside names that start with 'inner"):
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
    with pytest.raises(UserError, match="exists already"):
        write(tmp_path / "a.npz", {}, "inner.")
    assert (tmp_path / "a.npz").read_text() == "mine"
