"""What goes into a source archive and a wheel, which torch a build takes, and what a stale build leaves behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from build_tools import torch_finder
from ltgnn import _library

ROOT = Path(__file__).resolve().parents[1]
NOT_SOURCE = shutil.ignore_patterns(
    "build", "dist", ".git", "*.so", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", "runs"
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the source: setuptools writes into the folder that it works in."""
    return shutil.copytree(
        ROOT, tmp_path_factory.mktemp("tree") / "ltgnn source", ignore=NOT_SOURCE
    )


def setup(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", *arguments], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "LTGNN_CUDA": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_source_archive_holds_what_a_build_reads(tree, tmp_path):
    setup(tree, "sdist", "-d", str(tmp_path))
    (path,) = tmp_path.iterdir()
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = [
        path.relative_to(tree).as_posix()
        for folder in ("build_tools", "csrc", "ltgnn", "tests", "benchmarks")
        for path in (tree / folder).rglob("*")
        if path.is_file() and path.name != "_build_info.json"
    ]
    assert len(wanted) > 300 and not set(wanted) - held
    assert {"setup.py", "pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE"} <= held


def test_what_an_earlier_build_left_is_not_shipped(tree, tmp_path):
    library = f"lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    stale = tree / "build" / library / "ltgnn"
    stale.mkdir(parents=True)
    for name in ("_C_cuda.abi3.so", "removed_module.py"):
        (stale / name).touch()
    setup(tree, "bdist_wheel", "--skip-build", "-d", str(tmp_path / "before"))
    setup(tree, "build_py", "bdist_wheel", "--skip-build", "-d", str(tmp_path / "after"))
    names = {}
    for when in ("before", "after"):
        (path,) = (tmp_path / when).iterdir()
        names[when] = set(zipfile.ZipFile(path).namelist())
    assert "ltgnn/removed_module.py" in names["before"]  # else the second half says nothing
    assert not {"ltgnn/removed_module.py", "ltgnn/_C_cuda.abi3.so"} & names["after"]
    assert "ltgnn/__init__.py" in names["after"]


def test_torch_is_looked_for_where_the_interpreter_looks(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_finder.site, "getusersitepackages", lambda: "/user")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    own = {sysconfig.get_path(key) for key in ("purelib", "platlib")}
    config = tmp_path / "pyvenv.cfg"
    for value, seen in (("false", False), ("true", True)):
        config.write_text(f"home = /x\ninclude-system-site-packages = {value}\nversion = 3.12\n")
        folders = torch_finder.package_folders()
        assert set(folders[: len(own)]) == own
        assert ("/user" in folders) == seen
        assert any(f.startswith(sys.base_prefix) for f in folders if f not in own) == seen
    config.write_text("home = /x\n")  # says nothing of it, as some tools' do
    assert set(torch_finder.package_folders()) == own
    config.unlink()  # no virtual environment
    assert torch_finder.package_folders()[-1] == "/user"


def test_a_library_of_another_version_is_no_library(monkeypatch):
    """Its kernels are registered once it is loaded: going on without it is not to be had."""

    class Other:
        __file__ = "/x/_C_cuda.so"

        @staticmethod
        def version():
            return "0.0.9"

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(_library.importlib, "import_module", lambda name: Other)
    with pytest.raises(ImportError, match="_C_cuda.so was built from ltgnn 0.0.9"):
        _library._load_cuda()
