"""read and load: folders, splits, limits, and the public data sets where they are at hand."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from ltgnn.data import Interactions, load, read
from ltgnn.data.folder import find_parts
from ltgnn.data.source import read_bytes

ROWS = "".join(f"{user} {' '.join(map(str, range(user, user + 10)))}\n" for user in range(6))


def keys(*parts: Interactions | None) -> list[int]:
    return sorted(
        key
        for part in parts
        if part is not None
        for key in (part.users.astype(np.int64) * part.num_items + part.items).tolist()
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["train.txt", "test.txt"], {"train": "train.txt", "test": "test.txt"}),
        (
            ["README.md", "test.txt.gz", "train.txt.gz", "valid.txt", "user_list.txt"],
            {"train": "train.txt.gz", "valid": "valid.txt", "test": "test.txt.gz"},
        ),
        (["ml.train.csv", "ml.test.csv"], {"train": "ml.train.csv", "test": "ml.test.csv"}),
        (["train1.csv", "val1.csv"], {"train": "train1.csv", "valid": "val1.csv"}),
        (
            ["data1.txt", "test1.txt", "trustnetwork.txt"],
            {"train": "data1.txt", "test": "test1.txt"},
        ),
        (["README", "LICENSE.txt", ".hidden.csv", "ratings.dat"], {"train": "ratings.dat"}),
    ],
)
def test_folders(tmp_path: Path, files: list[str], expected: dict[str, str]) -> None:
    for name in files:
        (tmp_path / name).touch()
    found = {role: path.name for role, path in find_parts(tmp_path).items()}
    assert found == expected


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "expected a data file"),
        (["notes.md"], "expected a data file"),
        (["a.csv", "b.csv"], "expected one data file or a train file, got a.csv, b.csv"),
        (["train.csv", "train.txt"], "expected one train file, got train.csv and train.txt"),
        (["test.csv"], "expected one data file or a train file, got test.csv"),
    ],
)
def test_folders_refused(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_given_split_counts_ids_of_test(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("0 1 2\n")
    (tmp_path / "test.txt.gz").write_bytes(gzip.compress(b"3 9\r\n"))
    data = read(tmp_path)
    assert data.name == tmp_path.name and data.valid is None
    assert (data.num_users, data.num_items) == (4, 10)
    assert data.test is not None and data.test.users.tolist() == [3]


def test_random_split_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_text(ROWS)
    data = read(path, valid_fraction=0.25, seed=3)
    assert data.valid is not None and data.test is not None
    assert (np.bincount(data.test.users) == 2).all()
    assert (np.bincount(data.valid.users) == 2).all()
    whole = read(path, split="none")
    assert whole.test is None and keys(data.train, data.valid, data.test) == keys(whole.train)
    again = read(path, valid_fraction=0.25, seed=3)
    assert keys(again.train) == keys(data.train)
    assert keys(read(path, seed=4).test) != keys(data.test)


def test_other_splits_put_the_files_together(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("user,item,time\na,x,3\na,y,1\n")
    (tmp_path / "test.csv").write_text("user,item,time\na,z,2\nb,x,0\n")
    data = read(tmp_path, split="leave_last_out")
    assert data.test is not None and data.test.item_ids is not None
    assert data.test.item_ids[data.test.items].tolist() == ["x"]
    assert len(read(tmp_path, split="none").train) == 4


def test_read_refuses(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0 1 2\n")
    with pytest.raises(ValueError, match="split='given' expected a folder"):
        read(path, split="given")
    with pytest.raises(ValueError, match="split: expected one of .* got 'odd'"):
        read(path, split="odd")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="format: expected 'auto' or one of .* got 'xml'"):
        read(path, format="xml")
    with pytest.raises(ValueError, match="columns, delimiter and header mean nothing here"):
        read(path, format="lightgcn", delimiter=",")
    with pytest.raises(ValueError, match="expected interactions with times"):
        read(path, split="leave_last_out")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent")
    (tmp_path / "train.txt").write_text("0 1\n")
    (tmp_path / "test.txt").write_text("0 1\n")
    (tmp_path / "valid.txt").write_text("0 1\n")
    with pytest.raises(ValueError, match="expected 0 where the folder has a valid file"):
        read(tmp_path, valid_fraction=0.1)


def test_empty_and_tiny_files(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for text, users in (("", 0), ("0\n", 1), ("0 5\n", 1), ("0\n1\n2 0\n", 3)):
        path.write_text(text)
        data = read(path, valid_fraction=0.5)
        assert data.num_users == users
        assert data.test is not None and len(data.test) == 0


def test_odd_file_names(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\n.txt"
    with open(path, "w") as file:
        file.write("0 x\n")
    with pytest.raises(ValueError, match="expected an item id"):
        read(os.fsdecode(path), format="lightgcn")


def test_gzip_is_bounded_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"0 1\n" * 100_000))
    assert len(read_bytes(path, max_bytes=400_000)) == 400_000
    with pytest.raises(ValueError, match=r"a\.gz: expected at most 399999 bytes"):
        read_bytes(path, max_bytes=399_999)
    packed = path.read_bytes()
    for size in range(2, len(packed), 97):
        path.write_bytes(packed[:size])
        with pytest.raises(ValueError, match="expected intact gzip data"):
            read(path)
    path.write_bytes(packed + b"rubbish")
    with pytest.raises(ValueError, match="7 bytes of something else follow"):
        read_bytes(path)
    broken = bytearray(packed)
    broken[-6] ^= 1  # the checksum
    path.write_bytes(bytes(broken))
    with pytest.raises(ValueError, match="expected intact gzip data"):
        read_bytes(path)


def test_gzip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltgnn.data.source._BOMB_FLOOR", 1 << 20)
    path = tmp_path / "bomb.txt"
    path.write_bytes(gzip.compress(b"\n" * (20 << 20)))
    with pytest.raises(ValueError, match="pass a larger max_bytes"):
        read_bytes(path)
    assert len(read_bytes(path, max_bytes=20 << 20)) == 20 << 20


def test_load(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(ROWS)
    assert load(path, split="none").num_users == 6
    small = {"num_users": 20, "num_items": 40, "num_interactions": 200}
    for source in (None, "synthetic"):
        assert load(source, **small).num_users == 20
    with pytest.raises(TypeError):
        load(None, delimiter=",")


REAL = [
    ("gowalla", 29858, 40981, 810128, 217242),
    ("amazon-cds", 43169, 35648, 604475, 172951),
    ("lastfm", 1880, 4489, 42135, 10533),
]


@pytest.mark.skipif("LTGNN_DATA" not in os.environ, reason="LTGNN_DATA names no folder of data")
@pytest.mark.parametrize(("name", "users", "items", "train", "test"), REAL)
def test_public_data(name: str, users: int, items: int, train: int, test: int) -> None:
    data = read(Path(os.environ["LTGNN_DATA"]) / name)
    assert data.test is not None
    assert (data.num_users, data.num_items) == (users, items)
    assert (len(data.train), len(data.test)) == (train, test)
    assert not set(keys(data.train)) & set(keys(data.test))


@pytest.mark.skipif("LTGNN_DATA" not in os.environ, reason="LTGNN_DATA names no folder of data")
def test_public_data_with_header() -> None:
    path = Path(os.environ["LTGNN_DATA"]) / "music-kg" / "user_artists.dat.gz"
    pairs = read(path, split="none").train
    assert (len(pairs), pairs.num_users, pairs.num_items) == (92834, 1892, 17632)
    assert pairs.user_ids is not None and pairs.item_ids is not None and pairs.values is not None
    first = (pairs.user_ids[pairs.users[0]], pairs.item_ids[pairs.items[0]], pairs.values[0])
    assert first == (2, 51, 13883.0)
