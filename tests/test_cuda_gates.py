"""The gates over what the compiler says (build_tools/cuda_gates): each can fail. No compiler needed here.

`.ci/run` runs the gates themselves, where nvcc is.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from build_tools.cuda_gates import __main__ as command
from build_tools.cuda_gates import table as tables
from build_tools.cuda_gates.parse import Code, Resources
from build_tools.cuda_gates.toolchain import Kernel

# A kernel that passes until something is changed.
GOOD = Kernel(
    "sm_90",
    "dot.cu",
    "dot<float, 4>",
    Resources(40, stack=0, spill_stores=0, spill_loads=0, shared=0, barriers=0),
    Code(wide_loads=2, local=0, shared=0, instructions=90, max_threads=128),
)
WARPS = 48


def table(**changes) -> tables.Table:
    limits = tables.Limits(registers=40, shared=0, warps=48, wide=True)
    return tables.Table("13.0", {}, [], {"sm_90": {GOOD.key: replace(limits, **changes)}})


def changed(resources=None, code=None, **kernel) -> Kernel:
    return replace(
        GOOD,
        resources=replace(GOOD.resources, **(resources or {})),
        code=replace(GOOD.code, **(code or {})),
        **kernel,
    )


def test_a_good_kernel_passes():
    assert tables.compare([GOOD], [WARPS], table()) == []
    assert tables.compare([GOOD], [64], table(registers=48)) == []  # better than asked for


@pytest.mark.parametrize(
    ("kernel", "problem"),
    [
        (changed({"spill_stores": 8}), "spills 8 bytes of stores and 0 of loads"),
        (changed({"spill_loads": 4}), "spills 0 bytes of stores and 4 of loads"),
        (changed({"stack": 16}), "uses local memory: 0 LDL/STL instructions, 16 bytes of stack"),
        (changed(code={"local": 3}), "uses local memory: 3 LDL/STL"),
        (changed({"registers": 41}), "uses 41 registers, the table allows 40"),
        (changed({"shared": 512}), "uses 512 bytes of shared memory, the table allows 0"),
        (changed(code={"shared": 1}), "uses dynamic shared memory: say how many bytes"),
        (changed(code={"max_threads": None}), "has no __launch_bounds__"),
        (changed(name="dot<float, 8>"), "is not in the table"),
    ],
)
def test_a_worse_kernel_fails(kernel, problem):
    problems = tables.compare([GOOD, kernel], [WARPS, WARPS], table())
    assert len(problems) == 1 and problem in problems[0]
    assert problems[0].startswith(f"sm_90 dot.cu: {kernel.name} ")


def test_lost_wide_loads_fail_twice():
    problems = tables.compare([changed(code={"wide_loads": 0})], [WARPS], table())
    assert any("moves packs of 16 bytes, but has no 128-bit load" in p for p in problems)
    assert any("has no 128-bit load (LDG.E.128) any more" in p for p in problems)


def test_lower_occupancy_fails():
    assert tables.compare([GOOD], [40], table()) == [
        "sm_90 dot.cu: dot<float, 4> has 40 warps resident, the table asks for 48"
    ]


def test_a_kernel_that_is_gone_fails():
    left = changed(name="other")
    held = table()
    held.kernels["sm_90"][left.key] = held.kernels["sm_90"][GOOD.key]
    assert tables.compare([left], [WARPS], held) == [
        "sm_90 dot.cu: dot<float, 4> is in the table, but there is no such kernel"
    ]


def test_launches_kept_by_hand():
    kernel, held = changed(code={"shared": 1}), table(shared=2048)
    held.launch["dot<*"] = {"threads": 64, "shared": 2048}
    assert tables.launch_of(held, kernel) == (64, 2048)
    assert tables.compare([kernel], [WARPS], held) == []
    held.launch["dot<*"] = {"threads": 256, "shared": 4096}
    first, second = tables.compare([kernel], [WARPS], held)
    assert "is started with 256 threads, above its bound 128" in first
    assert "uses 4096 bytes of shared memory, the table allows 2048" in second


@pytest.mark.parametrize(
    ("kernel", "word"),
    [
        (changed(code={"local": 3}), "local"),
        (changed({"stack": 8}), "local"),
        (changed(code={"wide_loads": 0}), "narrow"),
    ],
)
def test_exceptions(kernel, word):
    held = table(wide=False)
    assert len(tables.compare([kernel], [WARPS], held)) == 1
    held.exceptions = [{"kernel": "dot<*", "allow": word, "why": "tried both"}]
    assert tables.compare([kernel], [WARPS], held) == []


def test_no_exception_for_our_spills():
    held = table()
    held.exceptions = [{"kernel": "dot<*", "allow": "spill", "why": "no"}]
    assert len(tables.compare([changed({"spill_stores": 4})], [WARPS], held)) == 1


def test_third_party_kernels_only_must_not_spill():
    theirs = changed({"stack": 8, "shared": 999}, {"local": 9}, name="cub::DeviceSort")
    assert tables.compare([GOOD, theirs], [WARPS, 1], table()) == []
    spilling = changed({"spill_loads": 4}, name="cub::DeviceSort")
    assert "cub::DeviceSort spills" in tables.compare([GOOD, spilling], [WARPS, 1], table())[0]
    held = table()
    held.exceptions = [{"kernel": "cub::*", "allow": "spill", "why": "NVIDIA's"}]
    assert tables.compare([GOOD, spilling], [WARPS, 1], held) == []


def test_hand_kept_lines_are_checked():
    held = table()
    held.launch["nothing*"] = {"threads": 32}
    held.exceptions = [{"kernel": "dot<*", "allow": "anything", "why": ""}]
    problems = tables.compare([GOOD], [WARPS], held)
    assert problems[0].startswith("exceptions: allow must be one of local, narrow, spill")
    assert problems[1] == "exceptions: dot<* has no reason (`why`)"
    assert problems[2] == "no kernel matches 'nothing*' of the table"


def test_tables_survive_writing(tmp_path):
    held = table()
    held.launch["dot<*"] = {"threads": 64, "why": "short rows"}
    held.exceptions = [{"kernel": "cub::*", "allow": "spill", "why": "NVIDIA's"}]
    path = tmp_path / "gates.json"
    path.write_text(tables.dump(held))
    assert tables.load(path) == held
    assert f'"{GOOD.key}": {{"registers": 40, "shared": 0, "warps": 48, "wide": true}}' in (
        path.read_text()
    )
    path.write_text(tables.dump(tables.Table()))
    assert tables.load(path) == tables.Table()


def test_the_command(tmp_path, monkeypatch, capsys):
    """From compiled kernels to exit status and messages, with the compiler's part replaced."""
    path = tmp_path / "gates.json"
    monkeypatch.setattr(command, "PATH", path)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "missing_tools", lambda: None)
    monkeypatch.setattr(command, "nvcc_version", lambda: "13.0.88")
    other = replace(GOOD, architecture="sm_80")
    monkeypatch.setattr(command, "measure", lambda *_: [other, GOOD])
    monkeypatch.setattr(command, "resident_warps", lambda *_: [48, 48])
    assert command.main([]) == 1  # no table yet
    assert "sm_90 dot.cu: dot<float, 4> is not in the table" in capsys.readouterr().err
    assert command.main(["--write", "--list"]) == 0
    assert "sm_90 dot.cu: dot<float, 4>" in capsys.readouterr().out
    assert command.main([]) == 0
    monkeypatch.setattr(command, "measure", lambda *_: [other, changed({"registers": 50})])
    monkeypatch.setattr(command, "nvcc_version", lambda: "13.1.0")
    assert command.main([]) == 1
    errors = capsys.readouterr().err
    assert "uses 50 registers, the table allows 40" in errors
    assert "the table is nvcc 13.0.88's, this is 13.1.0" in errors
    assert command.main(["--built", str(tmp_path / "log"), str(tmp_path)]) == 1
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "log").write_text("[1/1] nvcc -c csrc/cuda/sort.cu -o sort.o\n")
    assert command.main(["--built", str(tmp_path / "log"), str(tmp_path)]) == 1
    assert "the build's log has no nvcc command for csrc/cuda/accidental_hits.cu, " in (
        capsys.readouterr().err
    )
    monkeypatch.setattr(command, "missing_tools", lambda: "nvcc was not found")
    assert command.main([]) == 2


def test_the_committed_table_is_whole():
    path = Path(__file__).parents[1] / "csrc/cuda/gates.json"
    held = tables.load(path)
    assert sorted(held.kernels) == command.ARCHITECTURES
    assert path.read_text() == tables.dump(held)  # as --write writes it
    assert json.loads(path.read_text())["nvcc"]
    names = {architecture: set(rows) for architecture, rows in held.kernels.items()}
    assert names["sm_80"] == names["sm_90"]
