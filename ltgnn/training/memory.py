"""How much memory a run is going to take, from its sizes and settings alone, and how much there is."""

from __future__ import annotations

import ctypes
import os
import resource
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ltgnn.data.conversion.budget import parse_size, resident_bytes
from ltgnn.models import Recommender
from ltgnn.models.memory_need import RunSizes
from ltgnn.ops import release_memory
from ltgnn.training.config import TrainConfig
from ltgnn.training.run_data import DatasetInMemory, RunData
from ltgnn.training.samplers import auto_batch_size
from ltgnn.training.scoring import USERS_AT_ONCE

_BASE = 16 << 20  # what torch and its threads take beside tensors, once work starts
_BLOCKS = 24 << 20  # of a store, while they are checked and copied
_BUILDING = 23  # bytes an interaction, to make the graph of interactions in memory
_SCORING = 64 << 20  # most of an evaluation's own blocks, see `ltgnn.evaluation.evaluate`


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes above what the process holds before it starts, by what they are for.

    Attributes:
        data: interactions in memory; 0 for a block store.
        graph: row pointers, indices, degrees and scales.
        tables: of the model, [num_nodes, dim] each.
        building: graph and what is beside it at the worst moment of building it.
        training: beside graph and tables, at the worst moment of a step, a refresh or an epoch's end.
        scoring: likewise, of an evaluation; 0 where there is none.
        mapped: bytes of graph and tables that lie in mapped files: disk, and memory only as far as there is some.
    """

    data: int
    graph: int
    tables: int
    building: int
    training: int
    scoring: int
    mapped: int

    @property
    def peak(self) -> int:
        """The most memory at once."""
        held = self.graph + self.tables - self.mapped
        return _BASE + self.data + max(self.building, held + self.training, held + self.scoring)

    def table(self) -> str:
        """Lines of text: each part and the peak."""
        names = ("data", "graph", "tables", "building", "training", "scoring")
        rows = [(name, _gb(getattr(self, name)), "") for name in names if getattr(self, name)]
        if self.mapped:
            note = " of graph and tables: on disk, in memory where there is some"
            rows.append(("mapped", _gb(self.mapped), note))
        rows.append(("peak", _gb(self.peak), " above what the process holds before it starts"))
        return "\n".join(f"  {name:<10}{size:>12}{note}" for name, size, note in rows)


def estimate(
    data: RunData,
    model: type[Recommender],
    config: Any,
    train: TrainConfig,
    tables: str = "memory",
    eval_users: int = 0,
) -> MemoryEstimate:
    """What a run of these sizes and settings takes.

    Args:
        data: only its sizes are looked at.
        model: its class says how many tables there are.
        config: the model's.
        train: how it is trained.
        tables: 'memory' or 'mmap'.
        eval_users: how many users are scored; 0: all.

    Returns:
        The estimate, within a fifth of the truth. What the C library keeps of freed blocks is not in it: with glibc
        and two threads 100 MB have been seen.
    """
    edges, nodes = data.sizes["train"], data.num_users + data.num_items
    index = 4 if nodes < 2**31 else 8
    indices = 2 * edges * index
    graph = indices + 8 * nodes + 8 * nodes + 4 * nodes
    batch = _batch_size(edges, config, train)
    need = model.memory_need(config, RunSizes(data.num_users, data.num_items, edges, batch))
    held = 0
    building = _BLOCKS + 24 * nodes
    if isinstance(data, DatasetInMemory):
        held = data.held_bytes
        building = _BUILDING * edges
    sampler = 0
    if model.is_trained:
        sampler = 24 * nodes if train.sampling == "users" else 16 * nodes
        if config.negatives == "popularity":
            sampler += 8 * edges
    scored = sum(size for part, size in data.sizes.items() if part != "train")
    scoring = 0
    if scored:
        scoring = need.inference + 24 * data.num_users
        if model.has_embeddings:
            users = min(USERS_AT_ONCE, eval_users or data.num_users, data.num_users)
            scoring += users * config.dim * 4 + min(_SCORING, users * 8 * (config.dim + 8 * 50))
        scoring += 12 * scored * isinstance(data, DatasetInMemory)
    in_files = indices if tables == "mmap" else 0
    mapped = in_files + need.kept if tables == "mmap" else 0
    return MemoryEstimate(
        data=held,
        graph=graph,
        tables=need.kept,
        building=graph - in_files + building,
        training=need.training + sampler,
        scoring=scoring,
        mapped=mapped,
    )


def require_memory(
    data: RunData,
    model: type[Recommender],
    config: Any,
    train: TrainConfig,
    *,
    tables: str,
    eval_users: int,
    limit: str | None,
) -> MemoryEstimate:
    """The estimate, where it fits.

    Args:
        data, model, config, train, tables, eval_users: as for `estimate`.
        limit: most memory for the whole process; None: what is free.

    Raises:
        MemoryError: it does not fit; names what it needs, what there is and which flags to change.
    """
    needed = estimate(data, model, config, train, tables, eval_users)
    room = available_bytes() if limit is None else parse_size(limit) - resident_bytes()
    if needed.peak - needed.data <= room:  # what was read is held already
        return needed
    flags = [] if tables == "mmap" else ["--tables mmap (tables in files)"]
    flags += [f"--{model.name}.dim below {config.dim}"]
    batch = _batch_size(data.sizes["train"], config, train)
    halved = replace(train, batch_size=max(1, batch // 2))
    if estimate(data, model, config, halved, tables, eval_users).peak < 0.95 * needed.peak:
        flags.insert(0, f"--batch_size below {batch}")
    if needed.data:
        flags.append("--data with a block store (`ltgnn convert`)")
    if limit is not None:
        flags.append(f"--memory above {limit}")
    raise MemoryError(
        f"the run needs about {_gb(needed.peak).strip()} of memory, of which {_gb(needed.tables).strip()} are the "
        f"model's tables, and there are {_gb(max(0, room)).strip()}: change {' or '.join(flags)}"
    )


def _batch_size(edges: int, config: Any, train: TrainConfig) -> int:
    """Pairs of a step: no more than there are."""
    wanted = train.batch_size or auto_batch_size(edges, quadratic=config.loss == "softmax")
    return min(wanted, max(1, edges))


def available_bytes() -> int:
    """Memory that this process may still take: what the machine has free, and what its control group allows."""
    free = [
        int(line.split()[1]) << 10
        for line in _lines("/proc/meminfo")
        if line.startswith("MemAvailable")
    ]
    free += _control_groups()
    return min(free, default=1 << 62)


def peak_bytes() -> int:
    """The most memory that this process has held at once.

    Not `ru_maxrss` where there is another way: on Linux that starts from what the parent held at the fork.
    """
    for line in _lines("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def release_freed() -> None:
    """Give freed blocks that were kept for later back to the system: the operators' and the C library's.

    A step's blocks are of the sizes that glibc keeps, in each thread's own arena: tens of MB that the next
    thing to be allocated, whole tables, cannot use. Nothing where the C library cannot do that.
    """
    release_memory()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(ctypes.c_size_t(0))


def _control_groups() -> list[int]:
    """What each control group around this process still allows (version 2, then 1)."""
    found = []
    for line in _lines("/proc/self/cgroup"):
        _, controllers, path = line.strip().split(":", 2)
        if controllers == "":
            root, names = Path("/sys/fs/cgroup"), ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            root = Path("/sys/fs/cgroup/memory")
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            limit, used = (_number(folder / name) for name in names)
            if limit is not None and used is not None and limit < 1 << 60:
                found.append(limit - used + _reclaimable(folder))
            if folder == root:
                break
    return found


def _reclaimable(folder: Path) -> int:
    """Pages of files in a control group: they count as used, and go when memory is asked for."""
    for line in _lines(folder / "memory.stat"):
        if line.startswith("inactive_file "):
            return int(line.split()[1])
    return 0


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdecimal() else None


def _lines(path: str | os.PathLike[str]) -> list[str]:
    try:
        with open(path) as file:
            return file.readlines()
    except OSError:
        return []


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
