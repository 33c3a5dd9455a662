"""Checkpoints that survive crashes, full disks and damaged or hostile files; no pickle.

Layout: ``run_dir/checkpoint-000012/`` holds ``tensors.safetensors`` (readable by any safetensors
library) and ``manifest.json``. Numbers rise by one with each save and are never reused, so the
highest is the latest. The manifest holds the caller's ``meta`` and, for every tensor, name, dtype,
shape and the digest of its bytes; its first line is the digest of all that follows. The header of
the tensor file follows from the manifest byte for byte, so it is compared, never parsed: nothing
in that file is trusted.

A save writes into a directory with a temporary name, fsyncs both files and the directory, renames
it and fsyncs the run directory. Only then are older checkpoints removed, and of those the newest
that still verifies stays. Saving is for one process at a time (rank 0).

The digest is SHA-256: x86 and Arm have instructions for it (1.6 GB/s a core here, twice BLAKE2b),
and hashlib releases the interpreter lock, so that tensors are hashed in parallel with writing.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import re
import shutil
import stat
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["Checkpoint", "CheckpointError", "CheckpointWarning", "load", "save"]

_FORMAT = "ltgnn-checkpoint"
_VERSION = 1
_TENSORS, _MANIFEST = "tensors.safetensors", "manifest.json"
_NAME = re.compile(r"checkpoint-(\d{6,15})")
_LITTER = ".tmp-checkpoint-"
_MAX_MANIFEST = 64 << 20
_THREADS = min(4, os.cpu_count() or 1)
# The manifest file is `prefix + hex digest + middle + body + suffix`, which is valid JSON.
_PREFIX, _MIDDLE, _SUFFIX = b'{"sha256": "', b'",\n"body": ', b"}\n"
_DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8},
    **{"U8": torch.uint8, "BOOL": torch.bool},
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, or none can be loaded; says which file and why."""


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
    arrays = {name: _raw(name, tensor) for name, tensor in tensors.items()}
    if not isinstance(meta, dict):
        raise TypeError(f"save: meta must be a dict, got {type(meta).__name__}")
    _check_keys(meta)
    _seal(meta, [])  # before anything is written
    # Wide types first keeps every tensor aligned to its element size.
    order = sorted(arrays, key=lambda name: (-tensors[name].element_size(), name))
    entries: list[dict[str, Any]] = [
        {"name": n, "dtype": _CODES[tensors[n].dtype], "shape": list(tensors[n].shape)}
        for n in order
    ]
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
        with ThreadPoolExecutor(_THREADS) as pool:
            digests = [pool.submit(_digest, arrays[name]) for name in order]
            with _create(working / _TENSORS) as file:
                file.write(_header(entries))
                for name in order:
                    file.write(arrays[name])
        for entry, digest in zip(entries, digests, strict=True):
            entry["sha256"] = digest.result()
        with _create(working / _MANIFEST) as file:
            file.write(_seal(meta, entries))
        _sync_dir(working)
        os.replace(working, final)
        _sync_dir(root)
    except BaseException as error:
        if temporary is not None:
            _discard(temporary)
        if not isinstance(error, OSError):
            raise
        size = sum(array.nbytes for array in arrays.values())
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
    root = Path(run_dir)
    problems = []
    try:
        candidates = _candidates(root)
    except OSError as error:
        raise CheckpointError(f"load: cannot list {root}: {error}") from error
    for _, path in candidates:
        try:
            tensors, meta = _read(path)
        except CheckpointError as error:
            problems.append(f"{path.name}: {error}")
            continue
        if problems:
            text = f"load: using {path.name} of {root}, since newer ones are damaged: "
            warnings.warn(text + "; ".join(problems), CheckpointWarning, stacklevel=2)
        return Checkpoint({n: t.to(device) for n, t in tensors.items()}, meta, path)
    if not problems:
        raise CheckpointError(f"load: expected checkpoint-NNNNNN directories in {root}, found none")
    raise CheckpointError(f"load: no checkpoint in {root} is intact: " + "; ".join(problems))


def _raw(name: str, tensor: Tensor) -> memoryview:
    """The bytes of one tensor; a view of its memory where it is contiguous on the CPU."""
    if not _is_name(name):
        raise ValueError(f"save: a tensor's name must be a non-empty Unicode str, got {name!r}")
    if not isinstance(tensor, Tensor):
        raise TypeError(f"save: {name} must be a tensor, got {type(tensor).__name__}")
    if tensor.dtype not in _CODES or tensor.layout != torch.strided or tensor.is_meta:
        raise TypeError(
            f"save: {name} must be dense with one of {', '.join(map(str, _CODES))}, "
            f"got {tensor.dtype}, {tensor.layout}, {tensor.device}"
        )
    return _view(tensor.detach().resolve_neg().cpu().contiguous())


def _view(tensor: Tensor) -> memoryview:
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def _check_keys(value: Any) -> None:
    """Refuse keys that are no str: json would turn 1 into "1" without a word."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"save: keys of meta must be str, got {key!r}")
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            _check_keys(part)


def _is_name(name: object) -> bool:
    """A str that JSON and UTF-8 can hold and that safetensors does not reserve."""
    lone_surrogates = range(0xD800, 0xE000)
    return (
        isinstance(name, str)
        and name not in ("", "__metadata__")
        and not any(ord(letter) in lone_surrogates for letter in name)
    )


def _digest(data: memoryview | bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _nbytes(entry: Mapping[str, Any]) -> int:
    return int(math.prod(entry["shape"])) * int(_DTYPES[entry["dtype"]].itemsize)


def _header(entries: list[dict[str, Any]]) -> bytes:
    """The safetensors header of these tensors in this order: length, JSON, spaces to 8 bytes."""
    fields: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for entry in entries:
        begin, end = end, end + _nbytes(entry)
        place = {"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": [begin, end]}
        fields[entry["name"]] = place
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _seal(meta: dict[str, Any], entries: list[dict[str, Any]]) -> bytes:
    body = {"format": _FORMAT, "version": _VERSION, "meta": meta, "tensors": entries}
    data = json.dumps(body, allow_nan=False, indent=1).encode()
    if len(data) > _MAX_MANIFEST // 2:
        raise ValueError(f"save: meta and names must fit {_MAX_MANIFEST // 2} bytes of JSON")
    return _PREFIX + _digest(data).encode() + _MIDDLE + data + _SUFFIX


def _unseal(data: bytes) -> dict[str, Any]:
    """Verify a manifest's bytes, digest first, then every field that is relied on."""
    start = len(_PREFIX) + 64 + len(_MIDDLE)
    body = data[start : len(data) - len(_SUFFIX)]
    if data != _PREFIX + _digest(body).encode() + _MIDDLE + body + _SUFFIX:
        raise CheckpointError(f"{_MANIFEST} is damaged: its digest does not match")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{_MANIFEST} is not JSON: {error}") from error
    if not isinstance(fields, dict) or fields.get("format") != _FORMAT:
        raise CheckpointError(f"{_MANIFEST} is not of format {_FORMAT}")
    if fields.get("version") != _VERSION:
        raise CheckpointError(f"expected version {_VERSION}, got {fields.get('version')!r}")
    entries = fields.get("tensors")
    if not isinstance(fields.get("meta"), dict) or not isinstance(entries, list):
        raise CheckpointError(f"{_MANIFEST} must hold an object meta and a list tensors")
    names: set[str] = set()
    for entry in entries:
        _check_entry(entry, names)
    return fields


def _check_entry(entry: Any, names: set[str]) -> None:
    if not isinstance(entry, dict) or entry.keys() != {"name", "dtype", "shape", "sha256"}:
        raise CheckpointError("a tensor must have name, dtype, shape and sha256, no more")
    name, dtype, shape = entry["name"], entry["dtype"], entry["shape"]
    if not _is_name(name) or name in names:
        raise CheckpointError(f"tensor names must be distinct, non-empty strings, got {name!r}")
    names.add(name)
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise CheckpointError(f"{name!r}: unknown dtype {dtype!r}")
    if not isinstance(shape, list) or len(shape) > 64:
        raise CheckpointError(f"{name!r}: shape must be a list of at most 64 sizes")
    # `type`, since a bool is an int too; 2**62 bytes is beyond any file.
    if any(type(size) is not int or not 0 <= size < 1 << 62 for size in shape):
        raise CheckpointError(f"{name!r}: sizes must be integers of at least 0, got {shape}")


def _read_from(
    manifest: bytes, stream: io.BufferedIOBase, size: int, *, keep: bool = True
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Verify a checkpoint, given its manifest and a stream of ``size`` bytes with its tensors.

    Without ``keep`` it is verified tensor by tensor and none is returned.
    """
    fields = _unseal(manifest)
    entries = fields["tensors"]
    header = _header(entries)
    expected = len(header) + sum(_nbytes(entry) for entry in entries)
    if size != expected:  # before anything is allocated
        raise CheckpointError(f"{_TENSORS} must have {expected} bytes, got {size}")
    if stream.read(len(header)) != header:
        raise CheckpointError(f"{_TENSORS} is damaged: its header does not match {_MANIFEST}")
    tensors: dict[str, Tensor] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        pending = []
        for entry in entries:
            tensor = _read_tensor(stream, entry)
            pending.append((pool.submit(_digest, _view(tensor)), entry))
            if keep:
                tensors[entry["name"]] = tensor
            else:
                pending[-1][0].result()  # so that one tensor is held at a time
        for digest, entry in pending:
            if digest.result() != entry["sha256"]:
                raise CheckpointError(f"{entry['name']!r} is damaged: its digest does not match")
    return tensors, fields["meta"]


def _read_tensor(stream: io.BufferedIOBase, entry: Mapping[str, Any]) -> Tensor:
    name, dtype = entry["name"], _DTYPES[entry["dtype"]]
    try:
        tensor = torch.empty(entry["shape"], dtype=dtype)
    except (RuntimeError, MemoryError) as error:
        raise CheckpointError(f"{name!r}: cannot allocate {entry['shape']}") from error
    view, done = _view(tensor), 0
    while done < len(view):
        count = stream.readinto(view[done:])
        if not count:
            raise CheckpointError(f"{_TENSORS} ends within {name!r}")
        done += count
    if dtype == torch.bool and tensor.numel() and int(tensor.view(torch.uint8).max()) > 1:
        raise CheckpointError(f"{name!r}: a bool must be 0 or 1")  # else undefined behaviour
    return tensor


def _read(path: Path, *, keep: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with _open(path / _MANIFEST) as file:
            manifest = file.read(_MAX_MANIFEST + 1)
        if len(manifest) > _MAX_MANIFEST:
            raise CheckpointError(f"{_MANIFEST} exceeds {_MAX_MANIFEST} bytes")
        with _open(path / _TENSORS) as file:
            return _read_from(manifest, file, os.fstat(file.fileno()).st_size, keep=keep)
    except OSError as error:
        raise CheckpointError(f"cannot read it: {error}") from error


def _open(path: Path) -> io.BufferedReader:
    """Open a regular file; a link is refused and a pipe does not hang."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise CheckpointError(f"{path.name} is not a regular file")
    return os.fdopen(handle, "rb")


@contextmanager
def _create(path: Path) -> Iterator[io.BufferedWriter]:
    """Write a new file; its content is on disk when the block is left."""
    with open(path, "xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


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
            _read(spare, keep=False)
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
