"""convert: what `read` gives, from any format, for any amount of memory; and nothing left behind."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from ltgnn.data import BlockStore, Dataset, Interactions, convert, read
from ltgnn.data.conversion import buckets, parse_size
from ltgnn.data.conversion.budget import Budget

Triples = dict[tuple[Any, Any], tuple[float, float]]


def triples(pairs: Interactions) -> Triples:
    """{(user id, item id): (sum of values, latest time)}."""
    result: Triples = {}
    users = pairs.users if pairs.user_ids is None else pairs.user_ids[pairs.users]
    items = pairs.items if pairs.item_ids is None else pairs.item_ids[pairs.items]
    values = np.zeros(len(pairs)) if pairs.values is None else pairs.values
    times = np.zeros(len(pairs)) if pairs.times is None else pairs.times
    for user, item, value, when in zip(
        users.tolist(), items.tolist(), values.tolist(), times.tolist(), strict=True
    ):
        total, latest = result.get((user, item), (0.0, -np.inf))
        result[user, item] = (total + value, max(latest, when))
    return result


def check_same(store: Path, expected: Dataset) -> None:
    """That a store is intact and holds a data set, but for repetitions."""
    with BlockStore(store) as opened:
        opened.verify()
        got = opened.dataset()
        matrix = got.train.to_scipy()
        indptr, users = opened.csr("train", "item")
        back = sparse.csr_matrix(
            (np.ones(len(users)), users, indptr), (got.num_items, got.num_users)
        )
        matrix.data[:] = 1
        assert (back.T.tocsr() != matrix).nnz == 0
    assert got.name == expected.name
    assert list(got.parts()) == list(expected.parts())
    for name, part in expected.parts().items():
        other = got.parts()[name]
        assert (other.num_users, other.num_items) == (part.num_users, part.num_items)
        assert triples(other) == triples(part)
        assert np.array_equal(other.user_ids, part.user_ids)  # type: ignore[arg-type]
        assert np.array_equal(other.item_ids, part.item_ids)  # type: ignore[arg-type]
        assert (other.values is None) == (part.values is None or not len(part))
        assert (other.times is None) == (part.times is None or not len(part))


ROWS = [(u * 31 % 17, (u * u + 3) % 23, u % 5 + 1, 1000 + u % 37) for u in range(400)]
NAMES = "user_id,item_id,rating,timestamp\n"


def write_parquet(path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    columns = dict(zip(NAMES.strip().split(","), zip(*ROWS, strict=True), strict=True))
    parquet.write_table(pa.table({name: list(column) for name, column in columns.items()}), path)


def write_npz(path: Path) -> None:
    with open(path, "wb") as file:
        np.savez(
            file, **{n: [r[k] for r in ROWS] for n, k in (("users", 0), ("items", 1), ("times", 3))}
        )


WRITERS: dict[str, Callable[[Path], Any]] = {
    "lightgcn": lambda path: path.write_text(
        "".join(f"{u} " + " ".join(str(r[1]) for r in ROWS if r[0] == u) + "\n" for u in range(20))
    ),
    "csv": lambda path: path.write_text(NAMES + "".join(f"{u},{i},{v},{t}\n" for u, i, v, t in ROWS)),
    "csv.gz": lambda path: path.write_bytes(
        gzip.compress((NAMES + "".join(f"{u},{i},{v},{t}\n" for u, i, v, t in ROWS)).encode())
    ),
    "text ids": lambda path: path.write_text(
        "user\titem\n" + "".join(f"{u if u < 9 else f'ü{u}'}\t{i}\n" for u, i, _, _ in ROWS)
    ),
    "quotes": lambda path: path.write_text(
        "user,item\n" + "".join(f'"a, ""{u}""\r\n",{i}\n'.replace("\r\n", " ") for u, i, _, _ in ROWS)
    ),
    "no header": lambda path: path.write_text("".join(f"{u}::{i}::{v}\n" for u, i, v, _ in ROWS)),
    "libfm": lambda path: path.write_text(
        "".join(f"{v - 2} {u}:1 {i + 100}:1 500:.5\n" for u, i, v, _ in ROWS)
    ),
    "inter": lambda path: path.write_text(
        "user_id:token\titem_id:token\ttimestamp:float\n"
        + "".join(f"{u}\t{i}\t{t}\n" for u, i, _, t in ROWS)
    ),
    "parquet": write_parquet,
    "npz": write_npz,
    "empty": lambda path: path.write_text(""),
    "header only": lambda path: path.write_text(NAMES),
    "users without items": lambda path: path.write_text("0\n5\n"),
}  # fmt: skip


@pytest.fixture(params=["plenty", "little"])
def little(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With little memory: pieces of 256 bytes, buckets of at most 64 pairs."""
    if request.param == "little":
        monkeypatch.setattr(Budget, "piece_bytes", 256)
        monkeypatch.setattr(buckets, "BEST", 64)
    return str(request.param)


@pytest.mark.parametrize("kind", list(WRITERS))
def test_each_format_as_read_reads_it(tmp_path: Path, kind: str, little: str) -> None:
    path = tmp_path / "data"
    WRITERS[kind](path)
    result = convert(path, tmp_path / "s", split="none")
    expected = read(path, split="none")
    check_same(tmp_path / "s", expected)
    assert result["num_train"] + result["merged"] == len(expected.train)
    assert result["file_bytes"] == os.path.getsize(tmp_path / "s")
    assert sorted(os.listdir(tmp_path)) == ["data", "s"]


def test_given_parts_keep_their_ids(tmp_path: Path, little: str) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for part, rows in (("train", ROWS[:300]), ("valid", ROWS[300:330]), ("test", ROWS[330:])):
        text = "".join(f"{u},{i + (5 if part == 'test' else 0)},{t}\n" for u, i, _, t in rows)
        (folder / f"{part}.csv").write_text("user,item,time\n" + text)
    convert(folder, tmp_path / "s")
    check_same(tmp_path / "s", read(folder))
    with BlockStore(tmp_path / "s") as store:
        assert store.split == "given"
    (folder / "valid.csv").unlink()
    convert(folder, tmp_path / "v", valid_fraction=0.25)
    with BlockStore(tmp_path / "v") as store:
        data = store.dataset()
    whole = triples(read(folder).train)
    assert data.valid is not None and triples(data.train) | triples(data.valid) == whole
    convert(folder, tmp_path / "n", split="none")
    check_same(tmp_path / "n", read(folder, split="none"))


def test_same_bytes_for_any_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    WRITERS["csv"](path)
    stores = []
    for number, (piece, best) in enumerate(
        [(1 << 20, 1 << 20), (300, 64), (100_000, 50), (64, 1000)]
    ):
        monkeypatch.setattr(Budget, "piece_bytes", piece)
        monkeypatch.setattr(buckets, "BEST", best)
        target = tmp_path / f"{number}.store"
        convert(path, target, valid_fraction=0.1, seed=5)
        stores.append(target.read_bytes())
    assert all(store == stores[0] for store in stores)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9), st.integers(1, 5), st.integers(0, 99)),
             max_size=80),
    st.sampled_from([64, 300, 1 << 20]), st.sampled_from([3, 16, 1 << 20]), st.booleans(),
)  # fmt: skip
def test_any_table(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, ...]],
    piece: int,
    best: int,
    text: bool,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    prefix = "é" if text else ""
    table = "".join(f"{prefix}{u},{i},{v},{t}\n" for u, i, v, t in rows)
    (folder / "a").write_text("user,item,value,time\n" + table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Budget, "piece_bytes", piece)
        patch.setattr(buckets, "BEST", best)
        convert(folder / "a", folder / "s", split="none", format="delimited")
    check_same(folder / "s", read(folder / "a", split="none", format="delimited"))


@pytest.mark.parametrize("seed", [0, 1])
def test_random_split_follows_the_rule(tmp_path: Path, little: str, seed: int) -> None:
    path = tmp_path / "a"
    path.write_text(
        "".join(f"{u} {' '.join(str((u * 7 + k) % 97) for k in range(u + 1))}\n" for u in range(40))
    )
    convert(path, tmp_path / "s", test_fraction=0.3, valid_fraction=0.5, seed=seed)
    whole = read(path, split="none").train
    with BlockStore(tmp_path / "s") as store:
        store.verify()
        parts = store.dataset().parts()
        degrees = {part: store.degrees(part) for part in parts}
    together: Triples = {}
    for part in parts.values():
        assert not together.keys() & triples(part).keys()
        together |= triples(part)
    assert together == triples(whole)
    for user in range(40):
        count = user + 1
        test = min(int(0.3 * count + 0.5), count - 1)
        valid = min(int(0.5 * (count - test) + 0.5), count - test - 1)
        assert [degrees[part][user] for part in ("train", "valid", "test")] == [
            count - test - valid, valid, test,
        ]  # fmt: skip


def test_random_split_is_even_and_depends_on_the_seed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("".join(f"{u} {' '.join(map(str, range(20)))}\n" for u in range(2000)))
    tests = []
    for seed in (0, 1):
        convert(path, tmp_path / "s", test_fraction=0.25, seed=seed, overwrite=True)
        with BlockStore(tmp_path / "s") as store:
            tests.append(store.dataset().test)
    for test in tests:
        assert test is not None
        counts = np.bincount(test.items, minlength=20)  # expected 500 each, sigma 19.4
        assert abs(counts - 500).max() < 4.5 * 19.4
        pairs = test.users.astype(np.int64).reshape(2000, 5)
        assert (pairs == np.arange(2000)[:, None]).all()
    same = set(triples(tests[0])) & set(triples(tests[1]))  # expected a quarter
    assert 0.2 * 10_000 < len(same) < 0.3 * 10_000


def test_leave_last_out(tmp_path: Path, little: str) -> None:
    path = tmp_path / "a"
    WRITERS["csv"](path)
    convert(path, tmp_path / "s", split="leave_last_out")
    with BlockStore(tmp_path / "s") as store:
        data = store.dataset()
    whole = triples(read(path, split="none").train)
    assert data.test is not None and triples(data.train) | triples(data.test) == whole
    test = triples(data.test)
    assert sorted(user for user, _ in test) == sorted({user for user, _ in whole})
    for (user, item), (_, when) in test.items():
        own = {(t, i) for (u, i), (_, t) in whole.items() if u == user}
        assert when == max(own)[0] and (when, item) in own
    lone = tmp_path / "lone"
    lone.write_text("user,item,time\n1,1,1\n1,1,2\n2,1,1\n2,2,1\n")
    convert(lone, tmp_path / "t", split="leave_last_out")
    with BlockStore(tmp_path / "t") as store:
        test_part = store.dataset().test
    assert test_part is not None and triples(test_part) == {(2, 2): (0.0, 1.0)}


@pytest.mark.skipif("LTGNN_DATA" not in os.environ, reason="LTGNN_DATA names no folder of data")
@pytest.mark.parametrize("name", ["gowalla", "amazon-cds", "lastfm", "frappe/frappe.test.libfm.gz"])
def test_public_data(tmp_path: Path, name: str) -> None:
    source = Path(os.environ["LTGNN_DATA"]) / name
    split: Any = "given" if source.is_dir() else "none"
    convert(source, tmp_path / "s", split=split)
    check_same(tmp_path / "s", read(source, split=split))


def test_sizes() -> None:
    for text, size in [
        ("4GB", 4 * 10**9),
        ("1.5g", 1_500_000_000),
        ("2 KiB", 2048),
        ("7", 7),
        (" 3MB ", 3 * 10**6),
    ]:
        assert parse_size(text) == size
    for bad in ("", "GB", "4 XB", "-1GB", "4GB5"):
        with pytest.raises(ValueError, match="expected a size like 4GB"):
            parse_size(bad)
