"""csrc/sources.txt is the one list of compiled files: complete, without doubles, and what both builds read."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMPILED = (".cpp", ".cu")
CMAKE_GROUPS = {
    "cpu", "cuda", "emu", "emu_ops", "library", "module", "ops", "ops_cuda", "test",
    "test_count", "test_emu", "test_isa",
}  # fmt: skip


def entries(text: str) -> list[tuple[str, str]]:
    """The (group, path) pairs of a source list."""
    lines = (line.split("#", 1)[0].split() for line in text.splitlines())
    return [(words[0], words[1]) for words in lines if words]


def list_problems(listed: list[str], existing: set[str]) -> list[str]:
    """What is wrong with a list of files, beside those that exist."""
    problems = [
        f"listed {count} times: {path}" for path, count in Counter(listed).items() if count > 1
    ]
    problems += [f"listed, but missing: {path}" for path in sorted(set(listed) - existing)]
    problems += [f"not listed: {path}" for path in sorted(existing - set(listed))]
    return problems


def setup_groups(source: str) -> set[str]:
    """The groups that setup.py names: in its *_GROUPS and in calls of sources()."""
    groups: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        named: list[ast.expr] = []
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id.endswith("_GROUPS"):
                named = [node.value]
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "sources"
        ):
            named = list(node.args)
        for expression in named:
            groups |= {
                str(part.value)
                for part in ast.walk(expression)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            }
    return groups


def file_names(text: str) -> list[str]:
    """Names of compiled files that a build script spells out, and globs: it should have none."""
    return re.findall(r"[\w./*]+\.(?:cpp|cu)\b|GLOB\w*|\bglob\(", text)


SOURCES = entries((ROOT / "csrc/sources.txt").read_text())
SETUP = (ROOT / "setup.py").read_text()
CMAKE = (ROOT / "CMakeLists.txt").read_text()


def test_every_compiled_file_is_listed_once() -> None:
    found = [path for path in (ROOT / "csrc").rglob("*") if path.suffix in COMPILED]
    found += (ROOT / "tests/cpp").glob("*.cpp")
    existing = {path.relative_to(ROOT).as_posix() for path in found}
    assert list_problems([path for _, path in SOURCES], existing) == []


def test_list_problems_finds_each_kind() -> None:
    assert list_problems(["a", "b"], {"a", "b"}) == []
    assert list_problems(["a", "b", "a"], {"a", "c"}) == [
        "listed 2 times: a",
        "listed, but missing: b",
        "not listed: c",
    ]


def test_every_group_is_built() -> None:
    in_cmake = set(re.findall(r"^\s*ltgnn_sources\((\w+) ", CMAKE, re.MULTILINE))
    assert in_cmake == CMAKE_GROUPS
    assert setup_groups(SETUP) | in_cmake == {group for group, _ in SOURCES}


def test_setup_groups_reads_both_forms() -> None:
    assert setup_groups('X_GROUPS = ("a", "b")\nf("c", sources("d"), g="e")') == {"a", "b", "d"}


@pytest.mark.parametrize("text", [SETUP, CMAKE], ids=["setup.py", "CMakeLists.txt"])
def test_build_scripts_name_no_files(text: str) -> None:
    assert file_names(text) == []


def test_file_names_finds_files_and_globs() -> None:
    assert file_names("add(csrc/a.cpp b.cu) file(GLOB_RECURSE x csrc/*.h) Path().glob('*')") == [
        "csrc/a.cpp",
        "b.cu",
        "GLOB_RECURSE",
        "glob(",
    ]


def test_setup_reads_the_list() -> None:
    path = ROOT / "build_tools/sources.py"
    spec = importlib.util.spec_from_file_location("ltgnn_build_sources", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for group in {group for group, _ in SOURCES}:
        assert module.sources(group) == [path for other, path in SOURCES if other == group]


@pytest.mark.skipif(
    shutil.which("cmake") is None or shutil.which("c++") is None,
    reason="needs cmake and a C++ compiler",
)
def test_cmake_compiles_the_list(tmp_path: Path) -> None:
    command = ["cmake", "-S", str(ROOT), "-B", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    commands = json.loads((tmp_path / "compile_commands.json").read_text())
    compiled = {Path(command["file"]).relative_to(ROOT).as_posix() for command in commands}
    without_torch = CMAKE_GROUPS - {"emu_ops", "library", "module", "ops", "ops_cuda"}
    expected = {path for group, path in SOURCES if group in without_torch}
    assert compiled == expected
