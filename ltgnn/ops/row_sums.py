"""Sums into rows without atomics: by a stable sort of the rows and a sparse product."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn.ops.csr import Csr, scale_dtype
from ltgnn.ops.propagate import propagate


def add_rows(values: Tensor, rows: Tensor, num_rows: int) -> Tensor:
    """[num_rows, dim]: the values of equal rows added up in their order, the same for any number of threads.

    Args:
        values: [n, dim], float32 or float64.
        rows: [n], int64, in [0, num_rows).
        num_rows: of the result.

    Complexity: O(n (log n + dim) + num_rows dim).

    Example:
        >>> import torch
        >>> add_rows(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([2, 0, 2]), 3).flatten()
        tensor([2., 0., 5.])
    """
    indptr, order = _group(rows, num_rows)
    return propagate(Csr(indptr, order, len(rows)), values)


def product_gradient(x: Tensor, left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
    """The gradient of `sum_e weight_e <x[left_e], x[right_e]>` for x, with the weights held fixed.

    Args:
        x: [num_rows, dim], float32 or float64.
        left, right: [n], int64, rows of x.
        weight: [n], any float type; rounded to that of x.

    Returns:
        [num_rows, dim]. The same bits for any number of threads.

    Complexity: O(n (log n + dim)).

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0], [3.0]])
        >>> product_gradient(x, torch.tensor([0]), torch.tensor([1]), torch.tensor([2.0])).flatten()
        tensor([6., 2.])
    """
    indptr, order = _group(torch.cat([left, right]), len(x))
    others = torch.cat([right, left])[order]
    factors = torch.cat([weight, weight]).to(scale_dtype(x))[order]
    return propagate(Csr(indptr, others, len(x), weight=factors), x)


def _group(rows: Tensor, num_rows: int) -> tuple[Tensor, Tensor]:
    """(indptr [num_rows + 1], order [n]): where in `rows` each row occurs, in order."""
    order = torch.sort(rows, stable=True)[1]
    indptr = torch.zeros(num_rows + 1, dtype=torch.int64, device=rows.device)
    torch.cumsum(torch.bincount(rows, minlength=num_rows), 0, out=indptr[1:])
    return indptr, order
