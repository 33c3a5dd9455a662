"""RecBole's atomic files: the typed header decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ltgnn.data import detect, read
from ltgnn.data.formats import recbole

HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float"


def write(path: Path, header: str, *rows: str) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_reads(tmp_path: Path) -> None:
    path = write(tmp_path / "a.inter", HEADER, "196\tx 1\t3\t881250949", "007\ty\t4.5\t2")
    assert detect(path) == "recbole"
    pairs = read(path, split="none").train
    assert pairs.user_ids is not None and pairs.user_ids.tolist() == ["196", "007"]
    assert pairs.item_ids is not None and pairs.item_ids.tolist() == ["x 1", "y"]
    assert pairs.values is not None and pairs.values.tolist() == [3, 4.5]
    assert pairs.times is not None and pairs.times.tolist() == [881250949, 2]


def test_other_columns_are_skipped(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.inter",
        "tags:token_seq\titem_id:token\tv:float_seq\tuser_id:token",
        "a b\t5\t1 2\t9",
    )
    pairs = recbole.read_file(path)
    assert pairs.user_ids is not None and pairs.user_ids.tolist() == [9]
    assert pairs.values is None and pairs.times is None


def test_columns_by_name_and_number(tmp_path: Path) -> None:
    path = write(tmp_path / "a.inter", "who:token\twhat:token\thow:float", "1\t2\t.5")
    for columns in (
        {"user": "who", "item": "what", "value": "how"},
        {"user": 0, "item": 1, "value": 2},
    ):
        pairs = read(path, split="none", columns=columns).train
        assert pairs.values is not None and pairs.values.tolist() == [0.5]


def test_benchmark_files_are_a_given_split(tmp_path: Path) -> None:
    for part, row in (("train", "1\t2\t3\t4"), ("valid", "1\t3\t3\t5"), ("test", "1\t4\t3\t6")):
        write(tmp_path / f"ml.{part}.inter", HEADER, row)
    write(tmp_path / "ml.user", "user_id:token\tage:token", "1\t24")
    write(tmp_path / "ml.item", "item_id:token", "2")
    data = read(tmp_path)
    assert [len(part) for part in data.parts().values()] == [1, 1, 1] and data.num_items == 3


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        ("user_id\titem_id", {}, "a:1:1: expected a header of distinct NAME:TYPE .* got 'user_id'"),
        ("user_id:token\titem_id:word", {}, "got 'item_id:word'"),
        ("user_id:token\tuser_id:token", {}, "expected a header of distinct NAME:TYPE"),
        (
            "user_id:token\titem_ids:token_seq",
            {},
            "expected a user and an item column of type token",
        ),
        ("user_id:float\titem_id:token", {}, "expected a user and an item column of type token"),
        (
            HEADER,
            {"columns": {"user": "rating", "item": "item_id"}},
            "'rating' of type token as user",
        ),
        (HEADER, {"columns": {"user": "nope", "item": 1}}, "got nothing"),
        (HEADER, {"columns": {"user": 9, "item": 1}}, "got nothing"),
        (HEADER, {"delimiter": ","}, "format 'recbole': delimiter and header mean nothing here"),
    ],
)
def test_refuses(tmp_path: Path, header: str, options: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "a", header, "1\t2\t3\t4")
    with pytest.raises(ValueError, match=message):
        read(path, format="recbole", **options)


def test_refuses_files_that_differ(tmp_path: Path) -> None:
    write(tmp_path / "train.inter", HEADER, "1\t2\t3\t4")
    write(tmp_path / "test.inter", "user_id:token\titem_id:token", "1\t2")
    with pytest.raises(ValueError, match="expected the columns of .*train.inter, got others"):
        read(tmp_path)


def test_refuses_with_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a", HEADER, "1\t2\t3\t4", "1\t2\tnan\t4")
    with pytest.raises(ValueError, match=r"a:3:5: expected a finite number as value, got 'nan'"):
        read(path)
