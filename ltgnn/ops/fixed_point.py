"""The fixed point Z = (1 - alpha) A Z + alpha E0 in the scaling Y = D^-1/2 Z: residual, solution, conversion.

D is the degree (one more with self loops), but at least 1, so that a node without edges has y = z = alpha e0,
as `propagate` has it. In this scaling a changed edge changes two rows of the equation and no others, which is
what `incremental_update` rests on. csrc/kernels/push.h has the mathematics.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ltgnn import _library as _library  # registers the operators
from ltgnn.ops.csr import SlackRows, SupportsCsr, SupportsSlackRows, as_slack_rows
from ltgnn.ops.registration import register_fake, require_one_device

SymmetricGraph: TypeAlias = "SupportsSlackRows | SupportsCsr | SlackRows"


def push_residual_(
    graph: SymmetricGraph,
    e0: Tensor,
    y: Tensor,
    residual: Tensor,
    rows: Tensor | None = None,
    *,
    alpha: float,
    self_loops: bool = False,
) -> Tensor:
    """Write the residual `R = alpha D^-1/2 E0 + (1 - alpha) D^-1 A Y - Y` of chosen rows, or of all.

    |Y - Y*| is at most max |R| / alpha in every entry, Y* being the solution. Called on all rows now and then,
    it also takes away the roundings that many incremental updates leave in a residual.

    Args:
        graph: `DynamicGraph` or `BipartiteGraph`.
        e0, y: [num_nodes, dim], float32 or float64, contiguous.
        residual: like y; rows are written.
        rows: [num_targets], int64; None for all.
        alpha: teleport probability, in [0, 1].
        self_loops: every node is its own neighbour too.

    Returns:
        residual.

    Raises:
        ValueError, IndexError: a shape, dtype or setting is wrong, or a row or index is out of range.
        TypeError: graph is of another kind.

    Complexity: O(edges of the rows * dim). The same bits for any number of threads.

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0], [0])
        >>> y, e0 = torch.zeros(2, 1), torch.ones(2, 1)
        >>> ltgnn.ops.push_residual_(graph, e0, y, torch.empty(2, 1), alpha=0.5)
        tensor([[0.5000],
                [0.5000]])
    """
    s = as_slack_rows(graph, y, "push_residual_")
    torch.ops.ltgnn.push_residual_(
        s.row_begin, s.degree, s.indices, e0, y, residual, rows, alpha, self_loops
    )
    return residual


def solve_fixed_point(
    graph: SymmetricGraph,
    e0: Tensor,
    *,
    alpha: float,
    tol: float,
    self_loops: bool = False,
    start: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Solve for Y from scratch by exact sweeps Y += R until no entry of R is above `tol`.

    Args:
        graph, e0, alpha, self_loops: as for `push_residual_`; alpha in (0, 1].
        tol: bound on max |R|, positive; |Y - Y*| is then at most tol / alpha.
        start: [num_nodes, dim], an older y to start from; zeros where it is None.

    Returns:
        (y, residual), both [num_nodes, dim]; the residual is that of y. It may be above a tol that is finer than
        the dtype's rounding: the sweeps end where they would have shrunk it by e^-40.

    Raises:
        ValueError, IndexError, TypeError: as for `push_residual_`.

    Complexity: O(num_edges * dim * log(1 / tol) / alpha).

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0], [0])
        >>> y, residual = ltgnn.ops.solve_fixed_point(graph, torch.ones(2, 1), alpha=0.5, tol=1e-3)
        >>> bool((y - 1).abs().max() <= 1e-3 / 0.5), bool(residual.abs().max() <= 1e-3)
        (True, True)
    """
    _check_alpha("solve_fixed_point", alpha)
    if not (tol > 0 and math.isfinite(tol)):
        raise ValueError(f"solve_fixed_point: tol must be positive and finite, got {tol}")
    s = as_slack_rows(graph, e0, "solve_fixed_point")
    y = torch.zeros_like(e0) if start is None else start.clone()
    residual = torch.empty_like(y)
    sweeps = 1 + (math.ceil(-40.0 / math.log(1.0 - alpha)) if alpha < 1 else 1)
    for sweep in range(sweeps + 1):
        push_residual_(s, e0, y, residual, alpha=alpha, self_loops=self_loops)
        largest = _largest(residual) if residual.numel() else 0.0
        if sweep == sweeps or largest <= tol:
            break
        y += residual
        if math.isnan(largest):
            break  # no sweep will make it a number: both tables say so
    return y, residual


def z_to_y(graph: SymmetricGraph, z: Tensor, *, self_loops: bool = False) -> Tensor:
    """`D^-1/2 Z`, what updates work on, from embeddings z [num_nodes, dim].

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0] * 4, range(4))
        >>> ltgnn.ops.z_to_y(graph, torch.ones(5, 1)).flatten()
        tensor([0.5000, 1.0000, 1.0000, 1.0000, 1.0000])
    """
    degree = as_slack_rows(graph, z, "z_to_y").degree
    return z / _root(degree, z, self_loops)


def y_to_z(
    graph: SymmetricGraph, y: Tensor, rows: Tensor | None = None, *, self_loops: bool = False
) -> Tensor:
    """`D^1/2 Y`, the embeddings, of all rows or of chosen ones ([num_rows] int64); `z_to_y` undone.

    After an update z has changed in the rows that it touched **and** in those whose degree changed.

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0] * 4, range(4))
        >>> ltgnn.ops.y_to_z(graph, torch.ones(5, 1), torch.tensor([0, 3])).flatten()
        tensor([2., 1.])
    """
    degree = as_slack_rows(graph, y, "y_to_z").degree
    if rows is not None:
        degree, y = degree[rows], y[rows]
    return y * _root(degree, y, self_loops)


def _root(degree: Tensor, like: Tensor, self_loops: bool) -> Tensor:
    """sqrt(D) as a column."""
    return (degree.to(like.dtype) + float(self_loops)).clamp_(min=1.0).sqrt_()[:, None]


def _largest(residual: Tensor) -> float:
    """max |R| without a copy of it; NaN where there is one."""
    low, high = torch.aminmax(residual)
    return float(torch.maximum(-low, high))


def _check_alpha(op: str, alpha: float) -> None:
    """Without teleport there is no bound: the sweeps would not settle."""
    if not 0 < alpha <= 1:
        raise ValueError(f"{op}: alpha must be in (0, 1], got {alpha}")


@register_fake("push_residual_")
def _(*arguments: Any) -> None:
    require_one_device("push_residual_", *arguments)
