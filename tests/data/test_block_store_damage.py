"""Block stores: damage is an error that names the block, and it never ends the process.

What could end it (maps of files that are truncated) is tried in child processes: their exit code is the test.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from data.store_tools import META, tiny, use, wide

from ltgnn.cli import main
from ltgnn.data import BlockStore, StoreError


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, bytes]:
    path = tiny(tmp_path / "s")
    use(path)
    return path, path.read_bytes()


def test_truncated_anywhere(stored: tuple[Path, bytes]) -> None:
    path, data = stored
    for size in [*range(0, 3000, 7), *range(3000, len(data), 61), len(data) - 1]:
        path.write_bytes(data[:size])
        with pytest.raises(StoreError) as caught:
            use(path)
        header_end = data.index(b"\0" * 64, 64)
        if size > header_end:
            assert ", block 0: truncated, the file ends at byte" in str(caught.value)
    path.write_bytes(data + b"\0")
    with pytest.raises(StoreError, match=f"expected {len(data)} bytes, got {len(data) + 1}"):
        use(path)


def test_truncation_names_the_block(tmp_path: Path) -> None:
    path = wide(tmp_path / "s")
    with BlockStore(path) as store:
        info = store.arrays["train/by_user/indices"]
    os.truncate(path, info.offset + 5 * 4096 + 1)
    with pytest.raises(StoreError, match=r"s: train/by_user/indices, block 5: truncated"):
        BlockStore(path)


def test_every_flipped_bit_is_found(stored: tuple[Path, bytes]) -> None:
    path, data = stored
    rng = random.Random(0)
    used = [
        at for at in range(len(data)) if data[at]
    ]  # besides, a sample of the zeros between arrays
    places = [8 * at + rng.randrange(8) for at in used]
    places += [rng.randrange(8 * len(data)) for _ in range(500)]
    for place in places:
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(StoreError):
            use(path)


def test_a_damaged_block_is_named_and_the_others_are_readable(tmp_path: Path) -> None:
    path = wide(tmp_path / "s")
    with BlockStore(path) as store:
        info = store.arrays["train/by_user/indices"]
    data = bytearray(path.read_bytes())
    data[info.offset + 3 * 4096 + 100] ^= 4
    path.write_bytes(data)
    with BlockStore(path) as store:
        assert store.read(info.name, 0, 3 * 1024)[-1] == 3 * 1024 - 1
        assert store.read(info.name, 4 * 1024, 5000)[0] == 4 * 1024
        for act in (
            lambda: store.read(info.name, 3 * 1024 + 5, 3 * 1024 + 6),
            lambda: store.csr("train"),
            lambda: store.map(info.name),
            lambda: store.verify(),
        ):
            with pytest.raises(StoreError, match=r"s: train/by_user/indices, block 3: damaged"):
                act()


def test_damage_after_opening(tmp_path: Path) -> None:
    path = wide(tmp_path / "s")
    with BlockStore(path) as store:
        info = store.arrays["train/by_user/indices"]
        store.read(info.name)
        with open(path, "r+b") as file:
            file.seek(info.offset)
            file.write(b"\xff")
        assert store.read(info.name, 0, 1)[0] == 255  # was checked before: only verify looks again
        with pytest.raises(StoreError, match="block 0: damaged"):
            store.verify()
        os.truncate(path, info.offset + 4096)
        with pytest.raises(StoreError, match="block 1: truncated, the file ends at byte"):
            store.read(info.name, 1024)
        with pytest.raises(StoreError, match="block 1: truncated"):
            store.check()


TRUNCATED = """
import os, sys, threading
import numpy as np
from ltgnn.data import BlockStore, StoreError
path, keep, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = BlockStore(path)
view = store.map("train/by_user/indices")
other = store.map("train/by_item/indptr")
before = view.copy()
os.truncate(path, keep)
sums = []
def read():
    sums.append(int(np.asarray(view).astype(np.int64).sum()) + int(np.asarray(other).sum()))
workers = [threading.Thread(target=read) for _ in range(threads)]
[worker.start() for worker in workers]
[worker.join() for worker in workers]
assert len(sums) == threads
good = view == before
assert not view[~good].any(), "neither the file's bytes nor zeros"
try:
    store.check()
except StoreError as error:
    print(error)
else:
    sys.exit("check found nothing")
try:
    store.read("train/by_user/indices")
except StoreError as error:
    print(error)
else:
    sys.exit("read found nothing")
print(int((~good).sum()))
"""


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("keep", [0, 1, 4096, 40_000, 81_921])
def test_truncated_while_mapped(tmp_path: Path, keep: int, threads: int) -> None:
    path = wide(tmp_path / "s")
    done = subprocess.run(
        [sys.executable, "-c", TRUNCATED, str(path), str(keep), str(threads)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second, lost = done.stdout.splitlines()
    assert "a page could not be read through its map" in first or "truncated" in first
    assert "train/by_user/indices, block" in second and "truncated" in second
    assert int(lost) > 0


FOREIGN = """
import faulthandler, mmap, os, sys
import numpy as np
from ltgnn.data import BlockStore
store = BlockStore(sys.argv[1])
store.map("train/by_user/indices")
with open(sys.argv[1] + ".other", "w+b") as file:
    file.write(bytes(8192)); file.flush()
    area = mmap.mmap(file.fileno(), 8192)
    os.truncate(file.fileno(), 0)
    print("here", flush=True)
    area[5000]
"""


def test_other_maps_fault_as_before(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FOREIGN, str(wide(tmp_path / "s"))], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (-7, "here\n")  # SIGBUS, not an endless loop


def test_commands_say_so_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny(tmp_path / "s", meta=META)
    os.truncate(path, os.path.getsize(path) - 1)
    run = ["train", "--data", str(path), "--out", str(tmp_path / "run")]
    for command in (["info", str(path)], run):
        assert main(command) == 1
        error = capsys.readouterr().err
        assert "test/by_user/indices, block 0: truncated" in error and error.count("\n") == 1
