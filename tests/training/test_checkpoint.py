"""Checkpoints: exact round trips, what is kept, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from training.checkpoint_tools import META, manifest, names, saved_value, small, tensor_file

from ltgnn.training import checkpoint_manifest
from ltgnn.training.checkpoint import CheckpointError, CheckpointWarning, load, load_into, save


def test_round_trip_of_every_dtype_and_shape(tmp_path: Path) -> None:
    generator = torch.manual_seed(0)
    tensors = {}
    for dtype in checkpoint_manifest.CODES:
        values = torch.randint(0, 2, (3, 4, 5), generator=generator).to(dtype)
        tensors[f"full {dtype}"] = values
        tensors[f"scalar {dtype}"] = values[0, 0, 0]
        tensors[f"empty {dtype}"] = values[:0]
    tensors["nan"] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    tensors["naïve/../../name\n"] = torch.arange(3)
    path = save(tmp_path / "new" / "run", tensors, META)
    got = load(tmp_path / "new" / "run")
    assert got.path == path
    assert got.meta == META
    assert got.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert got.tensors[name].dtype == tensor.dtype, name
        assert got.tensors[name].shape == tensor.shape, name
        raw = (x.reshape(-1).view(torch.uint8) for x in (got.tensors[name], tensor.contiguous()))
        assert torch.equal(*raw), name


def test_shared_strided_negated_and_grad_tensors(tmp_path: Path) -> None:
    base = torch.arange(24.0).view(4, 6)
    tensors = {
        "base": base,
        "same": base,
        "row": base[1],
        "transposed": base.t(),
        "strided": base[::2, 1::3],
        "expanded": torch.tensor([7.0]).expand(3, 2),
        "negated": torch._neg_view(base[0]),
        "parameter": torch.nn.Parameter(base.clone()),
    }
    save(tmp_path, tensors, {})
    got = load(tmp_path).tensors
    for name, tensor in tensors.items():
        assert torch.equal(got[name], tensor), name
    assert not got["parameter"].requires_grad
    got["base"].zero_()
    assert torch.equal(got["same"], base)  # nothing is shared after loading


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64])
@pytest.mark.parametrize(
    ("shape", "strides"), [((0,), (0,)), ((0, 3), (0, 0)), ((1,), (0,)), ((1,), (40,)), ((), ())]
)
def test_odd_strides_of_numpy_arrays(
    tmp_path: Path, dtype: Any, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    # numpy gives an array of at most one element any stride, and torch calls it contiguous.
    array = np.lib.stride_tricks.as_strided(np.arange(3, 12, dtype=dtype), shape, strides)
    tensor = torch.from_numpy(array)
    save(tmp_path, {"x": tensor, "y": torch.ones(2)}, {})
    got = load(tmp_path).tensors["x"]
    assert got.dtype == tensor.dtype
    assert got.shape == tensor.shape
    assert torch.equal(got, tensor)


def test_no_tensors_at_all(tmp_path: Path) -> None:
    save(tmp_path, {}, {"a": 1})
    assert load(tmp_path).tensors == {}


def test_other_libraries_can_read_the_tensors(tmp_path: Path) -> None:
    tensors = {**small(), "half": torch.ones(3).bfloat16(), "flag": torch.tensor([True, False])}
    save(tmp_path, tensors, {})
    got = safetensors.torch.load_file(tensor_file(tmp_path))
    assert got.keys() == tensors.keys()
    assert all(torch.equal(got[name], tensor) for name, tensor in tensors.items())
    assert json.loads(manifest(tmp_path).read_text())["body"]["tensors"][0]["name"] == "step"


def test_keeps_two_and_counts_on(tmp_path: Path) -> None:
    paths = [save(tmp_path, small(value), {}) for value in range(5)]
    assert names(tmp_path) == ["checkpoint-000003", "checkpoint-000004"]
    assert paths[-1] == tmp_path / "checkpoint-000004"
    assert saved_value(tmp_path) == 4


@pytest.mark.parametrize(
    ("error", "pattern", "tensors", "meta"),
    [
        (ValueError, "non-empty Unicode str, got ''", {"": torch.ones(1)}, {}),
        (ValueError, "got '__metadata__'", {"__metadata__": torch.ones(1)}, {}),
        (ValueError, "Unicode", {"\ud800": torch.ones(1)}, {}),
        (TypeError, "x must be a tensor, got list", {"x": [1.0]}, {}),
        (
            TypeError,
            "x must be dense, .*complex64",
            {"x": torch.ones(1, dtype=torch.complex64)},
            {},
        ),
        (TypeError, "x must be dense, .*sparse_coo", {"x": torch.eye(2).to_sparse()}, {}),
        (TypeError, "x must be dense, .*meta", {"x": torch.ones(1, device="meta")}, {}),
        (TypeError, "x must be dense, at most 64-D.*got .*65-D", {"x": torch.ones([1] * 65)}, {}),
        (TypeError, "meta must be a dict, got list", {}, []),
        (TypeError, "keys of meta must be str, got 1", {}, {"a": [{1: 2}]}),
        (TypeError, "not JSON serializable", {}, {"a": torch.ones(1)}),
        (ValueError, "not JSON compliant", {}, {"a": float("nan")}),
    ],
)
def test_what_cannot_be_saved(
    tmp_path: Path, error: type[Exception], pattern: str, tensors: Any, meta: Any
) -> None:
    with pytest.raises(error, match=pattern):
        save(tmp_path, tensors, meta)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("tensors", "meta"), [({}, {"a": "x" * 1000}), ({"x" * 1000: torch.ones(1)}, {})]
)
def test_huge_manifests_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tensors: Any, meta: Any
) -> None:
    monkeypatch.setattr(checkpoint_manifest, "MAX_MANIFEST", 2000)
    with pytest.raises(ValueError, match="must fit 1000 bytes"):
        save(tmp_path / "run", tensors, meta)
    assert not (tmp_path / "run").exists()


def test_load_into_fills_the_tensors_that_are_there(tmp_path):
    """Small and large ones, without a second copy of the large."""
    big, small, step = torch.arange(3 << 20).float(), torch.tensor([1.5, 2.5]), torch.tensor(7)
    save(tmp_path, {"big": big, "small": small, "step": step}, {"a": 1})
    mine = {"big": torch.zeros(3 << 20), "small": torch.zeros(2), "step": torch.tensor(0)}
    addresses = {name: tensor.data_ptr() for name, tensor in mine.items()}
    versions = {name: tensor._version for name, tensor in mine.items()}
    loaded = load_into(tmp_path, mine)
    assert loaded.meta == {"a": 1}
    assert torch.equal(mine["big"], big) and torch.equal(mine["small"], small) and mine["step"] == 7
    assert addresses == {name: tensor.data_ptr() for name, tensor in mine.items()}
    assert mine["step"]._version > versions["step"], "a captured step looks at it"


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"a": torch.zeros(2)}, "expected tensors"),
        ({"a": torch.zeros(2), "b": torch.zeros(4)}, r"'b': expected F32 \[4\], got F32 \[3\]"),
        ({"a": torch.zeros(2), "b": torch.zeros(3, dtype=torch.int32)}, "'b': expected I32"),
    ],
)
def test_load_into_refuses_what_does_not_fit(tensors, message, tmp_path):
    save(tmp_path, {"a": torch.ones(2), "b": torch.ones(3)}, {})
    with pytest.raises(CheckpointError, match=message):
        load_into(tmp_path, tensors)
    assert all(not tensor.any() for tensor in tensors.values())


def test_load_into_passes_over_a_damaged_checkpoint_before_it_writes(tmp_path):
    save(tmp_path, {"a": torch.ones(2 << 20)}, {})
    damaged = save(tmp_path, {"a": torch.full((2 << 20,), 2.0)}, {}) / "tensors.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-5] ^= 1
    damaged.write_bytes(content)
    mine = {"a": torch.zeros(2 << 20)}
    with pytest.warns(CheckpointWarning):
        load_into(tmp_path, mine)
    assert (mine["a"] == 1).all()
