"""What LTGNN says of its memory before it is made."""

from __future__ import annotations

import torch

from ltgnn.models.ltgnn_config import LTGNNConfig
from ltgnn.models.memory_need import TableCounts


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
