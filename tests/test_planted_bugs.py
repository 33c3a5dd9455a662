"""The planted bugs of the emulation: one list, used in the kernels, shown in the docs. CTest runs them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EMU = ROOT / "csrc" / "emu"
LINE = re.compile(r"(\w+) (\w+) (any|thread|address) (\S+) # (.+)")


def bugs() -> list[tuple[str, ...]]:
    """(name, test program, build, words, what is wrong) of every line of bugs.txt."""
    lines = [line for line in (EMU / "bugs.txt").read_text().splitlines() if line[:1] != "#"]
    matches = [(line, LINE.fullmatch(line)) for line in lines]
    assert [line for line, match in matches if match is None] == []
    return [match.groups() for _, match in matches if match is not None]


def table() -> str:
    """The table of csrc/emu/README.md."""
    finds = {
        "any": "the results, under any build",
        "thread": "ThreadSanitizer",
        "address": "AddressSanitizer",
    }
    rows = ["| bug | what is wrong | test | found by |", "| --- | --- | --- | --- |"]
    for name, program, build, words, what in bugs():
        by = finds[build]
        if "divergent" in words or "deadlock" in words:
            by = "the emulation: " + ("deadlock" if "deadlock" in words else "divergent collective")
        rows.append(f"| `{name}` | {what} | `{program}` | {by} |")
    return "\n".join(rows) + "\n"


def test_both_lists_agree() -> None:
    declared = re.findall(r"  X\((\w+)\)", (EMU / "bugs.h").read_text())
    assert len(declared) >= 12
    assert sorted(declared) == sorted(name for name, *_ in bugs())


def test_every_bug_is_in_the_code_and_has_its_test() -> None:
    folders = (ROOT / "csrc", ROOT / "tests" / "cpp")
    code = "".join(
        path.read_text() for folder in folders for path in folder.rglob("*")
        if path.suffix in (".cu", ".cuh", ".h", ".cpp") and path.name != "bugs.h"
    )  # fmt: skip
    for name, program, *_ in bugs():
        assert f"LTGNN_PLANTED({name})" in code
        assert (ROOT / "tests" / "cpp" / f"{program}.cpp").exists()


def test_the_documentation_shows_them() -> None:
    assert table() in (EMU / "README.md").read_text()
