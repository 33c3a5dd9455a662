"""Outputs of a batch's pairs as if each pair were not in the graph."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.ops.row_sums import add_rows


@dataclass(frozen=True)
class PairOutputs:
    """Outputs of a batch, one for each place instead of one for each distinct node.

    Attributes:
        out: [places, dim]: of the users, of the items and, where there are any, of the negatives.
        positions: rows of `out` of users [batch], items [batch] and negatives, in their shape.
        targets: [places], the distinct node that each place belongs to.
        num_targets: their number.
    """

    out: Tensor
    positions: list[Tensor]
    targets: Tensor
    num_targets: int

    def gradient(self, grad: Tensor) -> Tensor:
        """[num_targets, dim]: the gradient for the distinct nodes' outputs from that for `out`."""
        return add_rows(grad, self.targets, self.num_targets)


def exclude_pairs(
    graph: BipartiteGraph,
    out: Tensor,
    rows: Tensor,
    positions: list[Tensor],
    sent: Tensor,
    *,
    kept: float,
    self_loops: bool,
) -> PairOutputs:
    """Take out of each pair's outputs what the two have sent each other.

    A pair to be learned is an edge of the graph, and a pair to be found later is not: with the edge left in, a user
    is near to an item already because that item is part of the user's output, and less is learned from the others.

    Args:
        graph: whose normalisation is used; degrees still count the edge.
        out: [num_targets, dim], outputs of the batch's distinct nodes `rows`.
        rows: [num_targets], int64.
        positions: rows of `out` of users [batch], items [batch] and maybe negatives, which stay as they are.
        sent: [num_targets, dim], what each of them sends to its neighbours, before normalisation.
        kept: factor of the neighbours' sum in `out`.
        self_loops: as in the propagation.

    Returns:
        The outputs, users and items without each other. What is taken out is `kept s_u s_i sent`, with s = 1 /
        sqrt(degree): the pair's own term of the sum. What it brings by longer ways is left in.

    Complexity: O(batch dim), and `gradient` O(batch (log batch + dim)).
    """
    targets = torch.cat([part.flatten() for part in positions])
    scale = graph.scale(dtype=out.dtype, self_loops=self_loops)[rows]
    users, items = positions[:2]
    weight = (kept * scale[users] * scale[items])[:, None]
    by_place = out.index_select(0, targets)
    pairs = len(users)
    by_place[:pairs] -= weight * sent.index_select(0, items)
    by_place[pairs : 2 * pairs] -= weight * sent.index_select(0, users)
    places = torch.arange(len(targets), device=out.device).split(
        [part.numel() for part in positions]
    )
    shaped = [place.view(part.shape) for place, part in zip(places, positions, strict=True)]
    return PairOutputs(by_place, shaped, targets, len(out))
