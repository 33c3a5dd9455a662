"""Reading with a bar: in pieces, to the same data and errors as without one, and every byte is told."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltgnn.data import Interactions, load, read
from ltgnn.data.formats import base, delimited, libfm, lightgcn


class Bar:
    """A bar on a terminal."""

    last: Bar | None = None

    def __init__(self, *, total: int, disable: bool | None, **_: Any) -> None:
        self.total, self.told, self.disable = total, [], disable is not None
        Bar.last = self

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, count: int) -> None:
        self.told.append(count)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal, and files that count as large."""
    monkeypatch.setattr("ltgnn.data.reading.tqdm", Bar)
    monkeypatch.setattr(base, "_WATCHED_FROM", 0)
    for module in (delimited, libfm, lightgcn):
        monkeypatch.setattr(module, "PIECE_BYTES", 64)


def rows(form: str, seed: int) -> str:
    random = np.random.default_rng(seed)
    users, items = random.integers(0, 30, 120).tolist(), random.integers(0, 40, 120).tolist()
    if form == "lightgcn":
        return "".join(
            f"{user} {item} {item + 1}\n" for user, item in zip(users, items, strict=True)
        )
    if form == "libfm":
        return "".join(
            f"{k % 3} {a}:1 {b + 50}:1\n" for k, (a, b) in enumerate(zip(users, items, strict=True))
        )
    # Ids that are integers at first: text turns up in the middle of the file.
    names = [f"u{user}" if k > 60 and form == "mixed" else user for k, user in enumerate(users)]
    head = (
        "user_id:token\titem_id:token\trating:float\n"
        if form == "recbole"
        else "user,item,rating\n"
    )
    cut = "\t" if form == "recbole" else ","
    return head + "".join(
        f"{a}{cut}{b}{cut}{k / 2}\n" for k, (a, b) in enumerate(zip(names, items, strict=True))
    )


def content(part: Interactions | None) -> list[Any]:
    assert part is not None
    arrays = (part.users, part.items, part.values, part.times, part.user_ids, part.item_ids)
    return [None if array is None else (array.dtype, array.tolist()) for array in arrays]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", ["lightgcn", "libfm", "delimited", "mixed", "recbole"])
def test_a_bar_changes_nothing(tmp_path: Path, form: str, packed: bool) -> None:
    for seed, role in enumerate(("train", "test")):
        data = rows(form, seed).encode()
        name = f"{role}.txt.gz" if packed else f"{role}.txt"
        (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
    plain = read(tmp_path)
    assert Bar.last is not None and Bar.last.disable and not Bar.last.told
    watched = read(tmp_path, progress=True)
    assert len(Bar.last.told) > 4
    assert sum(Bar.last.told) == Bar.last.total == sum(p.stat().st_size for p in tmp_path.iterdir())
    for ours, theirs in zip(watched.parts().values(), plain.parts().values(), strict=True):
        assert content(ours) == content(theirs)
        assert (ours.num_users, ours.num_items) == (theirs.num_users, theirs.num_items)


def test_an_empty_file_beside_a_large_one(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(rows("delimited", 0))
    (tmp_path / "test.csv").write_text("")
    plain, watched = read(tmp_path), read(tmp_path, progress=True)
    assert content(watched.train) == content(plain.train)
    assert watched.test is not None and len(watched.test) == 0


def test_errors_name_the_same_place(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(rows("delimited", 0) + "1,2\n")
    messages = []
    for progress in (False, True):
        with pytest.raises(ValueError, match="a.csv:122:1: expected 3 columns, got 2") as raised:
            load(path, progress=progress)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


def test_rows_behind_a_megabyte_of_blank_lines_are_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing tells the columns then: an error, where no rows came."""
    monkeypatch.setattr(delimited, "_PREFIX_BYTES", 64)
    (tmp_path / "a.csv").write_text("\n" * 100 + "1,2,3\n")
    with pytest.raises(ValueError, match="a.csv:1:1: expected a row within the first 64 bytes"):
        read(tmp_path / "a.csv", progress=True)


def test_small_files_are_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_WATCHED_FROM", 1 << 20)
    (tmp_path / "a.csv").write_text(rows("delimited", 0))
    assert len(read(tmp_path / "a.csv", split="none", progress=True).train) == 120
    assert Bar.last is not None and not Bar.last.disable and not Bar.last.told


def test_synthetic_data_have_no_bar() -> None:
    Bar.last = None
    assert (
        load(None, progress=True, num_users=50, num_items=80, num_interactions=600).num_users == 50
    )
    assert Bar.last is None
