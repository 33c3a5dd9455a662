"""Each rule of architecture_rules.py: kept by the project, and seen to fail on a small planted violation."""

from __future__ import annotations

from pathlib import Path

import pytest
from architecture_rules import (
    forbidden_python,
    include_problems,
    length_problem,
    python_layer_problems,
)

ROOT = Path(__file__).resolve().parents[1]

# ---- the project ----------------------------------------------------------------------------------


def files(folders: tuple[str, ...], suffixes: tuple[str, ...]) -> list[Path]:
    """The project's files; what builds and tools leave behind is in other folders."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    return sorted(
        path for path in found if path.suffix in suffixes and "__pycache__" not in path.parts
    )


PACKAGE = files(("ltgnn",), (".py",))
NATIVE = files(("csrc",), (".h", ".cpp", ".cu", ".cuh"))


def test_python_layers() -> None:
    problems = []
    for path in PACKAGE:
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        problems += python_layer_problems(module, path.read_text(), is_package)
    assert PACKAGE and problems == []


def test_nothing_forbidden() -> None:
    problems = [
        f"{path.relative_to(ROOT)}:{text}"
        for path in PACKAGE
        for text in forbidden_python(path.read_text())
    ]
    assert problems == []


def test_includes() -> None:
    problems = []
    for path in NATIVE:
        problems += include_problems(path.relative_to(ROOT / "csrc").as_posix(), path.read_text())
    assert NATIVE and problems == []


def test_lengths() -> None:
    folders = ("csrc", "ltgnn", "tests", "benchmarks", "build_tools", "examples", ".ci")
    problems = []
    for path in [*files(folders, (".py", ".h", ".cpp", ".cu", ".cuh")), ROOT / "setup.py"]:
        problems += length_problem(str(path.relative_to(ROOT)), path.read_text())
    assert problems == []


# ---- planted violations ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "source", "broken"),
    [
        ("ltgnn.ops.topk", "from ltgnn.graph import BipartiteGraph", "ops must not import graph"),
        ("ltgnn.ops.topk", "from ..graph import bipartite", "ops must not import graph"),
        ("ltgnn.ops.topk", "def f():\n    import ltgnn.models", "ops must not import models"),
        ("ltgnn.ops.topk", "importlib.import_module('ltgnn._C')", "ops must not import _C"),
        ("ltgnn.data.reading", "from ltgnn import ops", "data must not import ops"),
        ("ltgnn.data.reading", "import torch.nn", "data imports no torch"),
        ("ltgnn.graph.bipartite", "from ltgnn.data import reading", "graph must not import data"),
        ("ltgnn.evaluation.metrics", "from ltgnn.models import create", "must not import models"),
        ("ltgnn.models.mf", "from ltgnn.evaluation import evaluate", "must not import evaluation"),
        ("ltgnn.models.mf", "from ltgnn import training", "models must not import training"),
        ("ltgnn.models.mf", "from ltgnn import __version__", "models must not import ltgnn"),
        (
            "ltgnn.serving.server",
            "import ltgnn.training.trainer",
            "serving must not import training",
        ),
        (
            "ltgnn.training.trainer",
            "from ltgnn.cli.main import main",
            "training must not import cli",
        ),
        ("ltgnn", "from ltgnn import cli", "__init__ must not import cli"),
        ("ltgnn.novel.thing", "", "has no layer yet"),
    ],
)
def test_python_layers_can_fail(module: str, source: str, broken: str) -> None:
    problems = python_layer_problems(module, source)
    assert len(problems) == 1 and broken in problems[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "ltgnn.ops.topk",
            "import torch\nfrom ltgnn.ops.csr import Csr\nfrom ltgnn import _library",
        ),
        ("ltgnn.graph.bipartite", "from ltgnn.data.interactions import Interactions"),
        ("ltgnn.data._native", "from ltgnn import _io\nimport numpy"),
        ("ltgnn.cli.doctor", "from ltgnn import __version__, _library, training"),
    ],
)
def test_python_layers_allow(module: str, source: str) -> None:
    assert python_layer_problems(module, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "torch.load(path)",
        "torch.save(x, path)",
        "from torch import load",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "eval(text)",
    ],
)
def test_forbidden_python_can_fail(source: str) -> None:
    assert len(forbidden_python(source)) == 1


def test_forbidden_python_allows() -> None:
    assert forbidden_python("model.eval()\nnp.load(p, allow_pickle=False)\nyaml.safe_load(t)") == []


@pytest.mark.parametrize(
    ("path", "source", "broken"),
    [
        ("core/csr.h", '#include "kernels/adam.h"', "core must not include"),
        ("kernels/adam.h", '#include "cpu/adam.h"', "kernels must not include"),
        ("cpu/adam.h", '#include "cuda/kernels.h"', "cpu must not include"),
        ("cuda/adam.cu", '#include "ops/checks.h"', "cuda must not include"),
        ("io/module.cpp", '#include "core/csr.h"', "io must not include"),
        ("kernels/adam.h", "#include <torch/csrc/stable/tensor.h>", "torch headers only"),
        ("io/module.cpp", "  #  include <ATen/ATen.h>", "torch headers only"),
        ("module.cpp", "#include <torch/csrc/stable/library.h>", "torch headers only"),
        ("ops/adam.cpp", "#include <cuda_runtime.h>", "CUDA headers only in cuda/"),
        ("cuda/kernels.h", "#include <cusparse.h>", "only in .cu and .cuh"),
        ("novel/thing.h", "", "has no layer yet"),
    ],
)
def test_includes_can_fail(path: str, source: str, broken: str) -> None:
    problems = include_problems(path, source)
    assert len(problems) == 1 and broken in problems[0]


def test_includes_allow() -> None:
    assert include_problems("ops/adam.cpp", '#include <torch/x.h>\n#include "cuda/kernels.h"') == []
    assert (
        include_problems("cuda/adam.cu", '#include <cuda_runtime.h>\n#include "kernels/a.h"') == []
    )
    assert include_problems("io/module.cpp", '#include "delimited.h"\n#include <vector>') == []


def test_lengths_can_fail() -> None:
    assert length_problem("a.py", "\n" * 300) == []
    assert length_problem("a.py", "\n" * 301) == ["a.py: 301 lines, more than 300"]
