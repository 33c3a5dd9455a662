"""From a path (or nothing at all) to a Dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from tqdm import tqdm

from ltgnn.data._native import display_name
from ltgnn.data.block_store import BlockStore, is_store
from ltgnn.data.dataset import Dataset
from ltgnn.data.folder import find_parts
from ltgnn.data.formats import FORMATS, Columns, Header, ReadOptions, detect
from ltgnn.data.interactions import Interactions
from ltgnn.data.splits import hold_out, leave_last_out, random_per_user
from ltgnn.data.store_options import check_store_options, keeps_its_split
from ltgnn.data.synthetic import synthetic

SplitName = Literal["auto", "given", "random", "leave_last_out", "none"]


def read(
    path: str | PathLike[str],
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
    progress: bool = False,
) -> Dataset:
    """Reads a file, or a folder with one data file or with train and test (and valid) files.

    Format, delimiter, header and the meaning of columns are found out from the content where they
    are not given; gzip is unpacked on the fly. Users and items that occur only in test count too.

    Args:
        path: a file or a folder; in a folder the words train, valid and test in file names decide.
            Or a block store, see ``convert``.
        format: "auto", "lightgcn" (``uid item item ...``), "delimited" (csv, tsv, blanks, ``::``),
            "libfm" (libsvm too), "recbole" (``.inter``), "parquet" or "npz".
        columns: ``{"user": ..., "item": ..., "value": ..., "time": ...}`` by name or number from 0;
            value and time may be absent. None: well-known names, or in that order. libfm: user and
            item by place in the row, or by a range of feature indices (``"957-5038"``).
        delimiter: delimited only.
        header: delimited only: True, False or "auto".
        split: "given": as the folder's files, or the store, say. "random": ``test_fraction`` of each user's
            interactions (at least one stays). "leave_last_out": each user's last by time. "none":
            all is train. "auto": given where there is a test file, or a store with a part beside train, else
            random. All but given put the files of a folder together first.
        test_fraction: share for "random", from 0 up to but not including 1.
        valid_fraction: share of each user's train interactions to hold out for validation.
        seed: for the random choices; the same seed gives the same split on every machine. Where a store's own
            split is used, fractions and seed are accepted at their defaults, or as the store was made.
        max_bytes: largest accepted size of each file, unpacked (parquet and stores: as they are). None: no
            limit, except that gzip and npz data which unpack to over 256 MiB and over 200 times their size are
            refused.
        progress: show a progress bar (on a terminal); a store has none.

    Returns:
        The data set, named after the file or folder. ``valid`` and ``test`` are None where nothing was to be
        split off.

    Raises:
        ValueError: malformed content as ``path:LINE:COL: expected ..., got ...``, a damaged or too
            large file, or options that do not fit.
        TypeError: an option is of the wrong type.
        OSError: a file cannot be read.
        ImportError: the file is parquet, and pyarrow is not installed.

    Time is linear in the bytes (LightGCN text: tens of millions of edges a second), plus
    O(E log E) for a split.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (pathlib.Path(folder) / "train.txt").write_text("0 1 2")
        ...     _ = (pathlib.Path(folder) / "test.txt").write_text("0 3")
        ...     data = read(folder)
        >>> data.num_items, len(data.train), len(data.test)
        (4, 2, 1)
    """
    if split not in get_args(SplitName):
        raise ValueError(f"split: expected one of {list(get_args(SplitName))}, got {split!r}")
    options = ReadOptions(columns, delimiter, header, max_bytes)
    if is_store(path):
        draw = {"test_fraction": test_fraction, "valid_fraction": valid_fraction, "seed": seed}
        by_role, split, name = _read_store(path, format, split, options, draw)
        if split == "given" and "valid" in by_role:
            valid_fraction = 0.0  # the store was made with it: that was checked
    else:
        parts, split = settle_split(path, split)
        chosen = find_format(format, list(parts.values()), options)
        read = _read_files(chosen, list(parts.values()), options, progress)
        by_role, name = dict(zip(parts, read, strict=True)), name_of(path)
    read_parts = list(by_role.values())
    valid = by_role.get("valid")
    test: Interactions | None = None
    if split == "given":
        train, test = by_role["train"], by_role.get("test")
    elif list(by_role) == ["train"]:
        train = by_role["train"]
    else:
        train, valid = _concatenate(read_parts), None
    if split == "random":
        train, test = random_per_user(train, test_fraction, seed)
    elif split == "leave_last_out":
        train, test = leave_last_out(train)
    if valid_fraction:
        if valid is not None:
            raise ValueError(
                "valid_fraction: expected 0 where the folder has a valid file, "
                f"got {valid_fraction}"
            )
        train, valid = hold_out(train, valid_fraction, seed)
    return Dataset(name, train, valid, test)


def load(
    source: str | PathLike[str] | None = None, *, progress: bool = False, **options: Any
) -> Dataset:
    """A data set from a path, or the built-in synthetic one: what a command line hands over.

    Args:
        source: a path for ``read``; None or "synthetic" for ``synthetic`` (a file of that name is
            "./synthetic").
        progress: show a progress bar where a path is read.
        options: passed on to ``read`` or ``synthetic``.

    Raises:
        TypeError: an option that the one chosen does not know.
        ValueError, OSError: as ``read`` and ``synthetic``.

    Example:
        >>> load("synthetic", num_users=50, num_items=80, num_interactions=600).num_items
        80
    """
    if source is None or source == "synthetic":
        return synthetic(**options)
    return read(source, progress=progress, **options)


def settle_split(path: str | PathLike[str], split: SplitName) -> tuple[dict[str, Path], SplitName]:
    """The files by role, and what "auto" means for them.

    Raises:
        ValueError: "given", but there is no test file.
    """
    parts = find_parts(path) if os.path.isdir(path) else {"train": Path(path)}
    if split == "auto":
        split = "given" if "test" in parts else "random"
    if split == "given" and "test" not in parts:
        raise ValueError(
            f"{display_name(path)}: split='given' expected a folder with a train and a test file, "
            f"got {[part.name for part in parts.values()]}"
        )
    return parts, split


def find_format(format: str, paths: Sequence[Path], options: ReadOptions) -> str:
    """A key of ``FORMATS``: the one that is asked for, or that of the first file that has content."""
    if format == "auto":
        filled = [path for path in paths if os.path.getsize(path) > 0]
        return detect((filled or list(paths))[0], options)
    if format not in FORMATS:
        raise ValueError(f"format: expected 'auto' or one of {list(FORMATS)}, got {format!r}")
    return format


def _read_files(
    chosen: str, paths: Sequence[Path], options: ReadOptions, progress: bool
) -> list[Interactions]:
    """The files, with one bar for all of them."""
    with tqdm(
        total=sum(map(os.path.getsize, paths)), desc=f"reading {', '.join(p.name for p in paths)}",
        unit="B", unit_scale=True, leave=False, disable=None if progress else True,
    ) as bar:  # fmt: skip
        watched = options if bar.disable else replace(options, on_bytes=bar.update)
        return FORMATS[chosen].read_files(paths, watched)


def has_given_split(path: str | PathLike[str]) -> bool:
    """Whether the test data of "auto" come with the files, and are no draw of ours."""
    if os.path.isdir(path):
        return "test" in find_parts(path)
    if not is_store(path):
        return False
    with BlockStore(path) as store:
        return store.split == "given"


def _read_store(
    path: str | PathLike[str],
    format: str,
    split: SplitName,
    options: ReadOptions,
    draw: dict[str, Any],
) -> tuple[dict[str, Interactions], SplitName, str]:
    """The parts of a block store, whole; "auto" and "given" leave them as they are."""
    with BlockStore(path) as store:
        check_store_options(store, {"format": format, "split": split, **vars(options), **draw})
        own = keeps_its_split(store, split)
        if split == "given" and not own:
            raise ValueError(
                f"{display_name(path)}: split='given' expected a store with a test part"
            )
        data = store.dataset()
    if split == "auto":
        split = "given" if own else "random"
    return data.parts(), split, data.name


def _concatenate(parts: Sequence[Interactions]) -> Interactions:
    """One after the other; values and times are kept if every non-empty part has them."""
    if len(parts) == 1:
        return parts[0]
    filled = [part for part in parts if len(part)] or list(parts[:1])
    values = [part.values for part in filled if part.values is not None]
    times = [part.times for part in filled if part.times is not None]
    first = parts[0]
    return Interactions(
        np.concatenate([part.users for part in filled]),
        np.concatenate([part.items for part in filled]),
        first.num_users,
        first.num_items,
        np.concatenate(values) if values and len(values) == len(filled) else None,
        np.concatenate(times) if times and len(times) == len(filled) else None,
        first.user_ids,
        first.item_ids,
    )


def name_of(path: str | PathLike[str]) -> str:
    """The name of the data set of a path."""
    full = Path(path).absolute()
    return display_name(full.name if full.is_dir() else full.name.removesuffix(".gz"))
