"""The part of LTGNN's output that its adjustment takes out, beside that of E0."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.models.ltgnn_config import LTGNNConfig
from ltgnn.ops import propagate
from ltgnn.ops.dense import one_thread


def sent_rows(e0: Tensor, z: Tensor | None, rows: Tensor, config: LTGNNConfig) -> Tensor:
    """[len(rows), dim]: what rows send to their neighbours' outputs, less the normalisation and 1 - alpha.

    It is Z, or E0 where there is no z, less the share of c1 A E0; of E0 as it is, not as it was at the refresh.
    """
    own = e0.detach().index_select(0, rows)
    own = own.to(torch.promote_types(own.dtype, torch.float32))
    sent = own if z is None else z.index_select(0, rows).to(own.dtype)
    return sent - config.c1 / (1 - config.alpha) * own if config.c1 and config.alpha < 1 else sent


def output_adjustment(graph: BipartiteGraph, e0: Tensor, config: LTGNNConfig) -> Tensor:
    """[num_nodes, dim]: c1 A E0 + c2 zinf.

    zinf = q q' E0, with q the unit vector along the square roots of the degrees.
    """
    result = torch.zeros_like(e0)
    if config.c1:
        result += config.c1 * propagate(graph, e0, self_loops=config.self_loops)
    if config.c2:
        q = (graph.degrees + float(config.self_loops)).to(e0.dtype).sqrt()
        with one_thread():  # else the pieces of these long sums are as many as the threads
            q /= q.norm().clamp(min=1e-12)
            weights = q @ e0
        result += config.c2 * torch.outer(q, weights)
    return result
