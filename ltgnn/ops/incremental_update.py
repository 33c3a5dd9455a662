"""incremental_update: embeddings after edges have come or gone, by pushing the residual where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ltgnn.ops.csr import as_slack_rows
from ltgnn.ops.fixed_point import SymmetricGraph, _check_alpha
from ltgnn.ops.registration import register_fake, require_one_device

_NO_LIMIT = 2**63 - 1


@dataclass(frozen=True)
class IncrementalResult:
    """What an update did.

    Attributes:
        rows: [num_touched], int64, sorted: the rows of y that were changed.
        pending: [num_pending], int64, sorted: rows still above tol, where a limit ended the update. Pass them
            among `rows` of the next one.
        rounds: rounds of pushes.
        pushes: rows pushed, a row counted once for each round.
        converged: no residual that was looked at is above tol, or not finite.
    """

    rows: Tensor
    pending: Tensor
    rounds: int
    pushes: int
    converged: bool


def incremental_update(
    graph: SymmetricGraph,
    e0: Tensor,
    y: Tensor,
    residual: Tensor,
    rows: Tensor,
    *,
    alpha: float,
    tol: float,
    max_rounds: int = 1000,
    max_pushes: int | None = None,
    self_loops: bool = False,
) -> IncrementalResult:
    """Bring y up to date after the graph, or e0, has changed in `rows`.

    y approximates `D^-1/2 Z`, Z being the fixed point `Z = (1 - alpha) A Z + alpha E0` (see `solve_fixed_point`,
    which makes the first y and residual, and `y_to_z`). Degrees enter through the scaling only, so the insertion
    or deletion of an edge changes the equation in the rows of its two ends: their residual is recomputed, and
    then every row above tol is pushed to its neighbours, round after round, until none is left. Entries of y are
    then within tol / alpha of the solution, as long as all rows that were ever above tol have been pushed. Many
    updates add roundings to the residual: recompute it with `push_residual_` now and then.

    Sources: Andersen, Chung and Lang, FOCS 2006 (push); AGP, Wang et al., KDD 2021; InstantGNN, Zheng et al.,
    KDD 2022 (arXiv 2206.01379).

    Args:
        graph: as it is now; a `DynamicGraph`, whose `insert` and `delete` return `rows`. A `BipartiteGraph`
            costs O(num_nodes) a call.
        e0: [num_nodes, dim], float32 or float64, contiguous.
        y, residual: like e0; written.
        rows: [num_rows], int64: both ends of every edge that came or went, rows whose e0 changed, and what was
            left pending. Any order, repetitions allowed.
        alpha: teleport probability, in (0, 1].
        tol: bound on every entry of the residual, positive.
        max_rounds: end after so many rounds.
        max_pushes: begin no round that would take the pushes above it.
        self_loops: every node is its own neighbour too.

    Returns:
        What was touched, and whether it converged.

    Raises:
        ValueError, IndexError: a shape, dtype or setting is wrong, or a row or index is out of range. y and
            residual then still belong together (on a GPU: what depends on a bad index is NaN).
        TypeError: graph is of another kind.

    Complexity: O((edges of `rows` + edges of pushed rows) * dim), the latter at most
    `sum_i D_i |R_i|_1 / (alpha tol)`; nothing that grows with the graph. The same bits for any number of
    threads. On a GPU the host waits once a round.

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.DynamicGraph(num_users=2, num_items=2)
        >>> e0 = torch.ones(4, 1)
        >>> y, residual = ltgnn.ops.solve_fixed_point(graph, e0, alpha=0.5, tol=1e-4)
        >>> rows = graph.insert([0], [1])
        >>> done = ltgnn.ops.incremental_update(
        ...     graph, e0, y, residual, rows, alpha=0.5, tol=1e-4
        ... )
        >>> done.rows, done.converged
        (tensor([0, 3]), True)
        >>> bool((ltgnn.ops.y_to_z(graph, y, rows) - 1).abs().max() <= 1e-4 / 0.5)
        True
    """
    _check_alpha("incremental_update", alpha)
    s = as_slack_rows(graph, y, "incremental_update")
    torch.ops.ltgnn.push_residual_(
        s.row_begin, s.degree, s.indices, e0, y, residual, rows, alpha, self_loops
    )
    touched, pending, numbers = torch.ops.ltgnn.push_(
        s.row_begin, s.degree, s.indices, y, residual, rows, alpha, tol, max_rounds,
        _NO_LIMIT if max_pushes is None else max_pushes, self_loops,
    )  # fmt: skip
    rounds, pushes, converged = numbers.tolist()
    return IncrementalResult(touched, pending, rounds, pushes, bool(converged))


@register_fake("push_")
def _(row_begin: Tensor, degree: Tensor, indices: Tensor, y: Tensor, residual: Tensor, rows: Tensor,
      *settings: Any) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    require_one_device("push_", row_begin, degree, indices, y, residual, rows)
    context = torch.library.get_ctx()
    touched, pending = (rows.new_empty((context.new_dynamic_size(),)) for _ in range(2))
    return touched, pending, torch.empty((3,), dtype=torch.int64, device="cpu")
