"""One checkpoint as two files: written with digests, verified in full when read; no pickle.

``tensors.safetensors`` holds the tensors and can be read by any safetensors library.
``manifest.json`` holds the caller's ``meta`` and, for every tensor, name, dtype, shape and the
digest of its bytes; its first line is the digest of all that follows. The header of the tensor
file follows from the manifest byte for byte, so it is compared, never parsed: nothing in that
file is trusted.

The digest is SHA-256: x86 and Arm have instructions for it (1.6 GB/s a core here, twice BLAKE2b),
and hashlib releases the interpreter lock, so that tensors are hashed in parallel with writing.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltgnn.training.checkpoint_manifest import (
    CODES,
    DTYPES,
    MANIFEST_FILE,
    MAX_DIMS,
    MAX_MANIFEST,
    TENSORS_FILE,
    CheckpointError,
    check_keys,
    digest_of,
    header,
    is_name,
    manifest,
    num_bytes,
    unseal,
)

_PIECE = 4 << 20
_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Packed:
    """What `write` takes: everything but the digests, in the order of the tensor file."""

    arrays: list[memoryview]
    entries: list[dict[str, Any]]
    meta: dict[str, Any]


def pack(tensors: Mapping[str, Tensor], meta: Any) -> Packed:
    """Check what `ltgnn.training.checkpoint.save` was given; memory is shared where possible.

    Raises:
        TypeError: a tensor's dtype or layout, or something in meta, cannot be stored.
        ValueError: a tensor's name is not usable, or meta is huge or holds NaN or infinity.
    """
    arrays = {name: _raw(name, tensor) for name, tensor in tensors.items()}
    if not isinstance(meta, dict):
        raise TypeError(f"save: meta must be a dict, got {type(meta).__name__}")
    check_keys(meta)
    # Wide types first keeps every tensor aligned to its element size.
    order = sorted(arrays, key=lambda name: (-tensors[name].element_size(), name))
    entries: list[dict[str, Any]] = [
        {"name": n, "dtype": CODES[tensors[n].dtype], "shape": list(tensors[n].shape)}
        for n in order
    ]
    manifest(meta, [{**entry, "sha256": "0" * 64} for entry in entries])  # as long as the final one
    return Packed([arrays[name] for name in order], entries, meta)


def write(folder: Path, packed: Packed) -> None:
    """Write both files into an empty folder; their content, not their names, is then on disk."""
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = [pool.submit(digest_of, array) for array in packed.arrays]
        with _create(folder / TENSORS_FILE) as file:
            file.write(header(packed.entries))
            for array in packed.arrays:
                file.write(array)
    pairs = zip(packed.entries, digests, strict=True)
    entries = [{**entry, "sha256": digest.result()} for entry, digest in pairs]
    with _create(folder / MANIFEST_FILE) as file:
        file.write(manifest(packed.meta, entries))


def read(
    folder: Path, *, keep: bool = True, into: Mapping[str, Tensor] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read and verify the checkpoint in a folder.

    Args:
        folder: where `write` has put it.
        keep: False to verify it piece by piece and return no tensors.
        into: tensors to read into, of the same names, shapes and dtypes; None: new ones.

    Returns:
        (tensors, meta) as written.

    Raises:
        CheckpointError: a file is missing, damaged, not as `write` makes it, or does not fit `into`.
    """
    try:
        with _open(folder / MANIFEST_FILE) as file:
            sealed = file.read(MAX_MANIFEST + 1)
        if len(sealed) > MAX_MANIFEST:
            raise CheckpointError(f"{MANIFEST_FILE} exceeds {MAX_MANIFEST} bytes")
        with _open(folder / TENSORS_FILE) as file:
            size = os.fstat(file.fileno()).st_size
            return verify(sealed, file, size, keep=keep, into=into)
    except OSError as error:
        raise CheckpointError(f"cannot read it: {error}") from error


def verify(
    sealed: bytes,
    stream: io.BufferedIOBase,
    size: int,
    *,
    keep: bool = True,
    into: Mapping[str, Tensor] | None = None,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """`read`, given the manifest and a stream of ``size`` bytes with the tensors."""
    fields = unseal(sealed)
    entries = fields["tensors"]
    head = header(entries)
    expected = len(head) + sum(num_bytes(entry) for entry in entries)
    if size != expected:  # before anything is allocated
        raise CheckpointError(f"{TENSORS_FILE} must have {expected} bytes, got {size}")
    if stream.read(len(head)) != head:
        raise CheckpointError(
            f"{TENSORS_FILE} is damaged: its header does not match {MANIFEST_FILE}"
        )
    if into is not None:
        _check_fit(entries, into)
    if not keep:
        for entry in entries:
            if _stream_digest(stream, entry) != entry["sha256"]:
                raise CheckpointError(f"{entry['name']!r} is damaged: its digest does not match")
        return {}, fields["meta"]
    tensors: dict[str, Tensor] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        pending = []
        for entry in entries:
            given = None if into is None else into[entry["name"]]
            tensor = _read_tensor(stream, entry, given)
            pending.append((pool.submit(digest_of, _view(tensor)), entry))
            tensors[entry["name"]] = tensor
        for digest, entry in pending:
            if digest.result() != entry["sha256"]:
                raise CheckpointError(f"{entry['name']!r} is damaged: its digest does not match")
    if into is not None:
        for name, tensor in tensors.items():
            if tensor.data_ptr() != into[name].data_ptr():
                into[name].copy_(tensor)
    return tensors, fields["meta"]


def _check_fit(entries: list[dict[str, Any]], into: Mapping[str, Tensor]) -> None:
    names = {entry["name"] for entry in entries}
    if names != into.keys():
        raise CheckpointError(f"expected tensors {sorted(into)}, got {sorted(names)}")
    for entry in entries:
        tensor = into[entry["name"]]
        wanted, got = (CODES[tensor.dtype], list(tensor.shape)), (entry["dtype"], entry["shape"])
        if wanted != got:
            raise CheckpointError(
                f"{entry['name']!r}: expected {wanted[0]} {wanted[1]}, got {got[0]} {got[1]}"
            )


def _raw(name: str, tensor: Tensor) -> memoryview:
    """The bytes of one tensor; a view of its memory where it is contiguous on the CPU."""
    if not is_name(name):
        raise ValueError(f"save: a tensor's name must be a non-empty Unicode str, got {name!r}")
    if not isinstance(tensor, Tensor):
        raise TypeError(f"save: {name} must be a tensor, got {type(tensor).__name__}")
    dense = tensor.layout == torch.strided and not tensor.is_meta
    if not dense or tensor.dtype not in CODES or tensor.dim() > MAX_DIMS:
        raise TypeError(
            f"save: {name} must be dense, at most {MAX_DIMS}-D, of one of "
            f"{', '.join(map(str, CODES))}, got {tensor.dtype}, {tensor.layout}, {tensor.device}, {tensor.dim()}-D"
        )
    return _view(tensor.detach().resolve_neg().cpu().contiguous())


def _view(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous tensor on the CPU.

    Of at most one element, a tensor of any stride counts as contiguous; `view` wants stride 1.
    """
    return tensor.as_strided((tensor.numel(),), (1,)).view(torch.uint8).numpy().data


def _stream_digest(stream: io.BufferedIOBase, entry: Mapping[str, Any]) -> str:
    """The digest of a tensor that is not kept."""
    hasher, left, buffer = hashlib.sha256(), num_bytes(entry), memoryview(bytearray(_PIECE))
    while left:
        count = stream.readinto(buffer[: min(left, _PIECE)])
        if not count:
            raise CheckpointError(f"{TENSORS_FILE} ends within {entry['name']!r}")
        if entry["dtype"] == "BOOL" and max(buffer[:count]) > 1:
            raise CheckpointError(f"{entry['name']!r}: a bool must be 0 or 1")
        hasher.update(buffer[:count])
        left -= count
    return hasher.hexdigest()


def _read_tensor(
    stream: io.BufferedIOBase, entry: Mapping[str, Any], given: Tensor | None
) -> Tensor:
    """One tensor: into the memory of `given` where that is large and can be written to as it is."""
    name, dtype = entry["name"], DTYPES[entry["dtype"]]
    if given is not None and given.is_cpu and given.is_contiguous() and given.nbytes >= _PIECE:
        tensor = given.detach()
    else:
        try:
            tensor = torch.empty(entry["shape"], dtype=dtype)
        except (RuntimeError, MemoryError) as error:
            raise CheckpointError(f"{name!r}: cannot allocate {entry['shape']}") from error
    view, done = _view(tensor), 0
    while done < len(view):
        count = stream.readinto(view[done:])
        if not count:
            raise CheckpointError(f"{TENSORS_FILE} ends within {name!r}")
        done += count
    if dtype == torch.bool and tensor.numel() and int(tensor.view(torch.uint8).max()) > 1:
        raise CheckpointError(f"{name!r}: a bool must be 0 or 1")  # else undefined behaviour
    return tensor


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
