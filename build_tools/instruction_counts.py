"""How many instructions the hot CPU kernels take, against csrc/cpu/instructions.json.

    python -m build_tools.instruction_counts            compares: 0 good, 1 slower, 2 could not be tried
    python -m build_tools.instruction_counts --write    writes the table anew, after a change that is meant

A slowdown that needs no timer to be seen, and that a busy machine does not hide: `count_kernels` (CMake) runs each
kernel on a fixed input with one thread, under valgrind's callgrind, which counts the instructions of the kernel
alone. They are those of the AVX2 build (callgrind knows no AVX-512), made by the compiler that the table names:
another compiler's code is compared too, with a wider margin. What it cannot see is waiting for memory.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "csrc" / "cpu" / "instructions.json"
INSTRUCTION_SET = "avx2"
MARGIN = 0.03  # of the compiler that wrote the table
OTHER_MARGIN = 0.25  # of any other


def build(folder: Path) -> Path:
    """The program, optimised as the extension is."""
    command = ["cmake", "-S", str(ROOT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release"]
    if shutil.which("ninja"):
        command += ["-G", "Ninja"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    subprocess.run(
        ["cmake", "--build", str(folder), "--target", "count_kernels"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return folder / "count_kernels"


def compiler(folder: Path) -> str:
    """Name and version of the compiler of a build folder, as in 'GNU 12'."""
    (found,) = folder.glob("CMakeFiles/*/CMakeCXXCompiler.cmake")
    text = found.read_text()
    name, version = (
        re.search(rf'set\(CMAKE_CXX_COMPILER_{key} "([^"]*)"', text) for key in ("ID", "VERSION")
    )
    assert name is not None and version is not None
    return f"{name[1]} {version[1].split('.')[0]}"


def _environment() -> dict[str, str]:
    return {**os.environ, "LTGNN_CPU_CAPABILITY": INSTRUCTION_SET}


def count(program: Path, valgrind: str, kernel: str, folder: Path) -> int:
    """Instructions of one kernel; RuntimeError where it cannot be told."""
    out = folder / f"callgrind.{kernel}"
    done = subprocess.run(
        [valgrind, "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=counted",
         f"--callgrind-out-file={out}", str(program), kernel],
        env=_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{kernel} failed under callgrind:\n{done.stderr[-2000:]}")
    return parse(out.read_text(), kernel)


def parse(output: str, kernel: str) -> int:
    """The total of a callgrind file."""
    found = re.search(r"^(?:summary|totals): (\d+)", output, re.MULTILINE)
    if found is None or int(found[1]) == 0:
        raise RuntimeError(f"{kernel}: callgrind counted nothing")
    return int(found[1])


def measure(program: Path, valgrind: str, folder: Path) -> dict[str, int]:
    """The count of every kernel that the program knows."""
    listing = [valgrind, "--tool=none", "-q", str(program)]
    lines = subprocess.run(
        listing, env=_environment(), check=True, capture_output=True, text=True
    ).stdout.split()
    if lines[0] != INSTRUCTION_SET:
        raise RuntimeError(f"needs a machine with {INSTRUCTION_SET}, got kernels for {lines[0]}")
    return {kernel: count(program, valgrind, kernel, folder) for kernel in lines[1:]}


def compare(table: dict[str, int], counts: dict[str, int], margin: float) -> list[str]:
    """What is wrong: a kernel that takes more, or much less, than the table says, or that is in one of both."""
    problems = []
    for kernel in sorted(table.keys() | counts.keys()):
        if kernel not in counts:
            problems.append(f"{kernel}: in the table, but the program has no such kernel")
        elif kernel not in table:
            problems.append(f"{kernel}: not in the table; write it with --write")
        else:
            change = counts[kernel] / table[kernel] - 1
            figures = f"{table[kernel]:,} -> {counts[kernel]:,} instructions, {change:+.1%}"
            if change > margin:
                problems.append(f"{kernel}: slower: {figures}, allowed {margin:+.0%}")
            elif change < -margin:
                problems.append(f"{kernel}: faster: {figures}; keep the gain with --write")
    return problems


def main(arguments: list[str] | None = None) -> int:
    """0 where every kernel is within the margin, 1 where one is not, 2 where that cannot be tried."""
    parser = argparse.ArgumentParser(
        prog="python -m build_tools.instruction_counts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", action="store_true", help="write the table anew")
    parser.add_argument("--build", type=Path, help="build folder to keep; default: a temporary one")
    args = parser.parse_args(arguments)
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        print("instruction counts: NOT CHECKED: there is no valgrind", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.build or Path(scratch) / "build"
        try:
            counts = measure(build(folder), valgrind, Path(scratch))
        except subprocess.CalledProcessError as error:
            print(f"instruction counts: {error}\n{error.stdout}\n{error.stderr}", file=sys.stderr)
            return 1
        except RuntimeError as error:
            print(f"instruction counts: NOT CHECKED: {error}", file=sys.stderr)
            return 2
        own = compiler(folder)
    if args.write:
        TABLE.write_text(json.dumps({"compiler": own, "counts": counts}, indent=2) + "\n")
        print(f"instruction counts: wrote {len(counts)} to {TABLE}")
        return 0
    table = json.loads(TABLE.read_text())
    margin = MARGIN if table["compiler"] == own else OTHER_MARGIN
    problems = compare(table["counts"], counts, margin)
    for problem in problems:
        print(f"instruction counts: {problem}", file=sys.stderr)
    if not problems:
        print(f"instruction counts: {len(counts)} kernels within {margin:.0%}, compiled by {own}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
