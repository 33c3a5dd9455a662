"""pair_scores: inner products of listed pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn import _library as _library


def pair_scores(queries: Tensor, items: Tensor, ids: Tensor) -> Tensor:
    """Inner products of each query with the items that it lists, in float64, rounded once.

    Args:
        queries: [num_queries, dim], float32 or float64, contiguous.
        items: [num_items, dim], same dtype, contiguous.
        ids: [num_queries, num_listed], int64, contiguous: rows of items.

    Returns:
        [num_queries, num_listed], dtype of queries; -inf where an id is no row of items. Not differentiable.

    Raises:
        ValueError: a shape, dtype or layout is wrong.

    Complexity: O(num_queries * num_listed * dim). The same bits for any number of threads.

    Example:
        >>> import torch, ltgnn
        >>> items = torch.tensor([[1.0, 0.0], [1.0, 2.0]])
        >>> ltgnn.ops.pair_scores(torch.tensor([[3.0, 1.0]]), items, torch.tensor([[1, 0, 7]]))
        tensor([[5., 3., -inf]])
    """
    result: Tensor = torch.ops.ltgnn.pair_scores(queries, items, ids)
    return result
