"""Tables a few thousand rows at a time, where what is made of them need not be there for all rows at once."""

from __future__ import annotations

from collections.abc import Iterator

ROWS_AT_ONCE = 1 << 14


def row_blocks(rows: int, at_once: int = ROWS_AT_ONCE) -> Iterator[slice]:
    """Slices of `at_once` rows that cover a table of so many.

    Example:
        >>> list(row_blocks(20000))
        [slice(0, 16384, None), slice(16384, 20000, None)]
    """
    for begin in range(0, rows, at_once):
        yield slice(begin, min(rows, begin + at_once))
