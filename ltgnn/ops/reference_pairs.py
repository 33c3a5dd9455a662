"""Plain twin of `epoch_pairs`; see ltgnn.ops.reference."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ltgnn.ops.reference import draw, philox, row_of

_WORD = 0xFFFFFFFFFFFFFFFF
_FACTOR = 0xD6E8FEB86659FD93


def _hash_below(digit: int, key: int, size: int) -> int:
    x = digit + key & _WORD
    x = (x ^ x >> 32) * _FACTOR & _WORD
    x = (x ^ x >> 32) * _FACTOR & _WORD
    return (x >> 32) * size >> 32


def entry_at(count: int, at: int, seed: int) -> int:
    """Where the permutation of [0, count) that belongs to seed sends `at`; see csrc/kernels/epoch_pairs.h.

    Example:
        >>> sorted(entry_at(10, at, seed=3) for at in range(10)) == list(range(10))
        True
    """
    left_size = math.isqrt(count - 1) + 1
    right_size = -(-count // left_size)
    words = [philox(seed, turn, 0) for turn in range(6)]
    keys = [first << 32 | second for first, second, *_ in words]
    while True:
        left, right = divmod(at, right_size)
        for turn in range(0, 6, 2):
            left = (left + _hash_below(right, keys[turn], left_size)) % left_size
            right = (right + _hash_below(left, keys[turn + 1], right_size)) % right_size
        at = left * right_size + right
        if at < count:
            return at


def _row_holding(indptr: list[int], entry: int) -> int:
    """The last row that begins at or before `entry`, by the native operator's bisection."""
    row, length = 0, len(indptr) - 1
    while length > 1:
        half = length // 2
        if indptr[row + half] <= entry:
            row += half
        length -= half
    if not indptr[row] <= entry < indptr[row + 1]:
        raise ValueError(f"row {row} does not hold entry {entry}")
    return row


def epoch_pairs(
    indptr: Tensor,
    indices: Tensor,
    rows: Tensor | None,
    num_cols: int,
    begin: int,
    count: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """([count], [count]): row and column of each pair; column -1 where a row of `rows` is empty."""
    edges = len(indices)
    if int(indptr[0]) != 0 or int(indptr[-1]) != edges or not 0 <= begin <= begin + count <= edges:
        raise ValueError("indptr must run from 0 to the number of edges; begin, count within it")
    starts, pairs = indptr.tolist(), []
    for at in range(begin, begin + count):
        if rows is None:
            entry = entry_at(edges, at, seed)
            row = _row_holding(starts, entry)
            row_of(indptr, indices, row)  # its range is usable
            column = int(indices[entry])
        else:
            row = int(rows[draw(seed, at, 0, len(rows))])
            entries = row_of(indptr, indices, row)
            column = int(entries[draw(seed, at, 1, len(entries))]) if len(entries) else -1
            if not len(entries):
                pairs.append((row, column))
                continue
        if not 0 <= column < num_cols:
            raise IndexError(f"indices must be in [0, {num_cols}), got {column}")
        pairs.append((row, column))
    table = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
    return table[:, 0].contiguous(), table[:, 1].contiguous()
