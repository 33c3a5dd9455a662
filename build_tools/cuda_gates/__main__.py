"""The command: compile, measure, compare, or write the table."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from build_tools.cuda_gates import __doc__ as description
from build_tools.cuda_gates import table as tables
from build_tools.cuda_gates.toolchain import (
    ROOT,
    Kernel,
    measure,
    measure_built,
    missing_tools,
    nvcc_version,
    resident_warps,
)
from build_tools.sources import sources

PATH = ROOT / "csrc" / "cuda" / "gates.json"
ARCHITECTURES = ["sm_80", "sm_90"]


def summary(kernels: list[Kernel], warps: list[int]) -> str:
    """One line for each architecture."""
    lines = []
    for architecture in sorted({kernel.architecture for kernel in kernels}):
        rows = [
            (kernel, resident)
            for kernel, resident in zip(kernels, warps, strict=True)
            if kernel.architecture == architecture and not kernel.third_party
        ]
        others = sum(k.architecture == architecture and k.third_party for k in kernels)
        registers = max(kernel.resources.registers for kernel, _ in rows)
        least = min(resident for _, resident in rows)
        wide = sum(kernel.code.wide_loads > 0 for kernel, _ in rows)
        lines.append(
            f"{architecture}: {len(rows)} kernels and {others} of CUB; at most {registers} registers, "
            f"at least {least} warps resident, {wide} with 128-bit loads"
        )
    return "\n".join(lines)


def listing(kernels: list[Kernel], warps: list[int], table: tables.Table) -> str:
    """Every kernel and its figures."""
    lines = [f"{'reg':>4}{'shared':>8}{'warps':>6}{'LDG.128':>8}{'local':>6}{'code':>6}  kernel"]
    for kernel, resident in zip(kernels, warps, strict=True):
        shared = kernel.resources.shared + tables.launch_of(table, kernel)[1]
        lines.append(
            f"{kernel.resources.registers:>4}{shared:>8}{resident:>6}{kernel.code.wide_loads:>8}"
            f"{kernel.code.local:>6}{kernel.code.instructions:>6}  {kernel.architecture} {kernel.key}"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """0 where all gates hold, 1 where one does not, 2 where they cannot be tried."""
    parser = argparse.ArgumentParser(
        prog="python -m build_tools.cuda_gates",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", action="store_true", help="write the table anew")
    parser.add_argument("--list", action="store_true", help="print every kernel's figures")
    parser.add_argument(
        "--built", nargs=2, metavar=("LOG", "FOLDER"),
        help="compile nothing: the log of a build with nvcc's -Xptxas=-v, and its -keep-dir",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(arguments)
    problem = missing_tools()
    if problem is not None:
        print(f"cuda gates: cannot run: {problem}", file=sys.stderr)
        return 2
    table = tables.load(PATH)
    try:
        if args.built is None:
            kernels = measure(sources("cuda"), ARCHITECTURES, args.jobs)
        else:
            log, folder = map(Path, args.built)
            kernels = measure_built(
                sources("cuda"), ARCHITECTURES, args.jobs, folder, log.read_text()
            )
    # The compiler's words, kernels that cannot be told apart, or no such build.
    except (RuntimeError, OSError) as error:
        print(f"cuda gates: {error}", file=sys.stderr)
        return 1
    launches = [tables.launch_of(table, kernel) for kernel in kernels]
    # Without a number of threads there is a problem to report, and no occupancy.
    warps = resident_warps(kernels, [(threads or 1024, shared) for threads, shared in launches])
    if args.list:
        print(listing(kernels, warps, table))
    if args.write:
        table.nvcc = nvcc_version()
        table.kernels = {architecture: {} for architecture in ARCHITECTURES}
        for kernel, resident in zip(kernels, warps, strict=True):
            if not kernel.third_party:
                limits = tables.limits_of(kernel, table, resident)
                table.kernels[kernel.architecture][kernel.key] = limits
        PATH.write_text(tables.dump(table))
    print(summary(kernels, warps))
    problems = tables.compare(kernels, warps, table)
    for text in problems:
        print(f"cuda gates: {text}", file=sys.stderr)
    if problems:
        print(f"cuda gates: {len(problems)} problems ({PATH.relative_to(ROOT)})", file=sys.stderr)
        if table.nvcc != (version := nvcc_version()):
            print(
                f"cuda gates: the table is nvcc {table.nvcc}'s, this is {version}", file=sys.stderr
            )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
