"""What a model says of its memory before it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RunSizes:
    """What a run's memory depends on beside its settings: the graph's counts, and a batch's pairs."""

    num_users: int
    num_items: int
    num_edges: int
    batch: int

    @property
    def num_nodes(self) -> int:
        """Users and items."""
        return self.num_users + self.num_items

    def distinct_rows(self, items_per_pair: float) -> int:
        """How many nodes a batch holds with so many items for each pair."""
        items = round(items_per_pair * self.batch)
        return distinct(self.batch, self.num_users) + distinct(items, self.num_items)


@dataclass(frozen=True)
class TableCounts:
    """Tables [num_nodes, dim] of a model, in sizes of a float32 table: nearly all of its memory.

    Attributes:
        kept: as long as the model lives, in its storage.
        training: more at the worst moment of a training step or a refresh, in memory, beside the batch's rows.
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


def distinct(draws: int, of: int) -> int:
    """How many of so many things are drawn at least once in the mean; fewer where some are drawn more often.

    Example:
        >>> distinct(10, 1_000_000), distinct(1_000_000, 10)
        (10, 10)
    """
    return round(of * -math.expm1(-draws / of)) if of else 0


def row_order_bytes(sizes: RunSizes) -> int:
    """Bytes of a graph's second list of its rows (`ltgnn.graph.order_rows`)."""
    return 2 * 4 * sizes.num_edges + 2 * 8 * sizes.num_nodes


def pair_bytes(config: Any, batch: int) -> int:
    """Bytes that a step holds for the pairs of a batch, whatever the width of their rows, or for in-batch softmax.

    Numbers of rows, scores and slopes; a few of each for every negative, fewer for candidates that are not chosen.
    """
    chosen, draws = config.negatives_per_pair, config.draws_per_pair
    each = 100 + (100 * chosen + 64 * draws if draws > 1 else 0)
    if config.loss == "softmax":
        # Unit rows and their gradients, items' in as many parts as the kernel has; two threads' rows of scores.
        each += 4 * (8 + 5) * config.dim + 400
        if config.log_q or config.adaptive_tau:  # composed of torch's operators
            each += 4 * 10 * config.dim
        if config.remove_accidental_hits:
            each += batch // 8
    return each * batch
