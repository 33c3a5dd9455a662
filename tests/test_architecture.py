"""Who may import and include whom, what no file may do, and how long a file may be.

Each rule is a function from source text to sentences that name what is broken; each is tried on a small
planted violation too, so that it is known to fail.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 400

# ---- Python ---------------------------------------------------------------------------------------

BASE = {"_version", "_library"}
MAY_IMPORT: dict[str, set[str]] = {
    "_version": set(),
    "_library": {"_version", "_C", "_C_cuda"},
    "ops": BASE,
    "data": {"_version", "_io"},
    "graph": BASE | {"ops", "data.interactions"},
    "models": BASE | {"ops", "graph"},
    "evaluation": BASE | {"ops", "graph"},
    "training": BASE | {"ops", "data", "graph", "models", "evaluation"},
    "studies": BASE | {"ops", "data", "graph", "models", "evaluation", "training"},
    "streaming": BASE | {"ops", "data", "graph", "models", "evaluation"},
    "serving": BASE | {"ops", "data", "graph", "models", "evaluation"},
}
EVERYTHING = BASE | set(MAY_IMPORT) | {"ltgnn", "_io"}
MAY_IMPORT["cli"] = EVERYTHING  # and nobody imports cli: it is in no set
MAY_IMPORT["__init__"] = EVERYTHING - {"ltgnn"}
NO_TORCH = {"data", "_version"}


def imported_modules(
    module: str, tree: ast.AST, is_package: bool = False
) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of everything that a module imports; `from a import b` gives a.b."""
    parts = module.split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                base = parts[: len(parts) - node.level + is_package] + base
            for alias in node.names:
                yield node.lineno, ".".join([*base, alias.name])
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = (
                node.func.attr
                if isinstance(node.func, ast.Attribute)
                else getattr(node.func, "id", "")
            )
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def python_layer_problems(module: str, source: str, is_package: bool = False) -> list[str]:
    """Imports of `module` ("ltgnn.ops.topk") that the table above does not allow."""
    package = (module.split(".") + ["__init__"])[1]
    if package not in MAY_IMPORT:
        return [
            f"{module}: package {package!r} has no layer yet; give it one in {Path(__file__).name}"
        ]
    problems = []
    for line, name in imported_modules(module, ast.parse(source), is_package):
        parts = name.split(".")
        if package in NO_TORCH and parts[0] == "torch":
            problems.append(f"{module}:{line}: {package} imports no torch")
        if parts[0] != "ltgnn":
            continue
        # A plain attribute of the root package ("ltgnn.__version__") is an import of the root.
        target = (
            parts[1]
            if len(parts) > 1 and parts[1] in EVERYTHING | {"cli", "_C", "_C_cuda"}
            else "ltgnn"
        )
        allowed = MAY_IMPORT[package] | {package}
        if target not in allowed and ".".join(parts[1:3]) not in allowed:
            problems.append(f"{module}:{line}: {package} must not import {target}")
    return problems


def forbidden_python(source: str) -> list[str]:
    """Ways to run code that a file brought along: none of them belongs into the package."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] in ("pickle", "_pickle", "dill") for name in names):
                found.append(f"{node.lineno}: import pickle")
            if isinstance(node, ast.ImportFrom) and node.module == "torch":
                found += [
                    f"{node.lineno}: torch.{name}" for name in names if name in ("load", "save")
                ]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            text = f"{node.value.id}.{node.attr}"
            if text in ("torch.load", "torch.save", "yaml.load"):
                found.append(f"{node.lineno}: {text}")
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
                found.append(f"{node.lineno}: {node.func.id}(")
            for keyword in node.keywords:
                harmless = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg == "allow_pickle" and not harmless:
                    found.append(f"{node.lineno}: allow_pickle")
    return found


# ---- C++ ------------------------------------------------------------------------------------------

MAY_INCLUDE: dict[str, set[str]] = {
    "core": set(),
    "kernels": {"core"},
    "cpu": {"core", "kernels"},
    "cuda": {"core", "kernels", "emu"},  # emu: bugs.h alone
    "emu": {"core"},
    "ops": {"core", "kernels", "cpu", "cuda"},
    "library.cpp": {"core", "kernels", "cpu", "cuda", "ops"},
    "module.cpp": {"core", "kernels", "cpu", "cuda", "ops"},
    "io": set(),
}
TORCH_HEADER = re.compile(r"(torch|ATen|c10|caffe2)/")
CUDA_HEADER = re.compile(
    r"(cuda(_|\.h|/)|cusparse|cublas|curand|cooperative_groups|cub/|thrust/|nv/)"
)


def include_problems(path: str, source: str) -> list[str]:
    """Broken rules in one file; `path` is relative to csrc ("cpu/adam.h")."""
    layer = path.split("/")[0]
    if layer not in MAY_INCLUDE:
        return [
            f"csrc/{path}: folder {layer!r} has no layer yet; give it one in {Path(__file__).name}"
        ]
    problems = []
    for number, line in enumerate(source.splitlines(), 1):
        match = re.match(r"\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", line)
        if match is None:
            continue
        name, where = match[2], f"csrc/{path}:{number}"
        if match[1] == '"':
            target = name.split("/")[0] if "/" in name else layer
            if target != layer and target not in MAY_INCLUDE[layer]:
                problems.append(f"{where}: {layer} must not include {name}")
        elif TORCH_HEADER.match(name) and layer not in ("ops", "library.cpp"):
            problems.append(f"{where}: torch headers only in ops/ and library.cpp")
        elif CUDA_HEADER.match(name):
            if path.startswith("emu/include/"):
                continue  # stands in for CUDA's own headers
            if layer != "cuda":
                problems.append(f"{where}: CUDA headers only in cuda/")
            elif path.endswith(".h"):  # ops/ includes those
                problems.append(f"{where}: CUDA headers only in .cu and .cuh files")
    return problems


def length_problem(path: str, source: str) -> list[str]:
    lines = source.count("\n")
    return [f"{path}: {lines} lines, more than {MAX_LINES}"] if lines > MAX_LINES else []


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
    assert length_problem("a.py", "\n" * 400) == []
    assert length_problem("a.py", "\n" * 401) == ["a.py: 401 lines, more than 400"]
