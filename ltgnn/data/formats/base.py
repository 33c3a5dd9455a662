"""What every file format offers, and the options all of them take."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Literal

from ltgnn.data.interactions import Interactions

Columns = Mapping[str, str | int]
Header = bool | Literal["auto"]
LAYOUT_OPTIONS = ("columns", "delimiter", "header")
PIECE_BYTES = 8 << 20

_WATCHED_FROM = 16 << 20  # bytes of files: below, they are read before a bar is of use


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file; a format refuses options that mean nothing to it.

    Args:
        columns: column of each role ("user", "item", "value", "time"), by name or from 0.
        delimiter: what separates columns; None: find out.
        header: whether the first row holds names; "auto": find out.
        max_bytes: largest accepted size of each file, unpacked.
        on_bytes: while a file is read in pieces, called with how many of its bytes (as they lie on the
            disk) were read since the last call. Where it is given, large files are.
        on_left_out: while a file is read in pieces, called with how many rows of a piece are no
            interactions; from any thread.
    """

    columns: Columns | None = None
    delimiter: str | None = None
    header: Header = "auto"
    max_bytes: int | None = None
    on_bytes: Callable[[int], object] | None = field(default=None, compare=False)
    on_left_out: Callable[[int], object] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.columns is not None and not isinstance(self.columns, Mapping):
            raise TypeError(
                "columns: expected a mapping like {'user': ..., 'item': ...}, got "
                f"{type(self.columns).__name__}"
            )
        if self.header != "auto" and not isinstance(self.header, bool):
            raise TypeError(f"header: expected True, False or 'auto', got {self.header!r}")
        if self.delimiter == r"\t":  # as it is typed where no shell makes a tab of it
            object.__setattr__(self, "delimiter", "\t")

    def given(self) -> set[str]:
        """Names of the options that say how a file is laid out and are not at their default."""
        defaults = ReadOptions()
        return {name for name in LAYOUT_OPTIONS if getattr(self, name) != getattr(defaults, name)}


@dataclass(frozen=True)
class Format:
    """A registered format.

    Args:
        name: what the user passes as ``format=``.
        matches: whether a sample (whole lines from the start of a file) looks like it.
        read_files: reads files that share one numbering of users and items.
        read_pieces: reads one file in pieces of about so many bytes of it, for files larger than the
            memory. Each piece has users and items numbered by itself, if it has ids; if not, by the
            indices. Put together they are what ``read_files`` gives.
        takes: the options of ``ReadOptions.given`` that mean something to it.
    """

    name: str
    matches: Callable[[bytes], bool]
    read_files: Callable[[Sequence[str | PathLike[str]], ReadOptions], list[Interactions]]
    read_pieces: Callable[[str | PathLike[str], ReadOptions, int], Iterator[Interactions]]
    takes: frozenset[str] = frozenset()


def is_watched(paths: Sequence[str | PathLike[str]], options: ReadOptions) -> bool:
    """Whether files of text are to be read in pieces, so that somebody sees how far it is.

    That takes up to a fifth longer than parsing them whole, and comes to the same, but that a row of over 16
    pieces is refused, and a table that starts with a megabyte of blank lines.
    """
    return options.on_bytes is not None and sum(map(os.path.getsize, paths)) >= _WATCHED_FROM


def typed_place(column: str | int) -> str | int:
    """A column as it was given; a number where it was typed as one, as on a command line."""
    is_number = isinstance(column, str) and column.isascii() and column.isdecimal()
    return int(column) if is_number else column


def refuse_options(name: str, options: ReadOptions, takes: frozenset[str] = frozenset()) -> None:
    """Raises ValueError for an option that means nothing to a format."""
    if options.given() <= takes:
        return
    names = [option for option in LAYOUT_OPTIONS if option not in takes]
    *first, last = names
    subject = f"{', '.join(first)} and {last} mean" if first else f"{last} means"
    raise ValueError(f"format {name!r}: {subject} nothing here; did you mean format='delimited'?")
