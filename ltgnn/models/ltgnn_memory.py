"""LTGNN's memory: what it says of it before it is made, and how a history is renewed."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.models.ltgnn_config import LTGNNConfig
from ltgnn.models.memory_need import TableCounts
from ltgnn.ops import propagate


def table_dtypes(config: LTGNNConfig) -> tuple[torch.dtype, torch.dtype]:
    """How the embeddings and how the other tables are stored."""
    return (
        torch.bfloat16 if config.table_dtype == "bfloat16" else torch.float32,
        torch.float32 if config.table_dtype == "float32" else torch.bfloat16,
    )


def table_counts(config: LTGNNConfig) -> TableCounts:
    """How many tables there are at once."""
    deep, adjusted = config.depth == "fixed_point", config.c1 > 0 or config.c2 > 0
    embeddings, others = (dtype.itemsize / 4 for dtype in table_dtypes(config))
    kept = embeddings + others * (4 + deep + config.gradient_memory) + adjusted
    swept = (
        {"stored": 0, "sweeps": min(config.sweeps, 2), "solve": 4}[config.inference] if deep else 1
    )
    copied = {"float32": 0.0, "mixed": 0.5, "bfloat16": 1.0 + deep}[config.table_dtype]
    taken_out = 0 if config.c0 == config.c1 == config.c2 == 0 else 3 + adjusted
    return TableCounts(
        kept,
        training=3 * adjusted + copied,
        inference=max(swept, 1 + taken_out if taken_out else 0) + copied,
    )


def renew_history(
    graph: BipartiteGraph, config: LTGNNConfig, source: Tensor, delta: Tensor, history_sum: Tensor
) -> None:
    """Make the history exact, in place: history <- source, so delta <- 0 and history_sum <- A source. Without
    variance reduction there is none: history <- 0, so delta <- source and history_sum <- 0.

    O(edges dim), or O(nodes dim). All three tables are [num_nodes, dim].
    """
    if not config.variance_reduction:
        delta.copy_(source)
        history_sum.zero_()
        return
    source = source.to(history_sum.dtype)
    propagate(graph, source, self_loops=config.self_loops, out=history_sum)
    delta.zero_()
