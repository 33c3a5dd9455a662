"""Numpy archives: matrices of scipy and plain arrays; damage and hostile archives."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from ltgnn.data import Interactions, detect, read
from ltgnn.data.formats import ReadOptions, npz


def cells(pairs: Interactions) -> list[tuple[int, int, float]]:
    values = pairs.values.tolist() if pairs.values is not None else [1.0] * len(pairs)
    return sorted(zip(pairs.users.tolist(), pairs.items.tolist(), values, strict=True))


@given(
    st.sets(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=25),
    st.sampled_from(["csr", "csc", "coo"]),
    st.booleans(),
    st.sampled_from([np.float32, np.int64, np.bool_]),
)
def test_scipy_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: set[tuple[int, int]],
    kind: str,
    packed: bool,
    dtype: Any,
) -> None:
    path = tmp_path_factory.mktemp("npz") / "m.npz"
    ordered = sorted(drawn)
    rows, columns = [u for u, _ in ordered], [i for _, i in ordered]
    data = np.arange(1, len(ordered) + 1).astype(dtype)
    matrix = sparse.coo_matrix((data, (rows, columns)), shape=(7, 5)).asformat(kind)
    sparse.save_npz(path, matrix, compressed=packed)
    assert detect(path) == "npz"
    pairs = npz.read_file(path)
    expected = [(u, i, float(v)) for (u, i), v in zip(ordered, data.tolist(), strict=True)]
    assert cells(pairs) == expected
    if ordered:
        assert (pairs.num_users, pairs.num_items) == (7, 5)
        assert (pairs.values is None) == (dtype is np.bool_)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_pieces_are_the_whole(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    matrix = sparse.random(400, 300, 0.2, kind, np.float32, rng)
    sparse.save_npz(tmp_path / "m.npz", matrix)
    whole = npz.read_file(tmp_path / "m.npz")
    pieces = list(npz.read_pieces(tmp_path / "m.npz", ReadOptions(), 1))
    assert len(pieces) == -(-matrix.nnz // 1024)
    assert np.array_equal(np.concatenate([piece.users for piece in pieces]), whole.users)
    assert np.array_equal(np.concatenate([piece.items for piece in pieces]), whole.items)
    assert (whole.to_scipy() != matrix.tocsr()).nnz == 0


def test_plain_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, users=np.array([3, 0], np.uint8), items=[1, 2], values=[1, 2], times=[5.0, 6])
    pairs = read(path, split="none").train
    assert (pairs.num_users, pairs.num_items) == (4, 3)
    assert pairs.values is not None and pairs.times is not None
    assert (pairs.values.tolist(), pairs.times.tolist()) == ([1, 2], [5, 6])
    np.savez(tmp_path / "empty.npz", users=np.zeros(0, int), items=np.zeros(0, int))
    assert len(read(tmp_path / "empty.npz").train) == 0


def archive(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


CSR = {"format": np.array(b"csr"), "shape": [2, 3], "indptr": [0, 1, 2], "indices": [0, 2],
       "data": [1.0, 1.0]}  # fmt: skip


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": [1]}, "expected a scipy matrix or arrays users and items"),
        ({"users": [0], "items": [0, 1]}, "expected arrays of one length"),
        ({"users": [0.5], "items": [0]}, "users: expected integers"),
        ({"users": [-1], "items": [0]}, "users must lie from 0"),
        ({"users": [0], "items": [0], "values": [np.nan]}, "finite in float32, got nan"),
        ({"users": np.array([{}]), "items": [0]}, "expected a 1-D array of numbers"),
        ({"users": [[0]], "items": [0]}, "expected a 1-D array of numbers"),
        ({**CSR, "format": np.array(b"bsr")}, "of format csr, csc or coo, got 'bsr'"),
        ({**CSR, "format": [1, 2]}, "format: expected text"),
        ({**CSR, "shape": [2]}, "shape: expected two integers"),
        ({**CSR, "indptr": [0, 2, 1]}, "indptr: expected to ascend from 0 to 2"),
        ({**CSR, "indptr": [0, 5, 2]}, "indptr: expected to ascend from 0 to 2"),
        ({**CSR, "indptr": [0, 2]}, "indptr: expected 3 integers, got 2"),
        ({**CSR, "indices": [0, 3]}, "items must lie from 0 to 2, got 3"),
        ({**CSR, "indices": [0, -1]}, "items must lie from 0 to 2, got -1"),
        ({**CSR, "data": [1.0]}, "expected arrays of one length"),
        ({**CSR, "data": [1.0, np.inf]}, "finite in float32, got inf"),
        ({k: v for k, v in CSR.items() if k != "indptr"}, "expected an array indptr, got"),
    ],
)
def test_refuses(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read(archive(tmp_path / "a.npz", **arrays))
    assert "a.npz: " in str(caught.value)


def test_damage_is_an_error(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", users=np.arange(300), items=np.arange(300))
    data = path.read_bytes()
    for size in range(4, len(data), 83):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match="expected an intact npz archive"):
            read(path)
    for place in range(0, len(data), 29):
        damaged = bytearray(data)
        damaged[place] ^= 16
        path.write_bytes(damaged)
        try:
            pairs = read(path, format="npz").train  # in slack of the zip format nothing is lost
        except (ValueError, KeyError):
            continue
        assert len(pairs) <= 300


def test_lying_headers(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<i8", "fortran_order": False, "shape": (2**50,)}
    )
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("users", "items"):
            file.writestr(f"{name}.npy", header.getvalue() + bytes(80))
    with pytest.raises(ValueError, match="users: expected .* elements, got fewer"):
        read(path)


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltgnn.data.formats.npz._FLOOR", 1 << 20)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, users=np.zeros(2**20, np.int64), items=np.zeros(2**20, np.int64))
    with pytest.raises(ValueError, match="expected at most 3[0-9]* bytes|pass a larger max_bytes"):
        read(path)
    assert len(read(path, max_bytes=2**25, split="none").train) == 2**20


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_progress_ends_at_the_size_of_the_file(tmp_path: Path, kind: str, compressed: bool) -> None:
    path = tmp_path / "m.npz"
    matrix = sparse.random_array((300, 200), density=0.5, format=kind, rng=np.random.default_rng(0))
    sparse.save_npz(path, matrix, compressed=compressed)
    told: list[int] = []
    pieces = list(npz.read_pieces(path, ReadOptions(on_bytes=told.append), 1 << 14))
    assert sum(len(piece) for piece in pieces) == matrix.nnz and len(told) > 2
    assert 0.9 * path.stat().st_size < sum(told) <= path.stat().st_size
