"""Plain-torch twins of push_residual_ and push_; see ltgnn/ops/reference.py."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn.ops.reference import take


def _neighbors(row_begin: Tensor, degree: Tensor, indices: Tensor, row: int) -> Tensor:
    """The indices of one row, after checks of its range."""
    if not 0 <= row < len(row_begin):
        raise IndexError(f"rows must be in [0, {len(row_begin)}), got {row}")
    begin, length = int(row_begin[row]), int(degree[row])
    if not 0 <= begin <= begin + length <= len(indices):
        raise ValueError(f"row {row} begins at {begin} with {length} of {len(indices)}")
    return indices[begin : begin + length].long()


def _scale(degree: Tensor, rows: Tensor, like: Tensor, self_loops: bool) -> Tensor:
    """D of some rows, as a column: degree (+ 1), but at least 1."""
    return (degree[rows].to(like.dtype) + bool(self_loops)).clamp(min=1.0)[:, None]


def push_residual_(
    row_begin: Tensor,
    degree: Tensor,
    indices: Tensor,
    e0: Tensor,
    y: Tensor,
    residual: Tensor,
    rows: Tensor | None,
    alpha: float,
    self_loops: bool,
) -> None:
    """`alpha D^-1/2 E0 + (1 - alpha) D^-1 (A [+ I]) Y - Y` in `rows`, written into residual."""
    rows = torch.arange(len(y)) if rows is None else rows
    sums = torch.zeros_like(take(y, rows))
    for k, row in enumerate(rows.tolist()):
        neighbors = _neighbors(row_begin, degree, indices, row)
        sums[k] = take(y, neighbors).sum(0) + (y[row] if self_loops else 0)
    scale = _scale(degree, rows, y, self_loops)
    residual[rows] = alpha * e0[rows] / scale.sqrt() + (1 - alpha) / scale * sums - y[rows]


def push_(
    row_begin: Tensor,
    degree: Tensor,
    indices: Tensor,
    y: Tensor,
    residual: Tensor,
    rows: Tensor,
    alpha: float,
    tol: float,
    max_rounds: int,
    max_pushes: int,
    self_loops: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Rounds of pushes; (rows pushed, rows still above tol, [rounds, pushes, converged])."""
    if not 0 < tol < float("inf"):
        raise ValueError(f"tol must be positive and finite, got {tol}")
    all_finite = True

    def above(candidates: Tensor) -> Tensor:
        nonlocal all_finite
        sizes = take(residual, candidates).abs()
        finite = sizes.isfinite().all(1)
        all_finite = all_finite and bool(finite.all())
        return candidates[finite & (sizes > tol).any(1)]

    frontier = above(rows.unique())
    pushed: list[int] = []
    rounds = 0
    while len(frontier) and rounds < max_rounds and len(pushed) + len(frontier) <= max_pushes:
        lists = [_neighbors(row_begin, degree, indices, j) for j in frontier.tolist()]
        for row in lists:
            take(y, row)  # in range
            if (row.diff() < 0).any():
                raise ValueError("indices must be sorted in each row")
        delta = residual[frontier]
        y[frontier] += delta
        residual[frontier] = 0
        met = []
        for j, row, own in zip(frontier, lists, delta, strict=True):
            targets = torch.cat([row, j[None]]) if self_loops else row
            weights = (1 - alpha) / _scale(degree, targets, y, self_loops)
            residual.index_add_(0, targets, weights * own)
            met.append(targets)
        pushed += frontier.tolist()
        rounds += 1
        frontier = above(torch.cat(met).unique())
    touched = torch.tensor(pushed, dtype=torch.int64).unique()
    converged = not len(frontier) and all_finite
    return touched, frontier, torch.tensor([rounds, len(pushed), int(converged)])
