"""convert: the memory it may take, errors with their place, and what an interruption leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltgnn.data import BlockStore, convert
from ltgnn.data.conversion import buckets
from ltgnn.data.conversion.budget import Budget
from ltgnn.data.conversion.spool import ArrayFile

# VmHWM: ru_maxrss starts from the peak of the process that started this one.
MEASURE = r"""
import json, re, sys
from ltgnn.data import convert
from ltgnn.data.conversion.budget import resident_bytes
before = resident_bytes()
limit = before + (int(sys.argv[3]) << 20)
result = convert(sys.argv[1], sys.argv[2], memory=str(limit), split="random", valid_fraction=0.1)
result["over"] = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) * 1024 - limit
print(json.dumps(result))
"""


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_the_budget_is_kept(tmp_path: Path, kind: str) -> None:
    """2 M interactions with values and times, 40 MB of columns, within 64 MiB: many buckets."""
    rng = np.random.default_rng(0)
    count = 2_000_000 if kind == "npz" else 500_000
    users, items = rng.integers(0, 100_000, count), (rng.random(count) ** 3 * 20_000).astype(int)
    source = tmp_path / f"a.{kind}"
    if kind == "npz":
        np.savez(source, users=users, items=items, values=np.ones(count, np.float32),
                 times=np.arange(count, dtype=float))  # fmt: skip
    else:
        np.savetxt(source, np.column_stack([users, items, users % 5, items]), "%d", delimiter=",",
                   header="user,item,rating,time", comments="")  # fmt: skip
    command = [sys.executable, "-c", MEASURE, str(source), str(tmp_path / "s"), "64"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert result["over"] <= 0, f"{result['over'] / 2**20:.1f} MiB more than allowed"
    total = sum(result[f"num_{part}"] for part in ("train", "valid", "test")) + result["merged"]
    assert total == count
    with BlockStore(tmp_path / "s") as store:
        store.verify()


def test_too_little_memory_says_what_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_text("0 1 2\n1 2\n")
    with pytest.raises(ValueError, match=r"memory: expected at least \d+ MiB .* got 1 MiB"):
        convert(path, tmp_path / "s", memory="1MiB")
    path.write_text("0 1\n2147483000 1\n")  # two pairs, but tables for all ids between them
    with pytest.raises(ValueError, match=r"tables of 2,147,483,001 users .* allow more memory"):
        convert(path, tmp_path / "s")
    path.write_text("0 " + "1 " * 5000)
    monkeypatch.setattr(Budget, "elements", lambda self, width: 1024)
    with pytest.raises(ValueError, match=r"number 0 alone has 5,000 .* allow more memory"):
        convert(path, tmp_path / "s")
    path.write_text('user,item\n"' + "x" * 5000)
    monkeypatch.setattr(Budget, "piece_bytes", 64)
    with pytest.raises(ValueError, match="expected rows of at most 1024 bytes, got more"):
        convert(path, tmp_path / "s")
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 2\n" * 100 + "1 2 x\n" + "3 4\n" * 100, "a:101:5: expected an item id .* got 'x'"),
        ("u,i,5\n" * 100 + "u,i,nan\n", "a:101:5: expected a finite number as value, got 'nan'"),
        ("u,i,5\n" * 100 + "u,i\n" * 50, "a:101:1: expected 3 columns, got 2"),
        (
            "user,item,value,note\n" + 'u,i,5,"two, ""or""\nthree"\n' * 50 + "u,i,x,y\n",
            "a:102:5: expected a finite number as value, got 'x'",
        ),
        (
            "1 2:1 3:1\n" * 100 + "1 2:1 3:inf\n",
            "a:101:9: expected a finite number as feature value",
        ),
    ],
)
def test_errors_have_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    path = tmp_path / "a"
    path.write_text(text)
    for piece in (64, 1000, 1 << 20):
        monkeypatch.setattr(Budget, "piece_bytes", piece)
        with pytest.raises(ValueError, match=message):
            convert(path, tmp_path / "s")
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "odd"}, "split: expected one of"),
        ({"split": "given"}, "expected a folder with a train and a test file"),
        ({"split": "leave_last_out"}, "expected interactions with times"),
        ({"test_fraction": 1.0}, "test_fraction: expected at least 0 and below 1"),
        ({"valid_fraction": -0.1}, "valid_fraction: expected at least 0 and below 1"),
        ({"seed": -1}, "seed: expected 0 to"),
        ({"format": "xml"}, "format: expected 'auto' or one of"),
        ({"memory": "much"}, "memory: expected a size like 4GB"),
        ({"max_bytes": 3}, "expected at most 3 bytes"),
    ],
)
def test_refuses_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    path = tmp_path / "a"
    path.write_text("0 1 2\n1 2\n")
    with pytest.raises(ValueError, match=message):
        convert(path, tmp_path / "s", **options)
    assert os.listdir(tmp_path) == ["a"]


def test_folders_are_looked_at_before_the_work(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user,item\n1,2\n")
    monkeypatch.setattr("ltgnn.data.conversion.converting._read", None)
    calls: list[tuple[dict[str, Any], str]] = [
        ({"target": tmp_path / "no" / "s"}, "target: expected a folder to write to, got no folder: .*no$"),
        ({"target": tmp_path / "s", "scratch": str(tmp_path / "no")}, "scratch: expected a folder to write to"),
        ({"target": tmp_path, "overwrite": True}, "target: expected a file, got a folder: "),
    ]  # fmt: skip
    for arguments, message in calls:
        with pytest.raises(OSError, match=message):
            convert(path, **arguments)
    with pytest.raises(ValueError, match="target: expected another file than the source, got "):
        convert(path, tmp_path / "." / "a.csv", overwrite=True)
    assert path.read_text() == "user,item\n1,2\n" and os.listdir(tmp_path) == ["a.csv"]


def test_a_scratch_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = ArrayFile(tmp_path / "gone" / "train.users", "<i4")
    with pytest.raises(FileNotFoundError, match="scratch= chooses another folder.*train.users"):
        file.append(np.zeros(1, np.int32))


@pytest.mark.parametrize("text", ['"user,item\na,b\n', '1,"2\n'])
def test_a_malformed_first_row_has_its_place(tmp_path: Path, text: str) -> None:
    (tmp_path / "q.csv").write_text(text)
    with pytest.raises(ValueError, match=r"q.csv:1:\d+: expected"):
        convert(tmp_path / "q.csv", tmp_path / "s", delimiter=",")


def test_an_existing_store_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("0 1 2\n1 2\n")
    convert(path, tmp_path / "s")
    before = (tmp_path / "s").read_bytes()
    with pytest.raises(FileExistsError, match="choose another name, or overwrite it"):
        convert(path, tmp_path / "s")
    path.write_text("0 x\n")
    with pytest.raises(ValueError):
        convert(path, tmp_path / "s", overwrite=True, format="lightgcn")
    assert (tmp_path / "s").read_bytes() == before
    with pytest.raises(ValueError, match="is a block store already"):
        convert(tmp_path / "s", tmp_path / "t")


def test_values_that_overflow(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("user,item,value\n" + "1,1,3e38\n" * 2)
    with pytest.raises(ValueError, match="add up to more than float32 holds"):
        convert(path, tmp_path / "s")


KILLED = """
import sys
from ltgnn.data import convert
print("go", flush=True)
convert(sys.argv[1], sys.argv[2], overwrite=True)
"""


def test_killed_at_any_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    source, target = tmp_path / "a.npz", tmp_path / "s"
    np.savez(source, users=rng.integers(0, 9999, 300_000), items=rng.integers(0, 999, 300_000))
    (tmp_path / "b").write_text("0 1 2\n")
    convert(tmp_path / "b", target, split="none")
    for turn in range(4):
        command = [sys.executable, "-c", KILLED, str(source), str(target)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None and child.stdout.readline() == "go\n"
        time.sleep(0.03 + 0.08 * turn)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        with BlockStore(target) as store:  # the old or the new one, whole
            store.verify()
            assert store.name in ("a.npz", "b")


def test_stable_order_is_numpys() -> None:
    rng = np.random.default_rng(0)
    for high, low, count in [
        (5, 5, 300),
        (2**31, 2**31, 300),
        (1, 1, 1),
        (3, 2**31, 70_000),
        (9, 9, 0),
    ]:
        key = (rng.integers(0, high, count).astype(np.uint64) << np.uint64(32)) | rng.integers(
            0, low, count
        ).astype(np.uint64)
        assert np.array_equal(buckets.stable_order(key), np.argsort(key, kind="stable"))


def test_bounds() -> None:
    counts = np.array([3, 0, 4, 9, 0, 0, 1])
    assert buckets.choose_bounds(counts, 9) == [0, 3, 6, 7]
    assert buckets.choose_bounds(counts, 1000) == [0, 7]
    assert buckets.choose_bounds(np.zeros(3, np.int64), 5) == [0, 3]
    assert buckets.choose_bounds(np.zeros(0, np.int64), 5) == [0, 0]
    with pytest.raises(ValueError, match="number 3 alone has 9 interactions"):
        buckets.choose_bounds(counts, 8)
