"""The CUDA half as it was built: which operators have kernels, and what is said where there is no GPU.

Most of it needs ltgnn built for CUDA but no GPU: `.ci/run` builds that and runs this file.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ops.op_cases import CASES
from ops.op_inputs import Setting

import ltgnn
from ltgnn import _library
from ltgnn.cli import main
from ltgnn.cli.doctor import runs_on

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = (ROOT / "csrc/library.cpp").read_text()
BUILT = _library.BINARIES[1].problem is None
built_for_cuda = pytest.mark.skipif(
    not BUILT, reason=f"needs ltgnn built for CUDA: {_library.BINARIES[1].problem}"
)
WITHOUT_TENSORS = {"cusparse_plan_free"}  # they are on no device


def declared() -> list[str]:
    """The operators of csrc/library.cpp."""
    return re.findall(r'm\.def\(\s*"(\w+)\(', SCHEMAS)


def on_cuda_key(operator: str, **arguments: object) -> object:
    """What the dispatcher calls for tensors on a GPU, called with the tensors at hand."""
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
    return getattr(torch.ops.ltgnn, operator).default.redispatch(keys, **arguments)


def test_every_declared_operator_is_there():
    assert declared() and sorted(declared()) == _library.operators()


@built_for_cuda
def test_every_operator_has_a_cuda_kernel():
    assert set(declared()) - _library.CUDA_KERNELS == set()


@pytest.mark.skipif(BUILT, reason="ltgnn is built for CUDA")
def test_without_the_cuda_build_no_operator_has_one():
    assert frozenset() == _library.CUDA_KERNELS


@pytest.mark.parametrize("operator", sorted({*_library.operators()} - WITHOUT_TENSORS))
def test_an_operator_without_a_cuda_kernel_says_why(operator):
    """Every operator has something registered for CUDA: its kernel, or a refusal with a reason."""
    assert _library.has_kernel(operator, "CUDA")
    if operator in _library.CUDA_KERNELS:
        return
    with pytest.raises(
        NotImplementedError, match=rf"^{operator}: its tensors are on a GPU, but .+"
    ):
        on_cuda_key(operator, **_arguments(operator))


@built_for_cuda
@pytest.mark.parametrize("operator", sorted(_library.CUDA_KERNELS - WITHOUT_TENSORS))
def test_a_cuda_kernel_refuses_memory_of_the_cpu(operator):
    """Only forced dispatch gets here; it must not end in a crash of the process."""
    with pytest.raises(ValueError, match=r"its tensors must be on a CUDA device, got cpu"):
        on_cuda_key(operator, **_arguments(operator))


def _arguments(operator: str) -> dict[str, object]:
    """Sound arguments on the CPU."""
    if operator == "cusparse_plan":  # makes state, so no case
        indptr, indices = torch.tensor([0, 1, 2]), torch.tensor([1, 0])
        return {"indptr": indptr, "indices": indices, "weight": torch.ones(2), "num_cols": 2}
    case = next(case for case in CASES if case.name == operator)
    return case.inputs(Setting())


@built_for_cuda
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_driver_everything_imports_and_cpu_tensors_work(tmp_path):
    program = """
import torch, ltgnn, ltgnn._C_cuda
assert not torch.cuda.is_available()
graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0, 1], [0, 1, 1])
assert ltgnn.ops.propagate(graph, torch.ones(4, 2)).isfinite().all()
print(ltgnn._C_cuda.version())
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ltgnn.__version__


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_graph_moved_to_a_missing_gpu_is_torchs_error():
    with pytest.raises((RuntimeError, AssertionError), match=r"NVIDIA|CUDA"):
        torch.ones(2).to("cuda")


def test_cusparse_on_the_cpu_says_what_it_needs():
    graph = ltgnn.graph.BipartiteGraph.from_edges([0, 1], [0, 1])
    with pytest.raises(ValueError, match="backend='cusparse' needs x on a CUDA device, got cpu"):
        ltgnn.ops.propagate(graph, torch.ones(4, 2), backend="cusparse")


def test_tensors_on_several_devices_are_refused():
    graph = ltgnn.graph.BipartiteGraph.from_edges([0, 1], [0, 1])
    with pytest.raises(ValueError, match="must be on the same device, got cpu and meta"):
        ltgnn.ops.propagate(graph, torch.ones(4, 2, device="meta"))


def test_doctor_tells_of_cuda(capsys):
    assert main(["doctor"]) == 0
    lines = dict(re.split(r"\s{2,}", line, maxsplit=1)
                 for line in capsys.readouterr().out.splitlines())  # fmt: skip
    total = len(_library.operators())
    if BUILT:
        assert lines["ltgnn._C_cuda"].endswith(".so")
        assert re.fullmatch(r"yes: torch has CUDA [\d.]+, nvcc is .+", lines["cuda build"])
        assert re.search(r"\d\.\d", lines["cuda architectures"])
        assert re.search(r"libcusparse\.so", lines["cusparse"])
        assert lines["cuda operators"].startswith(f"{len(_library.CUDA_KERNELS)} of {total}")
    else:
        assert lines["ltgnn._C_cuda"].startswith("not loaded: ")
        assert lines["cuda operators"] == f"0 of {total} operators"
    if not torch.cuda.is_available():
        assert lines["cuda"].startswith("not used: ")


@pytest.mark.parametrize(
    ("capability", "architectures", "expected"),
    [
        ((8, 0), "8.0;9.0+PTX", True),
        ((8, 6), "8.0;9.0+PTX", True),
        ((9, 0), "8.0 9.0", True),
        ((10, 0), "8.0;9.0+PTX", True),
        ((10, 0), "8.0;9.0", False),
        ((7, 5), "8.0;9.0+PTX", False),
        ((9, 0), "9.0a", True),
        ((9, 0), "Hopper", True),
    ],
)
def test_which_gpus_a_build_runs_on(capability, architectures, expected):
    assert runs_on(capability, architectures) is expected
