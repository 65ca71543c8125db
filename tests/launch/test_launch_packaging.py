"""The package as it is installed: setup.cfg against the folders on disk, and the wheel itself."""

import configparser
import fnmatch
import importlib.metadata
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.launch.helpers import ROOT

FOLDERS = {"trm_jax": "trm_jax", "trm_jax.experiments": "experiments", "trm_jax.launch": "launch"}
"""Where each part of the package lies in a clone."""
METADATA = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")
SETUPTOOLS = 77


@pytest.fixture(scope="module")
def settings():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def files_on_disk():
    """The package's files by the path that they have where it is installed."""
    found = {}
    for package, folder in FOLDERS.items():
        top = Path(*package.split("."))
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                found[(top / path.relative_to(ROOT / folder)).as_posix()] = path
    return found


def packages_on_disk():
    return {name.rpartition("/")[0].replace("/", ".") for name in files_on_disk() if is_code(name)}


def is_code(name):
    return name.endswith(".py")


def test_setup_cfg_lists_every_package_that_is_there(settings):
    assert set(settings["options"]["packages"].split()) == packages_on_disk()


def test_setup_cfg_maps_the_folders_that_lie_outside(settings):
    lines = settings["options"]["package_dir"].strip().splitlines()
    mapped = dict(line.split(" = ") for line in lines)
    assert {"trm_jax": "trm_jax", **mapped} == FOLDERS


def test_setup_cfg_takes_every_file_that_is_no_code(settings):
    patterns = [
        f"{package.replace('.', '/')}/{pattern.strip()}"
        for package, line in settings["options.package_data"].items()
        for pattern in line.split(",")
    ]
    for name in files_on_disk():
        assert is_code(name) or any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name


def build(folder):
    """A wheel of this tree, built from a copy: setuptools leaves its work beside what it reads."""
    source = folder / "source"
    for name in FOLDERS.values():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in METADATA:
        shutil.copy(ROOT / name, source / name)
    here = int(importlib.metadata.version("setuptools").split(".")[0]) >= SETUPTOOLS
    isolation = ["--no-build-isolation"] if here else []
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *isolation]
    done = subprocess.run(
        [*command, f"--wheel-dir={folder}", str(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.mark.slow
def test_the_wheel_holds_every_file_and_both_commands(tmp_path):
    with zipfile.ZipFile(build(tmp_path)) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (commands,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
        told = wheel.read(commands).decode()
    assert names == set(files_on_disk())
    for name in ("experiments/sudoku.py", "launch/jobs/sky.yaml", "launch/scripts/worker.sh"):
        assert f"trm_jax/{name}" in names
    assert "trm_jax/show/assets/trace.js" in names
    assert "trm =" in told and "trm-launch =" in told
