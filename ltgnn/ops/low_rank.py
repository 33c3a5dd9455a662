"""LowRank: a matrix as a product of thin factors, which `propagate` takes in place of a graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ltgnn.ops.dense import one_thread


@dataclass(frozen=True, eq=False)
class LowRank:
    """`M = left diag(values) right'`; where `bipartite`, the symmetric `[[0, M], [M', 0]]` around it.

    A bipartite graph's normalised adjacency has this form, so its eigenvalues are the singular values of M and
    their negatives, and the factors of M do for both. `low_rank_approximation` makes one from a graph. The factors
    are constants: no gradient goes to them.

    Attributes:
        left: [m, rank], float32 or float64.
        values: [rank], same dtype.
        right: [n, rank], same dtype.
        bipartite: whether this stands for M [m, n] or for the square matrix [m + n, m + n] around it.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together.

    Example:
        >>> import torch, ltgnn
        >>> one = torch.ones(2, 1)
        >>> matrix = ltgnn.ops.LowRank(one, torch.tensor([0.5]), one)
        >>> ltgnn.ops.propagate(matrix, torch.tensor([[1.0], [3.0]])).flatten()
        tensor([2., 2.])
    """

    left: Tensor
    values: Tensor
    right: Tensor
    bipartite: bool = False

    def __post_init__(self) -> None:
        left, values, right = self.left, self.values, self.right
        shapes = [list(part.shape) for part in (left, values, right)]
        if [len(shape) for shape in shapes] != [2, 1, 2] or not (
            shapes[0][1] == shapes[1][0] == shapes[2][1]
        ):
            raise ValueError(
                f"LowRank: left, values, right must be [m, rank], [rank], [n, rank], got {shapes}"
            )
        for part in (left, values, right):
            if part.dtype not in (torch.float32, torch.float64) or part.dtype != left.dtype:
                found = [str(p.dtype) for p in (left, values, right)]
                raise ValueError(f"LowRank: all three must be float32, or all float64, got {found}")
            if part.device != left.device:
                places = [str(p.device) for p in (left, values, right)]
                raise ValueError(f"LowRank: all three must be on one device, got {places}")

    @property
    def rank(self) -> int:
        """Number of singular triples."""
        return len(self.values)

    @property
    def shape(self) -> tuple[int, int]:
        """(num_rows, num_cols) of what this stands for."""
        m, n = len(self.left), len(self.right)
        return (m + n, m + n) if self.bipartite else (m, n)

    def to(self, target: torch.device | torch.dtype | str) -> LowRank:
        """The same factors on another device, or in another dtype."""
        left, values, right = (part.to(target) for part in (self.left, self.values, self.right))
        return replace(self, left=left, values=values, right=right)

    @property
    def transposed(self) -> LowRank:
        """The transpose: itself where it is symmetric."""
        return self if self.bipartite else replace(self, left=self.right, right=self.left)


def low_rank_propagate(
    low_rank: LowRank, x: Tensor, x0: Tensor | None, alpha: float, out: Tensor | None
) -> Tensor:
    """`propagate` for a LowRank: `(1 - alpha) L (S (R' x)) + alpha x0`; see there.

    Complexity: O((m + n) rank dim), on one thread, so that sums over all rows have one order.
    """
    num_rows, num_cols = low_rank.shape
    _check("x", x, num_cols, None, low_rank)
    if not 0 <= alpha <= 1:
        raise ValueError(f"propagate: alpha must be in [0, 1], got {alpha}")
    if x0 is not None:
        _check("x0", x0, num_rows, x.shape[1], low_rank)
    if out is not None:
        _check("out", out, num_rows, x.shape[1], low_rank)
        if x0 is not None and x0.untyped_storage().data_ptr() == out.untyped_storage().data_ptr():
            x0 = x0.clone()
        with torch.no_grad():
            _multiply(low_rank, x, 1.0 - alpha, out)
            return out if x0 is None else out.add_(x0, alpha=alpha)
    result: Tensor = _Product.apply(x, low_rank, 1.0 - alpha)  # type: ignore[no-untyped-call]
    return result if x0 is None else torch.add(result, x0, alpha=alpha)


class _Product(torch.autograd.Function):
    """`factor M x`, whose gradient for x is the same product with the transpose: any number of times."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low_rank: LowRank, factor: float) -> Tensor:
        ctx.low_rank, ctx.factor = low_rank, factor
        return _multiply(low_rank, x, factor, x.new_empty(low_rank.shape[0], x.shape[1]))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _Product.apply(grads[0], ctx.low_rank.transposed, ctx.factor), None, None  # type: ignore[no-untyped-call]


def _multiply(low_rank: LowRank, x: Tensor, factor: float, out: Tensor) -> Tensor:
    """`factor M x` into `out`, which may not overlap x."""
    left, right = low_rank.left, low_rank.right
    weights = (low_rank.values * factor)[:, None]
    with one_thread():
        if not low_rank.bipartite:
            return torch.mm(left, weights * (right.T @ x), out=out)
        m = len(left)
        of_items, of_users = weights * (right.T @ x[m:]), weights * (left.T @ x[:m])
        torch.mm(left, of_items, out=out[:m])
        torch.mm(right, of_users, out=out[m:])
    return out


def _check(name: str, table: Tensor, rows: int, dim: int | None, low_rank: LowRank) -> None:
    """Raise unless a table is [rows, dim], of the factors' dtype and on their device."""
    wanted = f"[{rows}, {'dim' if dim is None else dim}]"
    shape = list(table.shape)
    if len(shape) != 2 or shape[0] != rows or (dim is not None and shape[1] != dim):
        raise ValueError(f"propagate: {name} must be {wanted}, got {shape}")
    factors = low_rank.left
    if table.dtype != factors.dtype:
        raise ValueError(
            f"propagate: {name} must have the low-rank factors' dtype {factors.dtype}, got {table.dtype}"
        )
    if table.device != factors.device:
        raise ValueError(
            f"propagate: {name} must be where the low-rank factors are, {factors.device}, got {table.device}"
        )
