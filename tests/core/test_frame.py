"""What goes wrong around a command is one sentence, or silence."""

import errno
import io
import os
import subprocess
import sys

import jax
import pytest

from tests import runs
from trm_jax.core.errors import NonFiniteLossError, UserError
from trm_jax.core.frame import framed, trouble, use_plain_characters
from trm_jax.core.wording import counted, percent


def raising(error):
    def work():
        raise error

    return work


def disk(number, name=None):
    return OSError(number, os.strerror(number), name)


def wrapped(error):
    try:
        raise ValueError("Orbax says something") from error
    except ValueError as outer:
        return outer


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("a."), 2, "trm: a.\n"),
        (NonFiniteLossError("b."), 3, "trm: b.\n"),
        (KeyboardInterrupt(), 130, "trm: stopped.\n"),
        (wrapped(KeyboardInterrupt()), 130, "trm: stopped.\n"),
        (BrokenPipeError(), 141, ""),
        (disk(errno.ENOSPC, "/x"), 2, "trm: /x cannot be written (No space left on device)"),
        (disk(errno.EROFS, "/x"), 2, "change its permissions"),
        (disk(errno.EFBIG), 2, "the output cannot be written (File too large)"),
        (wrapped(disk(errno.ENOSPC)), 2, "No space left on device"),
        (
            ValueError("RESOURCE_EXHAUSTED: ... No space left on device"),
            2,
            "the disk cannot be written",
        ),
        (MemoryError("std::bad_alloc"), 2, "config.batch_size"),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"), 2, "config.accumulate"),
    ],
)
def test_each_trouble_has_its_code_and_one_sentence(capsys, error, code, said):
    assert framed(raising(error)) == code
    out, err = capsys.readouterr()
    assert not out and said in err and err.count("\n") == bool(err)


def test_our_own_faults_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        framed(raising(ZeroDivisionError()))
    assert trouble(ZeroDivisionError()) is None


def test_a_terminal_without_the_characters_gets_others_as_wide(monkeypatch):
    for encoding in ("ascii", "cp1252"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr("sys.stdout", stream)
        use_plain_characters()
        print("┌─┬┐│█✓日")
        stream.flush()
        assert stream.buffer.getvalue() == b"+-++|#v?\n"


def test_a_mean_over_nothing_is_a_dash():
    assert percent(float("nan")) == "     -" and percent(0.125) == " 12.5%"


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
def test_full_and_closed_outputs():
    def trm(redirection):
        command = f"{sys.executable} -m trm_jax --help {redirection}"
        shell = ["bash", "-c", command]
        return subprocess.run(
            shell, cwd=runs.ROOT, env=runs.environment(), capture_output=True, text=True
        )

    full = trm("> /dev/full")
    assert full.returncode == 2 and full.stderr.count("\n") == 1 and "No space" in full.stderr
    assert not trm("| true").stderr


def test_version(capsys):
    from trm_jax.cli import main

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("trm ")


@pytest.mark.parametrize(
    ("number", "name", "words"),
    [(1, "pass", "1 pass"), (0, "pass", "0 passes"), (1024, "chain", "1,024 chains")],
)
def test_numbers_with_what_they_count(number, name, words):
    assert counted(number, name) == words
