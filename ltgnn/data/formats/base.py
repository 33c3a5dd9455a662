"""What every file format offers, and the options all of them take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Literal

from ltgnn.data.interactions import Interactions

Columns = Mapping[str, str | int]
Header = bool | Literal["auto"]


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file; a format refuses options that mean nothing to it.

    Args:
        columns: column of each role ("user", "item", "value", "time"), by name or from 0.
        delimiter: what separates columns; None: find out.
        header: whether the first row holds names; "auto": find out.
        max_bytes: largest accepted size of each file, unpacked.
    """

    columns: Columns | None = None
    delimiter: str | None = None
    header: Header = "auto"
    max_bytes: int | None = None


@dataclass(frozen=True)
class Format:
    """A registered format.

    Args:
        name: what the user passes as ``format=``.
        matches: whether a sample (whole lines from the start of a file) looks like it.
        read_files: reads files that share one numbering of users and items.
    """

    name: str
    matches: Callable[[bytes], bool]
    read_files: Callable[[Sequence[str | PathLike[str]], ReadOptions], list[Interactions]]
