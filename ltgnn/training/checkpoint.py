"""Checkpoints that survive crashes, full disks and damaged or hostile files.

A run folder holds ``checkpoint-000012/`` and the like, each as `ltgnn.training.checkpoint_format`
has it. Numbers rise by one with each save and are never reused, so the highest is the latest.

A save writes into a directory with a temporary name, fsyncs both files and the directory, renames
it and fsyncs the run directory. Only then are older checkpoints removed, and of those the newest
that still verifies stays. Saving is for one process at a time (rank 0).
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltgnn.training.checkpoint_format import pack, read, write
from ltgnn.training.checkpoint_manifest import CheckpointError

__all__ = [
    "Checkpoint", "CheckpointError", "CheckpointWarning", "is_there", "load", "load_into", "save"
]  # fmt: skip

_NAME = re.compile(r"checkpoint-(\d{6,15})")
_LITTER = ".tmp-checkpoint-"


class CheckpointWarning(UserWarning):
    """A damaged checkpoint was passed over for an older one."""


@dataclass(frozen=True)
class Checkpoint:
    """What `load` returns: tensors and meta as saved, and the directory they came from."""

    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    path: Path


def save(run_dir: str | os.PathLike[str], tensors: Mapping[str, Tensor], meta: Any) -> Path:
    """Write a new checkpoint; keep it and the newest older one that is intact.

    Args:
        run_dir: created if missing.
        tensors: dense tensors of any shape, device, stride and shared storage; every tensor is
            written in full, as contiguous little-endian bytes. They must not change meanwhile.
        meta: JSON object: dict with str keys of None, bool, int, finite float, str, list, dict.
            It comes back as JSON has it: a tuple as a list.

    Returns:
        The directory written, durable on disk.

    Raises:
        TypeError: a tensor's dtype or layout, or something in meta, cannot be stored.
        ValueError: a tensor's name is not usable, or meta is huge or holds NaN or infinity.
        CheckpointError: the disk is full or failing; earlier checkpoints are as they were.

    Complexity: one pass over the bytes, hashed while written, and one over the older checkpoint.

    Example:
        >>> import tempfile, torch
        >>> run = tempfile.mkdtemp()
        >>> save(run, {"emb": torch.arange(3.0)}, {"epoch": 1}).name
        'checkpoint-000000'
        >>> checkpoint = load(run)
        >>> checkpoint.tensors["emb"], checkpoint.meta
        (tensor([0., 1., 2.]), {'epoch': 1})
    """
    packed = pack(tensors, meta)  # all that can be wrong with them, before anything is written
    root = Path(run_dir)
    temporary: Path | None = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_litter(root)
        # Whatever bears such a name takes its number, were it a file or a link.
        taken = [int(match[1]) for match in map(_NAME.fullmatch, os.listdir(root)) if match]
        number = max(taken, default=-1) + 1
        final = root / f"checkpoint-{number:06d}"
        working = root / f"{_LITTER}{number:06d}"
        working.mkdir()
        temporary = working
        write(working, packed)
        _sync_dir(working)
        os.replace(working, final)
        _sync_dir(root)
    except BaseException as error:
        if temporary is not None:
            _discard(temporary)
        if not isinstance(error, OSError):
            raise
        size = sum(array.nbytes for array in packed.arrays)
        why = "disk full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error)
        raise CheckpointError(
            f"save: could not write {size} bytes to {root}: {why}; earlier checkpoints are as "
            "they were"
        ) from error
    _remove_old(root, final)
    return final


def load(run_dir: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> Checkpoint:
    """Return the newest checkpoint that verifies in full, reading nothing it cannot verify.

    Args:
        run_dir: directory given to `save`.
        device: where the tensors are put.

    Returns:
        All tensors (none requires a gradient), meta and path of one checkpoint.

    Raises:
        CheckpointError: there is none, or none is intact; names every candidate's problem.

    Warns:
        CheckpointWarning: a newer checkpoint was damaged; names it and what was wrong.

    Complexity: one pass over the bytes. Example: see `save`.
    """
    tensors, meta, path = _newest(Path(run_dir), lambda folder: read(folder))
    return Checkpoint({n: t.to(device) for n, t in tensors.items()}, meta, path)


def load_into(run_dir: str | os.PathLike[str], tensors: Mapping[str, Tensor]) -> Checkpoint:
    """`load` into tensors that are there already: no second copy of large ones is ever in memory.

    A checkpoint is read twice, first to verify it; then it is read and verified again into the tensors.

    Args:
        run_dir: directory given to `save`.
        tensors: by name; shapes and dtypes must be those of the checkpoint.

    Returns:
        The checkpoint; its tensors are the given ones.

    Raises:
        CheckpointError: there is none, none is intact, or it does not fit; the tensors are as they were, except
            where it has changed between the two readings.

    Warns:
        CheckpointWarning: a newer checkpoint was damaged; names it and what was wrong.

    Complexity: two passes over the bytes.

    Example:
        >>> import tempfile, torch
        >>> run, mine = tempfile.mkdtemp(), torch.zeros(3)
        >>> _ = save(run, {"emb": torch.arange(3.0)}, {})
        >>> _ = load_into(run, {"emb": mine})
        >>> mine
        tensor([0., 1., 2.])
    """
    _, meta, path = _newest(Path(run_dir), lambda folder: read(folder, keep=False))
    read(path, into=tensors)
    return Checkpoint(dict(tensors), meta, path)


def is_there(run_dir: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a checkpoint, intact or not.

    A process that was killed while it wrote its first one leaves a folder without.

    Example:
        >>> import tempfile
        >>> is_there(tempfile.mkdtemp())
        False
    """
    root = Path(run_dir)
    return root.is_dir() and bool(_candidates(root))


def _newest(
    root: Path, reading: Callable[[Path], tuple[dict[str, Tensor], dict[str, Any]]]
) -> tuple[dict[str, Tensor], dict[str, Any], Path]:
    """What `reading` makes of the newest checkpoint that it does not refuse."""
    problems = []
    try:
        candidates = _candidates(root)
    except OSError as error:
        raise CheckpointError(f"load: cannot list {root}: {error}") from error
    for _, path in candidates:
        try:
            tensors, meta = reading(path)
        except CheckpointError as error:
            problems.append(f"{path.name}: {error}")
            continue
        if problems:
            text = f"load: using {path.name} of {root}, since newer ones are damaged: "
            warnings.warn(text + "; ".join(problems), CheckpointWarning, stacklevel=3)
        return tensors, meta, path
    if not problems:
        raise CheckpointError(f"load: expected checkpoint-NNNNNN directories in {root}, found none")
    raise CheckpointError(f"load: no checkpoint in {root} is intact: " + "; ".join(problems))


def _sync_dir(path: Path) -> None:
    """Make the names in a directory durable: without it a rename may be lost with the power."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _candidates(root: Path) -> list[tuple[int, Path]]:
    """(number, directory) of every checkpoint, newest first; a link is none."""
    found = []
    with os.scandir(root) as scan:
        for entry in scan:
            match = _NAME.fullmatch(entry.name)
            if match and entry.is_dir(follow_symlinks=False):
                found.append((int(match[1]), root / entry.name))
    return sorted(found, reverse=True)


def _remove_litter(root: Path) -> None:
    """Remove what saves that were killed have left behind."""
    with os.scandir(root) as scan:
        left = [entry for entry in scan if entry.name.startswith(_LITTER)]
    for entry in left:
        if entry.is_dir(follow_symlinks=False):
            _discard(root / entry.name)
        else:
            os.unlink(root / entry.name)


def _remove_old(root: Path, latest: Path) -> None:
    """Keep ``latest`` and the newest intact one before it; remove the others."""
    older = [path for _, path in _candidates(root) if path != latest]
    if len(older) < 2:
        return
    for spare in older:
        with suppress(CheckpointError):
            read(spare, keep=False)
            break
    else:  # none is intact: a damaged one may be all that is left to rescue
        return
    for path in older:
        if path != spare:
            # Under a temporary name first, or a crash would leave half a checkpoint.
            gone = root / f"{_LITTER}{path.name}"
            with suppress(OSError):  # the save itself has succeeded; tried again at the next
                os.replace(path, gone)
                _discard(gone)


def _discard(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
