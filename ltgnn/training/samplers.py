"""Batches of observed pairs, and negatives for them: a function of (seed, epoch, step) alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from ltgnn.graph import BipartiteGraph
from ltgnn.models import Batch
from ltgnn.ops import epoch_pairs, mix_seed, negative_sample


def auto_batch_size(num_pairs: int) -> int:
    """A power of two from 256 to 2048 that makes about 400 steps an epoch.

    Small data need small batches: it is the number of steps that trains.

    Example:
        >>> auto_batch_size(80_000), auto_batch_size(810_128)
        (256, 2048)
    """
    power = round(math.log2(max(1.0, num_pairs / 400)))
    return 1 << min(11, max(8, power))


class PairSampler:
    """Cuts each epoch into batches, each made when it is asked for: no memory grows with the graph.

    The same pairs for every device and any number of threads. No state is kept between epochs, so that a resumed
    run sees what the uninterrupted one would have seen.

    Args:
        graph: the training graph.
        batch_size: pairs in a batch; the last one of an epoch may have fewer.
        negatives: draw one item for each pair that its user lacks. Users who own every item have none: their
            pairs are left out.
        sampling: 'interactions' or 'users', see `TrainConfig`.
        seed: of the run.
    """

    def __init__(
        self,
        graph: BipartiteGraph,
        *,
        batch_size: int,
        negatives: bool,
        sampling: str,
        seed: int,
    ) -> None:
        self.graph = graph
        self.batch_size = batch_size
        self.negatives = negatives
        self.sampling = sampling
        self.seed = seed
        degrees = graph.degrees[: graph.num_users]
        # Looked at once: a look at each batch would have to wait for a GPU.
        self._some_own_all = bool((degrees >= graph.num_items).any())
        self._rows = torch.nonzero(degrees).flatten() if sampling == "users" else None

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return -(-self.graph.num_edges // self.batch_size)

    def epoch(self, epoch: int, factor: float = 1.0) -> Iterator[Batch]:
        """The batches of epoch `epoch`, from 1."""
        for step in range(self.batches_per_epoch):
            yield self.batch(epoch, step, factor)

    def batch(self, epoch: int, step: int, factor: float = 1.0) -> Batch:
        """Batch `step`, from 0, of epoch `epoch`."""
        graph, begin = self.graph, step * self.batch_size
        count = min(self.batch_size, graph.num_edges - begin)
        owned = graph.indices[
            : graph.num_edges
        ]  # as node numbers: a view, where item numbers would be a copy
        users, nodes = epoch_pairs(
            graph.user_indptr, owned, graph.num_nodes, begin, count,
            seed=mix_seed(self.seed, epoch), rows=self._rows,
        )  # fmt: skip
        items, negatives = nodes - graph.num_users, None
        seed = mix_seed(self.seed, epoch, step)
        if self.negatives:
            negatives = negative_sample(
                graph.user_indptr,
                owned,
                users,
                graph.num_items,
                seed=seed,
                first_item=graph.num_users,
            )
            if self._some_own_all and bool((negatives < 0).any()):
                kept = negatives >= 0
                users, items, negatives = users[kept], items[kept], negatives[kept]
        return Batch(users, items, negatives, seed, factor)
