"""Who may import and include whom, what no file may do, and how long a file may be.

Each rule is a function from source text to sentences that name what is broken.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

MAX_LINES = 300

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
