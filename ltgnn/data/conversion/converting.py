"""`ltgnn convert`: reads files of any size, sorts on disk, writes a block store."""

from __future__ import annotations

import operator
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, get_args

from tqdm import tqdm

from ltgnn._version import __version__
from ltgnn.data._native import display_name
from ltgnn.data.block_store import PARTS, is_store, write_blocks
from ltgnn.data.conversion.assembly import Part, sources_of, transpose, user_rows
from ltgnn.data.conversion.budget import Budget
from ltgnn.data.conversion.splitting import SplitRule
from ltgnn.data.conversion.spool import Spool
from ltgnn.data.formats import FORMATS, Columns, Header, ReadOptions
from ltgnn.data.ids import IdMap
from ltgnn.data.reading import SplitName, find_format, name_of, settle_split

_INT32_MAX = 2**31 - 1


class _Read(NamedTuple):
    """What the first pass leaves behind."""

    spools: dict[str, Spool]
    num_users: int
    num_items: int
    ids: dict[str, IdMap] | None
    left_out: int


def convert(
    source: str | PathLike[str],
    target: str | PathLike[str],
    *,
    format: str = "auto",
    columns: Columns | None = None,
    delimiter: str | None = None,
    header: Header = "auto",
    split: SplitName = "auto",
    test_fraction: float = 0.2,
    valid_fraction: float = 0.0,
    seed: int = 0,
    max_bytes: int | None = None,
    memory: str = "4GB",
    scratch: str | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> dict[str, Any]:
    """Writes a file or folder of interactions as a block store, whatever its size.

    What the store holds does not depend on ``memory``. It is what ``ltgnn.data.read`` gives for the same
    options, with three differences: pairs that occur more than once in a part are one interaction (values
    are added up, the latest time is kept), a random split is another draw by the same rule, and of a user's
    latest interactions at one time "leave_last_out" takes the largest item number, not the last in the file
    (see ``ltgnn.data.conversion.splitting``).

    Args:
        source: as ``path`` of ``read``.
        target: the store, one file.
        format, columns, delimiter, header, split, test_fraction, valid_fraction, seed, max_bytes: see
            ``read``.
        memory: what the process may hold at most, like "4GB" or "512MiB". The tables of ids and degrees
            must fit into half of what is left of it: about 60 bytes a user and item.
        scratch: folder for scratch files, up to 36 bytes an interaction (60 with value and time); None:
            the target's folder. They are gone afterwards.
        overwrite: replace a file that is there.
        progress: show progress bars (on a terminal).

    Returns:
        ``name, split, num_users, num_items, num_train, num_valid, num_test, merged, left_out, file_bytes``;
        ``merged`` are repetitions, ``left_out`` rows that are no interactions (LibFM: a label of 0 or less).

    Raises:
        ValueError: malformed content as ``path:LINE:COL: expected ..., got ...``, options that do not fit,
            or not enough memory allowed.
        OSError: a file cannot be read or written, or the disk is full; the target is as it was.

    Time: O(bytes) to read and O(E log(E / buckets)) to sort, in two threads.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "ratings.csv"
        ...     _ = file.write_text("user,item,rating" + chr(10) + "ann,7,4" + chr(10) + "bob,7,2")
        ...     result = convert(file, Path(folder) / "ratings.store", split="none")
        >>> result["num_users"], result["num_items"], result["num_train"]
        (2, 1, 2)
    """
    if split not in get_args(SplitName):
        raise ValueError(f"split: expected one of {list(get_args(SplitName))}, got {split!r}")
    if is_store(source):
        raise ValueError(f"{display_name(source)} is a block store already")
    target = Path(target)
    if target.exists() and not overwrite:
        raise FileExistsError(
            f"{display_name(target)} exists: choose another name, or overwrite it"
        )
    budget = Budget.of(memory)
    parent = target.absolute().parent
    work = parent if scratch is None else Path(scratch)
    for name, folder in (("target", parent), ("scratch", work)):
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            what = "one that cannot be written" if folder.is_dir() else "no folder"
            raise NotADirectoryError(f"{name}: expected a folder to write to, got {what}: {folder}")
    paths, split = settle_split(source, split)
    if target.exists() and any(os.path.samefile(target, path) for path in paths.values()):
        raise ValueError(f"target: expected another file than the source, got {target}")
    if target.is_dir():
        raise IsADirectoryError(f"target: expected a file, got a folder: {target}")
    if valid_fraction and split == "given" and "valid" in paths:
        raise ValueError(
            f"valid_fraction: expected 0 where the folder has a valid file, got {valid_fraction}"
        )
    test = split if split in ("random", "leave_last_out") else "none"
    # Python's numbers: numpy's wrap around in the draws, and are not written to a header.
    rule = SplitRule(test, float(test_fraction), float(valid_fraction), operator.index(seed))
    options = ReadOptions(columns, delimiter, header, max_bytes)
    chosen = find_format(format, list(paths.values()), options)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".scratch", dir=work))
    try:
        bars = _Bars(progress)
        read = _read(paths, split, chosen, options, budget, folder, bars)
        parts = _sort(read, rule, budget, folder, bars)
        merged = sum(part.merged for part in parts.values())
        meta = {
            "name": name_of(source),
            "split": split,
            "drawn": rule.drawn(),
            "num_users": read.num_users,
            "num_items": read.num_items,
            "merged": merged,
            "left_out": read.left_out,
            "ltgnn": __version__,
        }
        sources = sources_of(parts, read.ids)
        with bars.show(f"writing {target.name}", sum(one.nbytes for one in sources), "B") as done:
            write_blocks(target, sources, meta, overwrite=overwrite, progress=done)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    lengths = {f"num_{part}": parts[part].length if part in parts else 0 for part in PARTS}
    return {
        **{key: meta[key] for key in ("name", "split", "num_users", "num_items")},
        **lengths,
        "merged": merged,
        "left_out": read.left_out,
        "file_bytes": os.path.getsize(target),
    }


class _Bars:
    """Progress bars with rate and time left, or none."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted

    @contextmanager
    def show(self, what: str, total: int, unit: str) -> Iterator[Callable[[int], object]]:
        """A bar while the block lasts; yields what advances it."""
        with tqdm(
            total=total, desc=what, unit=unit, unit_scale=True, leave=False,
            disable=None if self._wanted else True,  # None: shown on a terminal only
        ) as bar:  # fmt: skip
            yield bar.update


def _read(
    paths: dict[str, Path],
    split: str,
    chosen: str,
    options: ReadOptions,
    budget: Budget,
    folder: Path,
    bars: _Bars,
) -> _Read:
    """The first pass: parses all files, numbers users and items, spools them by part."""
    user_map, item_map = IdMap(), IdMap()
    num_users = num_items = 0
    has_ids: bool | None = None
    left_out: list[int] = []
    spools: dict[str, Spool] = {}
    for role, path in paths.items():
        part = role if split == "given" or list(paths) == ["train"] else "train"
        spool = spools.setdefault(part, Spool(folder, part))
        with bars.show(f"reading {path.name}", os.path.getsize(path), "B") as done:
            watched = replace(options, on_bytes=done, on_left_out=left_out.append)
            for piece in FORMATS[chosen].read_pieces(path, watched, budget.piece_bytes):
                users, items = piece.users, piece.items
                if has_ids not in (None, piece.user_ids is not None):
                    raise ValueError(f"{display_name(path)}: expected ids in all files or in none")
                has_ids = piece.user_ids is not None
                if piece.user_ids is not None and piece.item_ids is not None:
                    users = user_map.add(piece.user_ids)[users]
                    items = item_map.add(piece.item_ids)[items]
                    num_users, num_items = len(user_map), len(item_map)
                num_users = max(num_users, piece.num_users)
                num_items = max(num_items, piece.num_items)
                if max(num_users, num_items) > _INT32_MAX:
                    raise ValueError(
                        f"{display_name(path)}: expected at most {_INT32_MAX} users and items"
                    )
                tables = user_map.nbytes + item_map.nbytes + 24 * (num_users + num_items)
                budget.spend(tables, f"the tables of {num_users:,} users and {num_items:,} items")
                spool.append(users, items, num_users, piece)
    ids = {"user": user_map, "item": item_map} if has_ids else None
    return _Read(spools, num_users, num_items, ids, sum(left_out))


def _sort(
    read: _Read, rule: SplitRule, budget: Budget, folder: Path, bars: _Bars
) -> dict[str, Part]:
    """The second and third pass: by user, split, and by item."""
    ids = sum(table.nbytes for table in read.ids.values()) if read.ids else 0
    budget = budget.spend(ids + 32 * (read.num_users + read.num_items), "tables of users and items")
    parts: dict[str, Part] = {}
    total = 2 * sum(len(spool) for spool in read.spools.values())
    with bars.show("sorting by user", total, " pairs") as done:
        for name, spool in read.spools.items():
            # Parts that the files give are not split again, but for validation data out of train.
            own = rule if name == "train" else SplitRule()
            parts |= user_rows(name, spool, read.num_users, own, budget, folder, done)
            spool.remove()
    with bars.show("sorting by item", 2 * parts["train"].length, " pairs") as done:
        transpose(parts["train"], read.num_items, budget, folder, done)
    return {part: parts[part] for part in PARTS if part in parts}
