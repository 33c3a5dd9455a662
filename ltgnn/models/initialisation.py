"""First values of the embeddings."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.models.model_config import ModelConfig


def initialise(e0: Tensor, graph: BipartiteGraph, config: ModelConfig, seed: int) -> None:
    """Fill the embeddings with random numbers, the same ones for every device and storage; in place."""
    generator = torch.Generator().manual_seed(seed)
    in_place = e0.device.type == "cpu" and e0.dtype == torch.float32
    rows = e0 if in_place else torch.empty(e0.shape, dtype=torch.float32)
    if config.init == "normal":
        rows.normal_(0.0, 0.1, generator=generator)
    else:
        # Users and items are two tables, each with its own Xavier bound (Glorot and Bengio, 2010).
        for part in (rows[: graph.num_users], rows[graph.num_users :]):
            bound = (6.0 / max(1, part.shape[0] + config.dim)) ** 0.5
            part.uniform_(-bound, bound, generator=generator)
    if rows is not e0:
        e0.copy_(rows)
