"""Hostile checkpoints: the digest is right, the content is not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training.checkpoint_tools import manifest, small, tensor_file

from ltgnn.training import checkpoint_manifest
from ltgnn.training.checkpoint import CheckpointError, load, save


def forge(tmp_path: Path, change: Callable[[dict[str, Any]], None], data: bytes = b"") -> Path:
    """A checkpoint whose manifest was changed and sealed again, as an attacker can."""
    run = tmp_path / "run"
    save(run, {"x": torch.zeros(4), "y": torch.zeros(2)}, {})
    body = json.loads(manifest(run).read_text())["body"]
    change(body)
    text = json.dumps(body).encode()
    manifest(run).write_bytes(checkpoint_manifest.seal(text))
    if data:
        tensor_file(run).write_bytes(data)
    return run


def entry(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["tensors"][0].update(fields)


@pytest.mark.parametrize(
    ("pattern", "change"),
    [
        ("expected version 1, got 2", lambda body: body.update(version=2)),
        ("not of format", lambda body: body.update(format="pickle")),
        ("must hold an object meta", lambda body: body.update(meta=[])),
        ("must hold an object meta", lambda body: body.update(tensors={})),
        ("must hold an object meta", lambda body: body.pop("tensors")),
        ("no more", lambda body: body["tensors"].append([])),
        ("no more", entry(file="../../etc/passwd")),
        ("no more", lambda body: body["tensors"][0].pop("shape")),
        ("distinct, non-empty strings, got 'y'", entry(name="y")),
        ("distinct, non-empty strings, got ''", entry(name="")),
        ("distinct, non-empty strings, got 1", entry(name=1)),
        ("distinct, non-empty strings, got '__metadata__'", entry(name="__metadata__")),
        (r"distinct, non-empty strings, got '\\ud800'", entry(name="\ud800")),
        ("does not match manifest", entry(name="z")),
        ("unknown dtype 'object'", entry(dtype="object")),
        ("unknown dtype", entry(dtype=["F32"])),
        ("must have .* bytes", entry(dtype="F64")),
        ("does not match manifest", entry(dtype="I32")),
        ("does not match manifest", entry(shape=[2, 2])),
        ("list of at most 64", entry(shape="4")),
        ("list of at most 64", entry(shape=[1] * 65)),
        ("sizes must be integers", entry(shape=[-4])),
        ("sizes must be integers", entry(shape=[4.0])),
        ("sizes must be integers", entry(shape=[True, 4])),
        ("sizes must be integers", entry(shape=[1 << 62])),
        ("must have .* bytes", entry(shape=[1 << 61] * 64)),
        ("cannot allocate|must have .* bytes", entry(shape=[0] + [1 << 61] * 8)),
        ("'x' is damaged", entry(sha256="0" * 64)),
        ("'x' is damaged", entry(sha256=None)),
    ],
)
def test_hostile_manifests(
    tmp_path: Path, pattern: str, change: Callable[[dict[str, Any]], None]
) -> None:
    run = forge(tmp_path, change)
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match=pattern):
        load(run)
    assert sorted(path for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("length", [0, 1, 1 << 40, (1 << 64) - 1])
def test_hostile_header_lengths(tmp_path: Path, length: int) -> None:
    run = forge(tmp_path, lambda body: None)
    data = tensor_file(run).read_bytes()
    tensor_file(run).write_bytes(length.to_bytes(8, "little") + data[8:])
    with pytest.raises(CheckpointError, match="header does not match"):
        load(run)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"9" * 10_000, b"{", b"\xff", b"null"])
def test_hostile_json(tmp_path: Path, text: bytes) -> None:
    run = forge(tmp_path, lambda body: None)
    manifest(run).write_bytes(checkpoint_manifest.seal(text))
    with pytest.raises(CheckpointError, match="manifest.json is not"):
        load(run)


def test_a_bool_that_is_neither(tmp_path: Path) -> None:
    save(tmp_path, {"x": torch.tensor([1, 7], dtype=torch.uint8)}, {})
    data = tensor_file(tmp_path).read_bytes()
    body = json.loads(manifest(tmp_path).read_text())["body"]
    body["tensors"][0]["dtype"] = "BOOL"
    header = checkpoint_manifest.header(body["tensors"])
    tensor_file(tmp_path).write_bytes(header + data[-2:])
    manifest(tmp_path).write_bytes(checkpoint_manifest.manifest({}, body["tensors"]))
    with pytest.raises(CheckpointError, match="a bool must be 0 or 1"):
        load(tmp_path)


def test_links_and_pipes_are_refused(tmp_path: Path) -> None:
    target = save(tmp_path / "other", small(), {})
    run = tmp_path / "run"
    run.mkdir()
    (run / "checkpoint-000000").symlink_to(target)
    with pytest.raises(CheckpointError, match="found none"):
        load(run)
    path = save(run, small(), {})
    (path / "manifest.json").unlink()
    (path / "manifest.json").symlink_to(target / "manifest.json")
    with pytest.raises(CheckpointError, match="cannot read it"):
        load(run)
    (path / "manifest.json").unlink()
    os.mkfifo(path / "manifest.json")
    with pytest.raises(CheckpointError, match="not a regular file"):
        load(run)


def test_a_huge_manifest_is_not_read_to_its_end(tmp_path: Path) -> None:
    save(tmp_path, small(), {})
    os.truncate(manifest(tmp_path), 1 << 40)  # sparse: takes no space
    with pytest.raises(CheckpointError, match="exceeds"):
        load(tmp_path)


def test_a_canary_pickle_is_not_run(tmp_path: Path) -> None:
    # GLOBAL os.system, the argument, REDUCE: what torch.load of old would have executed.
    canary = tmp_path / "canary"
    payload = f"cos\nsystem\n(S'touch {canary}'\ntR.".encode()
    run = forge(tmp_path, lambda body: None, payload)
    with pytest.raises(CheckpointError):
        load(run)
    manifest(run).write_bytes(payload)
    with pytest.raises(CheckpointError):
        load(run)
    assert not canary.exists()
