"""epoch_pairs: any part of a shuffled epoch, without the epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn import _library as _library
from ltgnn.ops.registration import register_fake, require_one_device


def epoch_pairs(
    indptr: Tensor,
    indices: Tensor,
    num_cols: int,
    begin: int,
    count: int,
    *,
    seed: int,
    rows: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Entries of a sparse matrix at positions [begin, begin + count) of a random order of all of them.

    The order is a keyed permutation that is computed place by place and kept nowhere, so that a batch costs what
    it holds and no more, whichever part of the epoch it is.

    Args:
        indptr: [num_rows + 1], int64.
        indices: [num_edges], int32 or int64, columns.
        num_cols: columns are below it.
        begin: position of the first pair.
        count: number of pairs; `begin + count` is at most num_edges.
        seed: int64; another seed is another order.
        rows: [1 to 2**32], int64. Where given, each pair is instead a uniform entry of a uniform one of these rows.

    Returns:
        (rows [count], columns [count]), int64; a column is -1 where one of `rows` has no entries.

    Raises:
        ValueError, IndexError: a shape, dtype, row pointer, row or column is wrong.

    Complexity: O(count * log(num_rows)) time, no memory but the result's.

    Source: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002.

    Example:
        >>> import torch, ltgnn
        >>> indptr, indices = torch.tensor([0, 2, 3]), torch.tensor([0, 1, 1])
        >>> parts = [ltgnn.ops.epoch_pairs(indptr, indices, 2, at, 1, seed=1) for at in range(3)]
        >>> sorted((int(row), int(column)) for row, column in parts)
        [(0, 0), (0, 1), (1, 1)]
    """
    result: tuple[Tensor, Tensor] = torch.ops.ltgnn.epoch_pairs(
        indptr, indices, rows, num_cols, begin, count, seed
    )
    return result


@register_fake("epoch_pairs")
def _(
    indptr: Tensor,
    indices: Tensor,
    rows: Tensor | None,
    num_cols: int,
    begin: int,
    count: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    require_one_device("epoch_pairs", indptr, indices, rows)
    return indptr.new_empty((count,)), indptr.new_empty((count,))
