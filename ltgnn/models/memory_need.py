"""What a model says of its memory before it is made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TableCounts:
    """Tables [num_nodes, dim] of a model, in sizes of a float32 table: nearly all of its memory.

    Attributes:
        kept: as long as the model lives, in its storage.
        training: more at the worst moment of a training step or a refresh, in memory.
        inference: more at the worst moment of `embeddings()`, in memory.
    """

    kept: float
    training: float = 0
    inference: float = 0


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes of a model, by when they are held.

    Attributes:
        kept: as long as the model lives, in its storage.
        training: more at the worst moment of a training step, a refresh or a fit, in memory.
        inference: more at the worst moment of `embeddings()` or, where there are none, of `score_block`.
    """

    kept: int
    training: int
    inference: int
