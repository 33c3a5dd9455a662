"""The part of LTGNN's output that its adjustment takes out, beside that of E0."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.models.ltgnn_config import LTGNNConfig
from ltgnn.ops import propagate


def output_adjustment(graph: BipartiteGraph, e0: Tensor, config: LTGNNConfig) -> Tensor:
    """[num_nodes, dim]: c1 A E0 + c2 zinf.

    zinf = q q' E0, with q the unit vector along the square roots of the degrees.
    """
    result = torch.zeros_like(e0)
    if config.c1:
        result += config.c1 * propagate(graph, e0, self_loops=config.self_loops)
    if config.c2:
        q = (graph.degrees + float(config.self_loops)).to(e0.dtype).sqrt()
        q /= q.norm().clamp(min=1e-12)
        result += config.c2 * torch.outer(q, q @ e0)
    return result
