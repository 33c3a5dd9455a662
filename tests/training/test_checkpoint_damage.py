"""Checkpoints: no damage goes unnoticed, and an older intact one is found."""

from __future__ import annotations

import io
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from training.checkpoint_tools import META, manifest, names, saved_value, small, tensor_file

from ltgnn.training import checkpoint_format
from ltgnn.training.checkpoint import CheckpointError, CheckpointWarning, load, save


@pytest.fixture
def stored(tmp_path: Path) -> tuple[bytes, bytes]:
    """(manifest, tensors) of a small checkpoint, with slack in it: padding, empty, NaN, bool."""
    extra = {
        "none": torch.ones(0),
        "flag": torch.tensor([True]),
        "nan": torch.full((2,), torch.nan),
    }
    save(tmp_path / "stored", {**small(), **extra}, META)
    return manifest(tmp_path / "stored").read_bytes(), tensor_file(tmp_path / "stored").read_bytes()


def verify(manifest_bytes: bytes, tensor_bytes: bytes) -> None:
    checkpoint_format.verify(manifest_bytes, io.BytesIO(tensor_bytes), len(tensor_bytes))


def test_10000_bit_flips_are_all_detected(stored: tuple[bytes, bytes]) -> None:
    verify(*stored)
    rng = random.Random(0)
    sizes = [len(part) * 8 for part in stored]
    places = [(which, bit) for which in (0, 1) for bit in range(sizes[which])]
    assert len(places) > 10_000
    for which, bit in rng.sample(places, 10_000):
        parts = [bytearray(part) for part in stored]
        parts[which][bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(CheckpointError):
            verify(bytes(parts[0]), bytes(parts[1]))


def test_1000_truncations_and_growth_are_all_detected(stored: tuple[bytes, bytes]) -> None:
    rng = random.Random(1)
    for _ in range(1_000):
        which = rng.randrange(2)
        parts = list(stored)
        parts[which] = parts[which][: rng.randrange(len(parts[which]))]
        with pytest.raises(CheckpointError):
            verify(*parts)
    for grown in ((stored[0] + b"\n", stored[1]), (stored[0], stored[1] + b"\0")):
        with pytest.raises(CheckpointError):
            verify(*grown)


def test_truncation_after_the_size_was_read(stored: tuple[bytes, bytes]) -> None:
    with pytest.raises(CheckpointError, match="ends within"):
        checkpoint_format.verify(stored[0], io.BytesIO(stored[1][:-1]), len(stored[1]))


@pytest.mark.parametrize("which", [manifest, tensor_file])
def test_damaged_files_fall_back_with_a_warning(
    tmp_path: Path, which: Callable[[Path], Path]
) -> None:
    save(tmp_path, small(1), {})
    save(tmp_path, small(2), {})
    file = which(tmp_path)
    good, rng = file.read_bytes(), random.Random(2)
    for _ in range(60):
        data = bytearray(good)
        if rng.random() < 0.5:
            del data[rng.randrange(len(data)) :]
        else:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(data)
        with pytest.warns(CheckpointWarning, match="using checkpoint-000000.*checkpoint-000001: "):
            assert saved_value(tmp_path) == 1
    file.unlink()
    with pytest.warns(CheckpointWarning, match="checkpoint-000001: cannot read it"):
        assert saved_value(tmp_path) == 1
    file.write_bytes(good)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert saved_value(tmp_path) == 2


def test_mixed_up_files_are_refused(tmp_path: Path) -> None:
    first, second = save(tmp_path, small(1), {}), save(tmp_path, small(2), {})
    shutil.copy(first / "tensors.safetensors", second / "tensors.safetensors")
    with pytest.warns(CheckpointWarning, match="'(emb|step)' is damaged"):
        assert saved_value(tmp_path) == 1


def test_every_problem_is_named_when_none_is_left(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot list"):
        load(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="expected checkpoint-NNNNNN .* found none"):
        load(tmp_path)
    first, second = save(tmp_path, small(1), {}), save(tmp_path, small(2), {})
    (first / "manifest.json").write_text("{}")
    (second / "tensors.safetensors").write_bytes(b"")
    pattern = "checkpoint-000001: tensors.safetensors must have .* checkpoint-000000: manifest.json"
    with pytest.raises(CheckpointError, match=pattern):
        load(tmp_path)


def test_the_intact_one_is_kept_not_just_the_newest(tmp_path: Path) -> None:
    save(tmp_path, small(1), {})
    save(tmp_path, small(2), {})
    tensor_file(tmp_path).write_bytes(b"damaged")
    save(tmp_path, small(3), {})
    assert names(tmp_path) == ["checkpoint-000000", "checkpoint-000002"]
    tensor_file(tmp_path).write_bytes(b"damaged")
    with pytest.warns(CheckpointWarning):
        assert saved_value(tmp_path) == 1
