"""How LTGNN draws neighbours: how many for each row, and which; renewed with the memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ltgnn.graph import BipartiteGraph
from ltgnn.ops import MAX_FANOUT, importance_starts, neyman_fanout

NEIGHBOR_SAMPLING = ("uniform", "adaptive", "importance", "adaptive_importance")

# Of every node's length, the part that is the mean of all: what stood still may move next. Which of the rare nodes
# move in a period is chance, so that a guess from one period alone is worse than none.
_STILL = 0.5
_KEPT = 0.8  # of the mean square of earlier periods
_STARTS_EVERY = (
    8  # renewals, after the first few: they cost O(num_edges), and the guess changes slowly
)
_STEPS_AN_EPOCH = 400  # of batches of 256 to 2048 pairs, as the trainer makes them by default
_LEVELS = 2**20


class NeighborSampling(nn.Module):
    """The sampling arguments of the native operators for a model's config.

    'adaptive' shares a budget of `config.fanout` neighbours a target out among the rows by Neyman's allocation;
    'importance' draws neighbours in proportion to how far they move; 'adaptive_importance' does both. How far a
    node moves is guessed from how far it had moved at the refreshes before (their fading root mean square); before
    the first all are taken to move alike. Estimates are unbiased whatever the guess is worth.

    Buffers, in the state: `movement` [num_nodes] float32, `renewals`, their number so far, `row_fanout` [num_nodes]
    int16, `edge_starts` [num_edges] int32, or None.

    Args:
        graph: the training graph.
        config: LTGNN's.
    """

    movement: Tensor | None
    renewals: Tensor | None
    row_fanout: Tensor | None
    edge_starts: Tensor | None

    def __init__(self, graph: BipartiteGraph, config: Any) -> None:
        super().__init__()
        self.config = config
        kind, device = config.neighbor_sampling, graph.device
        self.adaptive = kind.startswith("adaptive")
        self.by_importance = kind.endswith("importance")
        nodes, edges = graph.num_nodes, len(graph.indices)
        row_fanout = torch.zeros(nodes, dtype=torch.int16, device=device) if self.adaptive else None
        starts = (
            torch.zeros(edges, dtype=torch.int32, device=device) if self.by_importance else None
        )
        guesses = self.adaptive or self.by_importance
        self.register_buffer("movement", torch.zeros(nodes, device=device) if guesses else None)
        renewals = torch.zeros((), dtype=torch.int64, device=device) if guesses else None
        self.register_buffer("renewals", renewals)
        self.register_buffer("row_fanout", row_fanout)
        self.register_buffer("edge_starts", starts)

    @property
    def arguments(self) -> dict[str, Any]:
        """`fanout`, `row_fanout` and `edge_starts` of the operators that draw neighbours."""
        fanout = MAX_FANOUT if self.adaptive else self.config.fanout
        return {
            "fanout": fanout, "row_fanout": self.row_fanout, "edge_starts": self.edge_starts
        }  # fmt: skip

    @staticmethod
    def extra_bytes(config: Any, num_nodes: int, num_edges: int) -> int:
        """Memory of the buffers and, while they are renewed, of what is beside them."""
        kind = config.neighbor_sampling
        nodes = 0 if kind == "uniform" else 40 * num_nodes
        return nodes + (8 * num_edges + (64 << 20) if kind.endswith("importance") else 0)

    @torch.no_grad()
    def renew(self, graph: BipartiteGraph, moved: Tensor, gradients: Tensor | None) -> None:
        """At a refresh, from the rows of what moved since the last and, where it is aggregated too, of the gradient
        memory. In place.

        O(num_edges + num_nodes dim); nothing where neighbours are drawn uniformly. `edge_starts`, the dearest, wait
        for renewal 0, 1, 2, 4, 8, 16, 24 and so on.
        """
        if self.movement is None or self.renewals is None:
            return
        number = int(self.renewals)
        self.renewals += 1
        square = _lengths(moved).square()
        started = bool(self.movement.any())
        self.movement.copy_(_KEPT * self.movement + (1.0 - _KEPT) * square if started else square)
        length = _evened(self.movement.sqrt())
        if gradients is not None:
            length = length + _evened(_lengths(gradients))
        c = self.config
        if self.row_fanout is not None:
            self.row_fanout.copy_(
                neyman_fanout(
                    graph, length, budget=c.fanout, frequency=_frequency(graph),
                    by_importance=self.by_importance, self_loops=c.self_loops,
                )
            )  # fmt: skip
        if self.edge_starts is not None and (number in (1, 2, 4) or number % _STARTS_EVERY == 0):
            scale = graph.scale(self_loops=c.self_loops)
            self.edge_starts.copy_(importance_starts(graph, length * scale))


def _lengths(table: Tensor) -> Tensor:
    """[rows], float32: the rows' lengths; 0 where they are not finite."""
    length: Tensor = torch.linalg.vector_norm(table, dim=1, dtype=torch.float32)
    return length.clamp_(max=1e15).nan_to_num_(0.0)


def _evened(length: Tensor) -> Tensor:
    """In units of the mean, some of it for all alike; ones for zeros."""
    largest = float(length.max()) if len(length) else 0.0
    if largest == 0.0:
        return torch.ones_like(length)
    # Whole numbers: their sum does not depend on who adds up what.
    levels = (length * (_LEVELS / largest)).long()
    mean = int(levels.sum()) / len(levels) / _LEVELS * largest
    return (1.0 - _STILL) * (length / mean) + _STILL


def _frequency(graph: BipartiteGraph) -> Tensor:
    """[num_nodes], float64: probability that a batch of interactions has the node."""
    edges = max(1, graph.num_edges)
    pairs = min(max(edges / _STEPS_AN_EPOCH, 256.0), 2048.0)
    share = (graph.degrees.double() / edges).clamp(max=1.0)
    return -torch.expm1(pairs * torch.log1p(-share))
