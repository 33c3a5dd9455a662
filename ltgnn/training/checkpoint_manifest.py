"""The manifest of a checkpoint, and the header of its tensor file, which follows from it byte for byte."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import torch

_FORMAT = "ltgnn-checkpoint"
_VERSION = 1
TENSORS_FILE, MANIFEST_FILE = "tensors.safetensors", "manifest.json"
_SEAL = b'{"sha256": "%b",\n"body": %b}\n'  # a manifest: digest and body, together valid JSON
_BODY_START, _BODY_END = _SEAL.replace(b"%b", b"0" * 64, 1).index(b"%b"), -2
MAX_MANIFEST = 64 << 20
MAX_DIMS = 64
DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8},
    **{"U8": torch.uint8, "BOOL": torch.bool},
}
CODES = {dtype: code for code, dtype in DTYPES.items()}


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, or none can be loaded; says which file and why."""


def header(entries: list[dict[str, Any]]) -> bytes:
    """The safetensors header of these tensors in this order: length, JSON, spaces to 8 bytes."""
    fields: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for entry in entries:
        begin, end = end, end + num_bytes(entry)
        place = {"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": [begin, end]}
        fields[entry["name"]] = place
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def manifest(meta: dict[str, Any], entries: list[dict[str, Any]]) -> bytes:
    """The manifest file's bytes; TypeError or ValueError where they cannot be made."""
    body = {"format": _FORMAT, "version": _VERSION, "meta": meta, "tensors": entries}
    data = json.dumps(body, allow_nan=False, indent=1).encode()
    if len(data) > MAX_MANIFEST // 2:
        raise ValueError(f"save: meta and names must fit {MAX_MANIFEST // 2} bytes of JSON")
    return seal(data)


def seal(body: bytes) -> bytes:
    """Put the digest of JSON text before it; the whole is JSON again."""
    return _SEAL % (digest_of(body).encode(), body)


def unseal(sealed: bytes) -> dict[str, Any]:
    """Verify a manifest's bytes, digest first, then every field that is relied on."""
    body = sealed[_BODY_START:_BODY_END]
    if sealed != seal(body):
        raise CheckpointError(f"{MANIFEST_FILE} is damaged: its digest does not match")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{MANIFEST_FILE} is not JSON: {error}") from error
    if not isinstance(fields, dict) or fields.get("format") != _FORMAT:
        raise CheckpointError(f"{MANIFEST_FILE} is not of format {_FORMAT}")
    if fields.get("version") != _VERSION:
        raise CheckpointError(f"expected version {_VERSION}, got {fields.get('version')!r}")
    entries = fields.get("tensors")
    if not isinstance(fields.get("meta"), dict) or not isinstance(entries, list):
        raise CheckpointError(f"{MANIFEST_FILE} must hold an object meta and a list tensors")
    names: set[str] = set()
    for entry in entries:
        _check_entry(entry, names)
    return fields


def _check_entry(entry: Any, names: set[str]) -> None:
    if not isinstance(entry, dict) or entry.keys() != {"name", "dtype", "shape", "sha256"}:
        raise CheckpointError("a tensor must have name, dtype, shape and sha256, no more")
    name, dtype, shape = entry["name"], entry["dtype"], entry["shape"]
    if not is_name(name) or name in names:
        raise CheckpointError(f"tensor names must be distinct, non-empty strings, got {name!r}")
    names.add(name)
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise CheckpointError(f"{name!r}: unknown dtype {dtype!r}")
    if not isinstance(shape, list) or len(shape) > MAX_DIMS:
        raise CheckpointError(f"{name!r}: shape must be a list of at most {MAX_DIMS} sizes")
    # `type`, since a bool is an int too; 2**62 bytes is beyond any file.
    if any(type(size) is not int or not 0 <= size < 1 << 62 for size in shape):
        raise CheckpointError(f"{name!r}: sizes must be integers of at least 0, got {shape}")


def check_keys(value: Any) -> None:
    """Refuse keys that are no str: json would turn 1 into "1" without a word."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"save: keys of meta must be str, got {key!r}")
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            check_keys(part)


def is_name(name: object) -> bool:
    """A str that JSON and UTF-8 can hold and that safetensors does not reserve."""
    return (
        isinstance(name, str)
        and name not in ("", "__metadata__")
        and not any("\ud800" <= letter <= "\udfff" for letter in name)  # lone surrogates
    )


def digest_of(data: memoryview | bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def num_bytes(entry: Mapping[str, Any]) -> int:
    return int(math.prod(entry["shape"])) * int(DTYPES[entry["dtype"]].itemsize)
