"""How the build finds CUDA (build_tools/cuda.py), with a stand-in for nvcc."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from build_tools import cuda


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch):
    """No toolkit but the one that a test makes."""
    monkeypatch.setattr(cuda, "wheel_folders", lambda: [])
    for name in ("CUDA_HOME", "CUDA_PATH", "TORCH_CUDA_ARCH_LIST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    cuda.find_toolkit.cache_clear()
    yield
    cuda.find_toolkit.cache_clear()


def make_nvcc(folder: Path, version: str = "13.0.88", top: Path | None = None) -> Path:
    """A program that answers as nvcc does, and says that it lives in `top`."""
    path = folder / "bin" / "nvcc"
    path.parent.mkdir(parents=True)
    release = version.rpartition(".")[0]
    path.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"if '--version' in sys.argv: print('release {release}, V{version}')\n"
        f"else: print('#$ TOP={top or folder}', file=sys.stderr)\n"
    )
    path.chmod(0o755)
    return path


def test_no_nvcc():
    assert cuda.find_toolkit() is None


def test_cuda_home_comes_first(tmp_path, monkeypatch):
    make_nvcc(tmp_path / "a", "13.1.1")
    on_path = make_nvcc(tmp_path / "b", "13.0.88")
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert cuda.find_toolkit() == cuda.Toolkit(tmp_path / "b", "13.0.88")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "a"))
    cuda.find_toolkit.cache_clear()
    assert cuda.find_toolkit() == cuda.Toolkit(tmp_path / "a", "13.1.1")


def test_a_script_on_the_path_is_asked_where_nvcc_lives(tmp_path, monkeypatch):
    script = make_nvcc(tmp_path / "usr", top=tmp_path / "real" / "bin" / "..")
    monkeypatch.setenv("PATH", str(script.parent))
    assert cuda.find_toolkit() == cuda.Toolkit(tmp_path / "real", "13.0.88")


def test_nvcc_from_pypi_comes_last(tmp_path, monkeypatch):
    make_nvcc(tmp_path / "nvidia" / "cu13")
    monkeypatch.setattr(cuda, "wheel_folders", lambda: [tmp_path / "nvidia" / "cu13"])
    assert cuda.find_toolkit() == cuda.Toolkit(tmp_path / "nvidia" / "cu13", "13.0.88")


def test_wheels_of_an_earlier_torch_are_passed_over():
    left = ["cu12", "cu13", "cuda_runtime", "cusparse"]
    folders = [Path("site/nvidia", name) for name in left]
    assert [f.name for f in cuda.of_major(folders, "13")] == ["cu13"]
    assert [f.name for f in cuda.of_major(folders[1:], "12")] == ["cuda_runtime", "cusparse"]


def test_headers_and_libraries_come_from_wheels_where_the_toolkit_lacks_them(tmp_path, monkeypatch):
    wheel = tmp_path / "nvidia" / "cu13"
    for name in ("include/cusparse.h", "include/cuda_runtime.h", "lib/libcusparse.so.12"):
        (wheel / name).parent.mkdir(parents=True, exist_ok=True)
        (wheel / name).touch()
    monkeypatch.setattr(cuda, "wheel_folders", lambda: [wheel])
    toolkit = cuda.Toolkit(tmp_path / "toolkit", "13.0.88")
    (headers,) = cuda.library_headers(toolkit, tmp_path / "scratch")
    (libraries,) = cuda.linkable_libraries(tmp_path / "scratch")
    assert [path.name for path in Path(headers).iterdir()] == ["cusparse.h"]
    assert (Path(libraries) / "libcusparse.so").resolve() == wheel / "lib/libcusparse.so.12"
    (toolkit.home / "include").mkdir(parents=True)
    (toolkit.home / "include/cusparse.h").touch()
    assert cuda.library_headers(toolkit, tmp_path / "scratch") == []


@pytest.mark.parametrize(
    ("torch_cuda", "toolkit", "problem"),
    [
        (None, None, "torch 2.13 has no CUDA"),
        ("13.0", None, "nvcc was not found"),
        ("13.0", cuda.Toolkit(Path("/x"), "12.8.1"), "nvcc is of CUDA 12.8.1, but torch was built"),
        ("13.0", cuda.Toolkit(Path("/x"), "13.2.1"), None),
    ],
)
def test_problems(torch_cuda, toolkit, problem):
    found = cuda._problem("2.13", torch_cuda, toolkit)
    assert found is None if problem is None else str(found).startswith(problem)


def test_wishes(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="LTGNN_CUDA must be auto, 1 or 0, got 'yes'"):
        cuda.plan_cuda("yes", tmp_path)
    assert cuda.plan_cuda("0", tmp_path) == cuda.CudaPlan(False, "LTGNN_CUDA=0")
    monkeypatch.setattr(torch.version, "cuda", None)
    assert not cuda.plan_cuda("auto", tmp_path).build
    with pytest.raises(RuntimeError, match="LTGNN_CUDA=1, but torch .+ has no CUDA"):
        cuda.plan_cuda("1", tmp_path)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(RuntimeError, match="LTGNN_CUDA=1, but nvcc was not found"):
        cuda.plan_cuda("1", tmp_path)


def test_a_plan(tmp_path, monkeypatch):
    import torch.utils.cpp_extension as extension

    make_nvcc(tmp_path)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setattr(extension, "CUDA_HOME", None)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "9.0")
    plan = cuda.plan_cuda("auto", tmp_path / "scratch")
    assert plan.build and plan.nvcc == "13.0.88"
    assert plan.reason == f"torch has CUDA 13.0, nvcc is 13.0.88 in {tmp_path}"
    assert str(tmp_path) == extension.CUDA_HOME
