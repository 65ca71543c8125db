"""A file is written whole, or one sentence says why not."""

import pytest
from etils import epath

from trm_jax.core.errors import UserError
from trm_jax.core.files import write_whole


def test_text_and_bytes(tmp_path):
    for content in ("käse\n", b"\x00\xff"):
        path = epath.Path(tmp_path / "a" / "b")
        write_whole(path, content)
        found = path.read_text() if isinstance(content, str) else path.read_bytes()
        assert found == content
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


@pytest.mark.parametrize("name", ["file/x", "folder", "/proc/trm/x"])
def test_where_nothing_can_be_written_the_path_is_named(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "full").mkdir(parents=True)
    path = tmp_path / name
    with pytest.raises(UserError, match=rf"{path} cannot be written \(.*\); give another place"):
        write_whole(epath.Path(path), "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
