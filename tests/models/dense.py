"""Small random graphs, and their adjacency as a dense matrix."""

from __future__ import annotations

import numpy as np
import torch

from ltgnn.graph import BipartiteGraph


def random_graph(seed: int = 0) -> BipartiteGraph:
    rng = np.random.default_rng(seed)
    return BipartiteGraph.from_edges(
        rng.integers(0, 30, 200), rng.integers(0, 40, 200), num_users=30, num_items=40
    )


def dense_adjacency(graph: BipartiteGraph, self_loops: bool) -> torch.Tensor:
    """The normalised adjacency as a float64 matrix, from the edges alone."""
    matrix = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    rows = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.degrees)
    matrix[rows, graph.indices.long()] = 1.0
    if self_loops:
        matrix += torch.eye(graph.num_nodes, dtype=torch.float64)
    scale = matrix.sum(1).clamp(min=1e-300).rsqrt() * (matrix.sum(1) > 0)
    return scale[:, None] * matrix * scale


def left_out(graph: BipartiteGraph, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    """[batch, batch], bool: pairs that are no negatives: a place's own, and those of the graph."""
    known = torch.from_numpy(graph.to_scipy().toarray() > 0)[users][:, items]
    return known | torch.eye(len(users), dtype=torch.bool)


def log_sum_of_negatives(
    logits: torch.Tensor, graph: BipartiteGraph, users: torch.Tensor, items: torch.Tensor
) -> torch.Tensor:
    """[batch]: the logarithm of each user's denominator; 0 for one without negatives."""
    mask = left_out(graph, users, items)
    return logits.masked_fill(mask, -torch.inf).logsumexp(1).masked_fill(mask.all(1), 0.0)
