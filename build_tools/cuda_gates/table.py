"""The committed table of what each kernel may use, and the comparison with what it does use."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from build_tools.cuda_gates.parse import moves_packs
from build_tools.cuda_gates.toolchain import Kernel

# What a kernel may be excused from, each with a reason in the table.
ALLOWANCES = {
    "local": "memory of its own (LDL, STL, a stack frame)",
    "narrow": "no 128-bit loads though it moves packs",
    "spill": "spilled registers (third-party kernels only)",
}


@dataclass(frozen=True)
class Limits:
    """What one kernel may use on one architecture."""

    registers: int  # a thread
    shared: int  # static and dynamic bytes a block
    warps: int  # at least so many resident on a processor
    wide: bool  # has 128-bit loads


@dataclass
class Table:
    """csrc/cuda/gates.json.

    `launch` and `exceptions` are kept by hand; `kernels` is written by `--write`.

    Attributes:
        launch: pattern of kernel names -> {"threads": ..., "shared": dynamic bytes, "why": ...}. A kernel that
            matches none runs with as many threads as its launch bound says, and no dynamic shared memory.
        exceptions: [{"kernel": pattern, "allow": a word of ALLOWANCES, "why": ...}].
        kernels: architecture -> key -> limits.
    """

    nvcc: str = ""
    launch: dict[str, dict[str, Any]] = field(default_factory=dict)
    exceptions: list[dict[str, str]] = field(default_factory=list)
    kernels: dict[str, dict[str, Limits]] = field(default_factory=dict)


def load(path: Path) -> Table:
    """Read a table; an empty one where there is no file."""
    if not path.exists():
        return Table()
    raw = json.loads(path.read_text())
    kernels = {
        architecture: {key: Limits(**limits) for key, limits in rows.items()}
        for architecture, rows in raw["kernels"].items()
    }
    return Table(raw["nvcc"], raw["launch"], raw["exceptions"], kernels)


def dump(table: Table) -> str:
    """As JSON with one line for each kernel, so that a change shows as one."""

    def block(items: Iterable[str], indent: int) -> str:
        lines = [" " * (indent + 2) + item for item in items]
        return ("\n" + ",\n".join(lines) + "\n" + " " * indent) if lines else ""

    def pair(key: str, value: Any) -> str:
        return f"{json.dumps(key)}: {json.dumps(value)}"

    launch = block((pair(key, table.launch[key]) for key in table.launch), 2)
    exceptions = block(map(json.dumps, table.exceptions), 2)
    architectures = []
    for architecture in sorted(table.kernels):
        rows = table.kernels[architecture]
        text = block((pair(key, vars(rows[key])) for key in sorted(rows)), 4)
        architectures.append(f"{json.dumps(architecture)}: {{{text}}}")
    parts = [
        pair("nvcc", table.nvcc),
        f'"launch": {{{launch}}}',
        f'"exceptions": [{exceptions}]',
        f'"kernels": {{{block(architectures, 2)}}}',
    ]
    return "{" + block(parts, 0) + "}\n"


def launch_of(table: Table, kernel: Kernel) -> tuple[int, int]:
    """(threads a block, dynamic shared bytes) that the launcher starts the kernel with.

    Threads are 0 where neither the table nor a launch bound says.
    """
    for pattern, launch in table.launch.items():
        if fnmatchcase(kernel.name, pattern):
            threads = launch.get("threads", kernel.code.max_threads or 0)
            return int(threads), int(launch.get("shared", 0))
    return kernel.code.max_threads or 0, 0


def _allowed(table: Table, kernel: Kernel) -> set[str]:
    return {e["allow"] for e in table.exceptions if fnmatchcase(kernel.name, e["kernel"])}


def rule_problems(kernel: Kernel, table: Table) -> list[str]:
    """Rules that hold for every kernel, whatever the table's figures say."""
    allowed, r, code = _allowed(table, kernel), kernel.resources, kernel.code
    problems = []
    if (r.spill_stores or r.spill_loads) and not (kernel.third_party and "spill" in allowed):
        problems.append(f"spills {r.spill_stores} bytes of stores and {r.spill_loads} of loads")
    if kernel.third_party:
        return problems
    if (code.local or r.stack) and "local" not in allowed:
        problems.append(
            f"uses local memory: {code.local} LDL/STL instructions, {r.stack} bytes of stack frame"
        )
    if moves_packs(kernel.name) and code.wide_loads == 0 and "narrow" not in allowed:
        problems.append("moves packs of 16 bytes, but has no 128-bit load (LDG.E.128)")
    threads, dynamic = launch_of(table, kernel)
    if threads == 0:
        problems.append('has no __launch_bounds__, and no `threads` under "launch" in the table')
    elif code.max_threads is not None and threads > code.max_threads:
        problems.append(f"is started with {threads} threads, above its bound {code.max_threads}")
    if code.shared and r.shared == 0 and dynamic == 0:
        problems.append(
            'uses dynamic shared memory: say how many bytes, as `shared` under "launch" in the table'
        )
    return problems


def limits_of(kernel: Kernel, table: Table, warps: int) -> Limits:
    """What a kernel uses now, as the table would hold it."""
    shared = kernel.resources.shared + launch_of(table, kernel)[1]
    return Limits(kernel.resources.registers, shared, warps, kernel.code.wide_loads > 0)


def limit_problems(now: Limits, held: Limits | None) -> list[str]:
    """Where a kernel is worse than the table says."""
    if held is None:
        return ["is not in the table"]
    problems = []
    if now.registers > held.registers:
        problems.append(f"uses {now.registers} registers, the table allows {held.registers}")
    if now.shared > held.shared:
        problems.append(f"uses {now.shared} bytes of shared memory, the table allows {held.shared}")
    if now.warps < held.warps:
        problems.append(f"has {now.warps} warps resident, the table asks for {held.warps}")
    if held.wide and not now.wide:
        problems.append("has no 128-bit load (LDG.E.128) any more")
    return problems


def exception_problems(kernels: list[Kernel], table: Table) -> list[str]:
    """Hand-kept lines that are wrong or that nothing needs."""
    names = {kernel.name for kernel in kernels}
    problems = []
    for entry in table.exceptions:
        if entry["allow"] not in ALLOWANCES:
            words = ", ".join(ALLOWANCES)
            problems.append(f"exceptions: allow must be one of {words}, got {entry['allow']!r}")
        if not entry.get("why"):
            problems.append(f"exceptions: {entry['kernel']} has no reason (`why`)")
    for pattern in [e["kernel"] for e in table.exceptions] + list(table.launch):
        if not any(fnmatchcase(name, pattern) for name in names):
            problems.append(f"no kernel matches {pattern!r} of the table")
    return problems


def compare(kernels: list[Kernel], warps: list[int], table: Table) -> list[str]:
    """Everything that is wrong, one sentence for each; complete only if all files were measured."""
    problems = exception_problems(kernels, table)
    for kernel, resident in zip(kernels, warps, strict=True):
        found = rule_problems(kernel, table)
        if not kernel.third_party:
            held = table.kernels.get(kernel.architecture, {}).get(kernel.key)
            found += limit_problems(limits_of(kernel, table, resident), held)
        problems += [f"{kernel.architecture} {kernel.key} {text}" for text in found]
    for architecture in {kernel.architecture for kernel in kernels}:
        measured = {kernel.key for kernel in kernels if kernel.architecture == architecture}
        for key in sorted(set(table.kernels.get(architecture, {})) - measured):
            problems.append(f"{architecture} {key} is in the table, but there is no such kernel")
    return problems
