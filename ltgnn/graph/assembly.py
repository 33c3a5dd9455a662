"""A BipartiteGraph from both directions' CSR, read in blocks: the one copy in memory is the graph itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from ltgnn.graph.bipartite import INT32_MAX, BipartiteGraph
from ltgnn.graph.storage import TableStorage

Blocks: TypeAlias = Iterable[tuple[int, npt.NDArray[Any]]]

_FACTOR_1, _FACTOR_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_PIECE = 1 << 18  # edges looked at together: what is computed on the way stays in the cache


def graph_from_blocks(
    user_indptr: npt.NDArray[np.int64],
    item_indptr: npt.NDArray[np.int64],
    user_blocks: Blocks,
    item_blocks: Blocks,
    storage: TableStorage | None = None,
) -> BipartiteGraph:
    """Build a graph from the CSR of each side, whose indices come block by block.

    Everything is checked as it passes: ids in range, rows ascending without repetition, no more and no fewer edges
    than the row pointers say, and that both sides hold the same pairs (by a sum of 64-bit hashes of all pairs,
    which unequal sides share with probability 2^-64).

    Args:
        user_indptr: [num_users + 1], from 0, never decreasing.
        item_indptr: [num_items + 1], likewise.
        user_blocks: (first edge, item numbers) of blocks that follow each other.
        item_blocks: (first edge, user numbers) likewise.
        storage: where the graph's indices are put; None: memory.

    Raises:
        ValueError: the blocks are not that.

    Complexity: O(num_edges) time; memory for the graph and a few blocks.

    Example:
        >>> import numpy as np
        >>> users, items = np.array([0, 2, 3]), np.array([0, 1, 3])
        >>> graph_from_blocks(users, items, [(0, np.array([0, 1, 1]))], [(0, np.array([0, 0, 1]))])
        BipartiteGraph(num_users=2, num_items=2, num_edges=3)
    """
    num_users, num_items = len(user_indptr) - 1, len(item_indptr) - 1
    num_edges, num_nodes = int(user_indptr[-1]), num_users + num_items
    if int(item_indptr[-1]) != num_edges:
        raise ValueError(
            f"both sides must have as many edges, got {num_edges} and {int(item_indptr[-1])}"
        )
    dtype = torch.int32 if num_nodes <= INT32_MAX else torch.int64
    indices = (storage or TableStorage()).empty(2 * num_edges, dtype=dtype)
    target = indices.numpy()
    by_user = _fill("user", user_indptr, user_blocks, num_items, num_users, target[:num_edges])
    by_item = _fill("item", item_indptr, item_blocks, num_users, 0, target[num_edges:])
    if by_user != by_item:
        raise ValueError(
            "the two sides must hold the same pairs: each user's items, each item's users"
        )
    indptr = torch.empty(num_nodes + 1, dtype=torch.int64)
    indptr[: num_users + 1] = torch.from_numpy(user_indptr)
    indptr[num_users:] = torch.from_numpy(item_indptr)
    indptr[num_users:] += num_edges
    return BipartiteGraph(num_users, num_items, indptr, indices)


def _fill(
    side: str,
    indptr: npt.NDArray[np.int64],
    blocks: Blocks,
    bound: int,
    offset: int,
    target: npt.NDArray[Any],
) -> int:
    """Write the checked indices, plus offset, to target; the sum of the hashes of their pairs."""
    done, last, total = 0, -1, 0
    for start, block in blocks:
        if start != done or done + len(block) > len(target):
            raise ValueError(f"by {side}: expected edges from {done} to {len(target)}, got {start}")
        for at in range(0, len(block), _PIECE):
            piece = block[at : at + _PIECE]
            total += _check(side, indptr, piece, done, last, bound)
            # numpy would add in the piece's dtype, which may be narrower than the sum.
            place = target[done : done + len(piece)]
            np.add(piece, offset, out=place, dtype=target.dtype, casting="unsafe")
            done, last = done + len(piece), int(piece[-1])
    if done != len(target):
        raise ValueError(f"by {side}: expected {len(target)} edges, got {done}")
    return total % (1 << 64)


def _check(
    side: str,
    indptr: npt.NDArray[np.int64],
    piece: npt.NDArray[Any],
    start: int,
    last: int,
    bound: int,
) -> int:
    """Check edges from `start` on; `last` is the index before them."""
    if int(piece.min()) < 0 or int(piece.max()) >= bound:
        bad = int(piece.min()) if int(piece.min()) < 0 else int(piece.max())
        raise ValueError(f"by {side}: expected indices in [0, {bound}), got {bad}")
    first, end = np.searchsorted(indptr, [start, start + len(piece) - 1], side="right") - 1
    borders = np.clip(indptr[first : end + 2], start, start + len(piece))
    rows = np.repeat(np.arange(first, end + 1), np.diff(borders))
    falls = np.flatnonzero(np.diff(piece, prepend=last) <= 0) + start
    at_start = indptr[np.searchsorted(indptr, falls)] == falls  # a row may start lower
    if not at_start.all():
        at = int(falls[~at_start][0])
        raise ValueError(
            f"by {side}: expected ascending rows, got edge {at} not above the one before"
        )
    users, items = (rows, piece) if side == "user" else (piece, rows)
    return _hash_sum(users, items)


def _hash_sum(users: npt.NDArray[Any], items: npt.NDArray[Any]) -> int:
    """Sum of the SplitMix64 finaliser over pairs, modulo 2^64: the same in any order."""
    x = users.astype(np.uint64)
    x <<= np.uint64(32)
    x ^= items.astype(np.uint64)
    shift = np.empty_like(x)
    for bits, factor in ((30, _FACTOR_1), (27, _FACTOR_2), (31, None)):
        np.right_shift(x, np.uint64(bits), out=shift)
        x ^= shift
        if factor is not None:
            x *= factor
    return int(x.sum())
