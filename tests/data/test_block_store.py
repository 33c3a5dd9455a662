"""Block stores: what is written comes back, block by block, and nothing is written by halves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from data.store_tools import BY_ITEM, META, TRAIN, sources, tiny, wide
from hypothesis import given
from hypothesis import strategies as st

from ltgnn.data import BlockStore, StoreError, convert, is_store, load, read
from ltgnn.data.block_store import ArraySource, BlockFile, write_blocks


def test_everything_comes_back(tmp_path: Path) -> None:
    with BlockStore(tiny(tmp_path / "s")) as store:
        assert (store.name, store.split, store.num_users, store.num_items) == (
            "tiny",
            "given",
            3,
            4,
        )
        assert store.parts == {"train": 5, "test": 1}
        for by, expected in (("user", TRAIN), ("item", BY_ITEM)):
            for mapped in (False, True):
                indptr, indices = store.csr("train", by, mapped=mapped)  # type: ignore[arg-type]
                assert (indptr.tolist(), indices.tolist()) == expected
                assert (indptr.dtype, indices.dtype) == (np.int64, np.int32)
        data = store.dataset()
        assert store.degrees("train", "item").tolist() == [1, 2, 1, 1]
        assert store.degrees("test", "item").tolist() == [0, 0, 0, 1]
        store.verify()
        store.check()
    assert data.train.users.tolist() == [0, 0, 2, 2, 2]
    assert data.train.user_ids is not None and data.train.user_ids.tolist() == [7, -5, 2**40]
    assert data.train.item_ids is not None and data.train.item_ids.tolist() == [
        "a",
        "ß",
        "zzz",
        "q",
    ]
    assert data.train.values is not None and data.train.values.tolist() == [1, 2, 3, 4, 5]
    assert data.train.times is not None and data.train.times.tolist() == [0, 1, 2, 3, 4]
    assert data.test is not None and data.test.items.tolist() == [3] and data.test.values is None
    assert data.valid is None
    assert len(load(tmp_path / "s").train) == 5


def test_a_view_cannot_be_written_and_outlives_the_store(tmp_path: Path) -> None:
    store = BlockStore(wide(tmp_path / "s"))
    view = store.map("train/by_user/indices")
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    store.close()
    del store
    assert view[-1] == 19_999


@pytest.mark.parametrize("block_bytes", [64, 4096, 1 << 20])
def test_ranges_of_blocks(tmp_path: Path, block_bytes: int) -> None:
    path = wide(tmp_path / "s", 3000, block_bytes)
    rng = np.random.default_rng(0)
    for _ in range(50):
        start, stop = sorted(rng.integers(0, 3001, 2).tolist())
        with BlockFile(path) as file:  # fresh: no block was read before
            for _ in range(2):
                part = file.read("train/by_user/indices", start, stop)
                assert np.array_equal(part, np.arange(start, stop))
    with BlockFile(path) as file:
        parts = list(file.blocks("train/by_user/indices"))
        assert [start for start, _ in parts] == list(range(0, 3000, block_bytes // 4))
        with pytest.raises(IndexError, match="expected a range within 0 to 3000, got 5 to 3001"):
            file.read("train/by_user/indices", 5, 3001)
        with pytest.raises(KeyError):
            file.read("../../etc/passwd")


@given(
    st.lists(st.tuples(st.sampled_from(["<i4", "<i8", "<f4", "<f8", "|u1"]),
                       st.lists(st.integers(0, 200), max_size=60), st.integers(1, 7)), max_size=5),
    st.sampled_from([64, 128, 4096]),
)  # fmt: skip
def test_any_arrays_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[str, list[int], int]],
    block_bytes: int,
) -> None:
    path = tmp_path_factory.mktemp("any") / "s"
    arrays = {f"a{'b' * k}": np.array(v, dtype) for k, (dtype, v, _) in enumerate(drawn)}
    pieces = [
        ArraySource(name, dtype, len(arrays[name]), np.array_split(arrays[name], parts))
        for name, (dtype, _, parts) in zip(arrays, drawn, strict=True)
    ]
    write_blocks(path, pieces, {"x": 1}, block_bytes=block_bytes)
    with BlockFile(path) as file:
        file.verify()
        assert file.header.meta == {"x": 1}
        assert file.header.file_bytes == path.stat().st_size
        for name, array in arrays.items():
            assert np.array_equal(file.read(name), array)
            assert np.array_equal(file.map(name), array)


def test_same_content_same_bytes(tmp_path: Path) -> None:
    assert tiny(tmp_path / "a").read_bytes() == tiny(tmp_path / "b").read_bytes()


def test_opens_in_milliseconds(tmp_path: Path) -> None:
    path = wide(tmp_path / "s", 4_000_000, 1 << 20)  # 64 MB
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        BlockStore(path).close()
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.02


def test_writing_refuses(tmp_path: Path) -> None:
    path = tiny(tmp_path / "s")
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="s exists: choose another name, or overwrite it"):
        write_blocks(path, sources(), META)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_blocks(tmp_path, sources(), META, overwrite=True)
    bad = [
        (ArraySource("a", "<i4", 3, [np.zeros(2, np.int32)]), "a: expected 3 elements, got 2"),
        (ArraySource("a", "<i4", 1, [np.zeros(2, np.int32)]), "a: expected 1 elements, got 2"),
        (ArraySource("a", "<i4", 2, [np.zeros(2, np.int64)]), "a: expected 1-D int32"),
        (ArraySource("../a", "<i4", 0, []), "expected an array name like .*, got '../a'"),
        (ArraySource("a", "|O", 0, []), "expected a dtype of"),
    ]
    for source, message in bad:
        with pytest.raises(ValueError, match=message):
            write_blocks(path, [source], META, overwrite=True)
    with pytest.raises(ValueError):
        write_blocks(path, [], {"x": float("nan")}, overwrite=True)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["s"]


def test_a_full_disk_leaves_the_old_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny(tmp_path / "s")
    before = path.read_bytes()

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="disk full: the store takes"):
        write_blocks(path, sources(), META, overwrite=True)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["s"]


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
from data.store_tools import META, sources
from ltgnn.data.block_store import write_blocks
print("go", flush=True)
while True:
    write_blocks(sys.argv[1], sources(), META, overwrite=True, block_bytes=64)
"""


def test_killed_while_writing_leaves_a_whole_store(tmp_path: Path) -> None:
    path = tmp_path / "s"
    tests = str(Path(__file__).resolve().parents[1])
    for turn in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path), tests], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None and child.stdout.readline() == "go\n"
        time.sleep(0.02 + 0.013 * turn)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        if path.exists():
            with BlockStore(path) as store:
                store.verify()


def test_replaced_while_open(tmp_path: Path) -> None:
    path = wide(tmp_path / "s")
    with BlockStore(path) as old:
        view = old.map("train/by_user/indices")
        write_blocks(path, sources(), META, overwrite=True)
        assert old.read("train/by_user/indices", 19_000, 19_001).tolist() == [19_000]
        assert view[19_999] == 19_999
        old.check()
        old.verify()
    with BlockStore(path) as new:
        assert new.name == "tiny"


def test_is_store(tmp_path: Path) -> None:
    assert is_store(tiny(tmp_path / "s"))
    (tmp_path / "t").write_text("0 1\n")
    os.mkfifo(tmp_path / "pipe")
    for name in ("t", "absent", "pipe", "."):
        assert not is_store(tmp_path / name)
    for name in ("pipe", "."):
        with pytest.raises(StoreError, match="no regular file"):
            BlockFile(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        BlockStore(tmp_path / "absent")


def test_read_splits_a_store(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("user,item,time\n" + "".join(f"u{k % 7},{k},{k}\n" for k in range(70)))
    convert(source, tmp_path / "none.store", split="none")
    convert(source, tmp_path / "random.store", valid_fraction=0.2)
    whole = read(tmp_path / "none.store", split="none")
    assert whole.name == "a.csv" and whole.test is None and len(whole.train) == 70
    drawn = read(tmp_path / "none.store")
    assert drawn.test is not None and len(drawn.test) == 14  # "auto": random, as of a file
    kept = read(tmp_path / "random.store")
    assert [len(part) for part in kept.parts().values()] == [42, 14, 14]
    assert len(read(tmp_path / "random.store", split="none").train) == 70
    last = read(tmp_path / "random.store", split="leave_last_out").test
    assert last is not None and last.times is not None and sorted(last.times) == list(range(63, 70))
    with pytest.raises(ValueError, match="mean nothing to a block store"):
        read(tmp_path / "random.store", delimiter=",")
    with pytest.raises(ValueError, match="expected a store with a test part"):
        read(tmp_path / "none.store", split="given")
