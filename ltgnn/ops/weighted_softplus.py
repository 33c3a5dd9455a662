"""weighted_softplus_: costs and slopes of a matrix of scores, in one pass."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn import _library as _library
from ltgnn.ops.registration import register_fake, require_one_device


def weighted_softplus_(scores: Tensor, of_row: Tensor, of_column: Tensor, of_all: Tensor) -> Tensor:
    """`sum_j w_ij softplus(s_ij)` for each row i, and `w_ij sigmoid(s_ij)` in place of the scores.

    With `w_ij = of_row_i * of_column_j + of_all_j`. This is the elementwise half of binary cross-entropy where all
    rows share their negatives, such as UltraGCN's (Mao et al., CIKM 2021, arXiv 2110.15114); the gradients of the
    factors of the scores are a product away.

    Args:
        scores: [num_rows, num_columns], float32 or float64, contiguous; written.
        of_row: [num_rows], same dtype, contiguous.
        of_column, of_all: [num_columns], same dtype, contiguous.

    Returns:
        [num_rows], float64. Not differentiable. Costs and slopes are right to a few units in the last place, and do
        not overflow; a NaN stays one.

    Raises:
        ValueError: a shape, dtype or layout is wrong.

    Complexity: O(num_rows * num_columns). The same bits for any number of threads.

    Example:
        >>> import torch, ltgnn
        >>> scores, one = torch.tensor([[0.0, 100.0]]), torch.ones(1)
        >>> ltgnn.ops.weighted_softplus_(scores, one, torch.ones(2), torch.zeros(2))
        tensor([100.6931], dtype=torch.float64)
        >>> scores
        tensor([[0.5000, 1.0000]])
    """
    result: Tensor = torch.ops.ltgnn.weighted_softplus_(scores, of_row, of_column, of_all)
    return result


@register_fake("weighted_softplus_")
def _(scores: Tensor, of_row: Tensor, of_column: Tensor, of_all: Tensor) -> Tensor:
    require_one_device("weighted_softplus_", scores, of_row, of_column, of_all)
    return scores.new_empty((scores.shape[0],), dtype=torch.float64)
