"""The gate on instruction counts: what it compares, what it says, and that it finds a planted slowdown."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from build_tools import instruction_counts as counts

needs_valgrind = pytest.mark.skipif(
    shutil.which("valgrind") is None or shutil.which("g++") is None,
    reason="needs valgrind and g++",
)

# A program with count_kernels' ways: EXTRA rounds of work in the counted function, and set-up outside of it.
PROGRAM = r"""
#include <cstdio>
volatile long sink;
extern "C" __attribute__((noinline)) void counted(long rounds) {
  for (long i = 0; i < rounds; ++i) sink = sink + i;
}
int main(int argc, char** argv) {
  if (argc < 2) { std::puts("avx2\nkernel"); return 0; }
  for (long i = 0; i < SETUP; ++i) sink = sink + i;
  counted(1000 + EXTRA);
  return EXIT;
}
"""


def test_within_the_margin_is_good() -> None:
    assert counts.compare({"a": 1000, "b": 1000}, {"a": 1029, "b": 971}, 0.03) == []


def test_a_slowdown_is_named() -> None:
    assert counts.compare({"a": 1000, "b": 2000}, {"a": 1000, "b": 2100}, 0.03) == [
        "b: slower: 2,000 -> 2,100 instructions, +5.0%, allowed +3%"
    ]


def test_a_gain_and_a_stranger_and_an_absentee_are_named() -> None:
    got = counts.compare({"a": 1000, "gone": 5}, {"a": 900, "new": 5}, 0.03)
    assert got == [
        "a: faster: 1,000 -> 900 instructions, -10.0%; keep the gain with --write",
        "gone: in the table, but the program has no such kernel",
        "new: not in the table; write it with --write",
    ]


def test_a_count_of_nothing_is_an_error() -> None:
    assert counts.parse("events: Ir\nsummary: 123\n", "a") == 123
    for text in ("summary: 0\n", "events: Ir\n"):
        with pytest.raises(RuntimeError, match="a: callgrind counted nothing"):
            counts.parse(text, "a")


def test_without_valgrind_it_says_that_nothing_was_checked(monkeypatch, capsys) -> None:
    monkeypatch.setattr(counts.shutil, "which", lambda name: None)
    assert counts.main([]) == 2
    assert "NOT CHECKED" in capsys.readouterr().err


def test_the_table_holds_every_kernel_that_the_program_has() -> None:
    table = json.loads(counts.TABLE.read_text())
    program = (counts.ROOT / "tests" / "cpp" / "count_kernels.cpp").read_text()
    assert len(table["counts"]) == 10
    assert all(f'{{"{kernel}"' in program for kernel in table["counts"])


def compiled(folder: Path, **values: int) -> Path:
    source, program = folder / "program.cpp", folder / "program"
    source.write_text(PROGRAM)
    given = {"SETUP": 0, "EXTRA": 0, "EXIT": 0, **values}
    flags = [f"-D{key}={value}" for key, value in given.items()]
    subprocess.run(["g++", "-O1", *flags, str(source), "-o", str(program)], check=True)
    return program


def measured(folder: Path, **values: int) -> dict[str, int]:
    valgrind = shutil.which("valgrind")
    assert valgrind is not None
    return counts.measure(compiled(folder, **values), valgrind, folder)


@needs_valgrind
def test_set_up_is_not_counted_and_a_count_repeats(tmp_path: Path) -> None:
    first = measured(tmp_path)
    assert 2000 < first["kernel"] < 20000
    assert measured(tmp_path) == first
    assert measured(tmp_path, SETUP=100_000) == first


@needs_valgrind
def test_a_planted_slowdown_is_found_by_the_command(tmp_path: Path, monkeypatch, capsys) -> None:
    table = tmp_path / "instructions.json"
    monkeypatch.setattr(counts, "TABLE", table)
    monkeypatch.setattr(counts, "compiler", lambda folder: "GNU 12")
    programs = iter([compiled(tmp_path)])
    monkeypatch.setattr(counts, "build", lambda folder: next(programs))
    assert counts.main(["--write"]) == 0
    for extra, status in ((0, 0), (20, 0), (100, 1)):
        programs = iter([compiled(tmp_path, EXTRA=extra)])
        assert counts.main([]) == status
    assert "kernel: slower: " in capsys.readouterr().err


@needs_valgrind
def test_a_kernel_that_fails_is_not_counted(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="kernel failed under callgrind"):
        measured(tmp_path, EXIT=1)
