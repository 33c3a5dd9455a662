"""Reads what ptxas and nvdisasm say about kernels. Pure text in, plain values out."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(\w+)'")
_FRAME = re.compile(
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", re.IGNORECASE
)
_USED = re.compile(r"Used (\d+) registers")
_BARRIERS = re.compile(r"used (\d+) barriers")
_SHARED = re.compile(r"(\d+) bytes smem")


@dataclass(frozen=True)
class Resources:
    """What `ptxas -v` reports of one kernel; bytes are a thread's, shared bytes a block's."""

    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    shared: int  # static
    barriers: int


def parse_ptxas(text: str) -> dict[tuple[str, str], Resources]:
    """Resources of every kernel in the output of `nvcc -Xptxas=-v`, by ("sm_90", mangled name).

    Raises:
        ValueError: a kernel was announced without its figures: ptxas speaks another dialect.
    """
    found: dict[tuple[str, str], Resources] = {}
    # Each part holds one kernel, and the device functions that were compiled beside it.
    parts = _ENTRY.split(text)
    for name, architecture, part in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        used = _USED.search(part)
        frames = [tuple(map(int, frame)) for frame in _FRAME.findall(part)]
        if used is None or not frames:
            raise ValueError(f"ptxas: no registers or stack frame reported for {name}")
        line = part[used.start() :].split("\n", 1)[0]
        barriers, shared = _BARRIERS.search(line), _SHARED.search(line)
        found[architecture, name] = Resources(
            registers=int(used[1]),
            stack=max(frame[0] for frame in frames),
            spill_stores=sum(frame[1] for frame in frames),
            spill_loads=sum(frame[2] for frame in frames),
            shared=int(shared[1]) if shared else 0,
            barriers=int(barriers[1]) if barriers else 0,
        )
    return found


_COMMAND = re.compile(r"\[\d+/\d+\] \S*nvcc (?:.* )?-c (?:\S*/)?(\S+\.cu) ")


def parse_build_log(text: str) -> dict[str, str]:
    """What nvcc said of each .cu file, by its name, in the log of ninja's verbose build."""
    parts = _COMMAND.split(text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@dataclass(frozen=True)
class Code:
    """What a kernel's machine code holds."""

    wide_loads: int  # LDG of 128 bits: global loads of 16 bytes a lane
    local: int  # LDL, STL: memory of a thread's own, which lies off the chip
    shared: int  # LDS, STS, ATOMS, ...: shared memory
    instructions: int
    max_threads: int | None = None  # of a block, from __launch_bounds__


_SECTION = re.compile(r"^//-+ (\S+) -+$", re.MULTILINE)
_INSTRUCTION = re.compile(
    r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:\{\s*)?(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", re.M
)
_THREADS = re.compile(r"EIATTR_MAX_THREADS\n(?:.*\n)*?((?:.*\.word\s+0x[0-9a-f]+\n){3})")
_WIDE = re.compile(r"LDG\.E(\.\w+)*\.128(\.\w+)*$")
_LOCAL = re.compile(r"(LDL|STL)(\.|$)")
_SHARED_OPS = re.compile(r"(LDS|STS|ATOMS|LDSM|STSM|LDGSTS)(\.|$)")


def parse_sass(text: str) -> dict[str, Code]:
    """Code of every kernel in the output of `nvdisasm` (all sections, not `-c`), by mangled name.

    Raises:
        ValueError: there is a code section without an instruction that we can read.
    """
    parts = _SECTION.split(text)
    code: dict[str, list[str]] = {}
    threads: dict[str, int] = {}
    for section, body in zip(parts[1::2], parts[2::2], strict=True):
        if section.startswith(".text."):
            code[section.removeprefix(".text.")] = _INSTRUCTION.findall(body)
        elif section.startswith(".nv.info.") and (bound := _THREADS.search(body)):
            threads[section.removeprefix(".nv.info.")] = _product(bound[1])
    for name, instructions in code.items():
        if not instructions:
            raise ValueError(f"nvdisasm: no instruction could be read in {name}")
    return {
        name: Code(
            wide_loads=sum(_WIDE.match(word) is not None for word in words),
            local=sum(_LOCAL.match(word) is not None for word in words),
            shared=sum(_SHARED_OPS.match(word) is not None for word in words),
            instructions=len(words),
            max_threads=threads.get(name),
        )
        for name, words in code.items()
    }


def _product(words: str) -> int:
    result = 1
    for word in re.findall(r"0x([0-9a-f]+)", words):
        result *= int(word, 16)
    return result


_INTEGERS = {
    "long": "int64", "int": "int32", "unsigned long": "uint64", "unsigned int": "uint32",
    "long long": "int64", "unsigned long long": "uint64",
}  # fmt: skip
THIRD_PARTY = ("cub", "thrust")


def short_name(demangled: str) -> str:
    """`propagate_kernel<float, int64, 4>`, from the demangled name with its parameters.

    Kernels of CUB and Thrust keep their namespace: `cub::DeviceScanKernel<...>`.
    """
    name = demangled.removeprefix("void ")
    name = name.replace("(anonymous namespace)::", "").replace("ltgnn::cuda::", "")
    name = name.replace("ltgnn::", "").replace("{lambda", "lambda").replace("(bool)", "")
    name = re.sub(r"\((?:unsigned )?(?:int|long|char|short)\)(?=-?\d)", "", name)
    name = _before_parameters(name)
    base = name.split("<", 1)[0]
    space = base.split("::", 1)[0]
    if (
        space in THIRD_PARTY
    ):  # its arguments are a page long, and its inner namespaces hold versions
        return f"{space}::{base.rpartition('::')[2]}"
    head, bracket, arguments = name.partition("<")
    if not bracket:
        return head
    shortened = [
        _INTEGERS.get(
            argument, argument.replace("BFloat16", "bfloat16").replace("Float16", "float16")
        )
        for argument in _arguments(arguments[: arguments.rfind(">")])
    ]
    return f"{head}<{', '.join(shortened)}>"


def _before_parameters(name: str) -> str:
    """The text before the parameter list: the first `(` outside of all `<>`."""
    depth = 0
    for place, letter in enumerate(name):
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "(" and depth == 0:
            return name[:place]
    return name


def _arguments(text: str) -> list[str]:
    """Template arguments, split at the commas of the outermost level."""
    depth, parts = 0, [""]
    for letter in text:
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


_BYTES = {"float": 4, "double": 8, "bfloat16": 2, "float16": 2}


def moves_packs(name: str) -> bool:
    """Whether a kernel is instantiated for packs: of its integers one is 16 bytes over its first type.

    `kPackWidth<T>` of cuda/lane.h: 4 for float, 2 for double, 8 for bfloat16 and float16.
    """
    _, bracket, arguments = name.partition("<")
    if not bracket:
        return False
    words = _arguments(arguments[: arguments.rfind(">")])
    sizes = [_BYTES[word] for word in words if word in _BYTES]
    return bool(sizes) and str(16 // sizes[0]) in words
