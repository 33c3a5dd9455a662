"""Batches of observed pairs, and negatives for them: a function of (seed, epoch, step) alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.models import Batch
from ltgnn.ops import mix_seed, negative_sample


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
    """Cuts each epoch into batches.

    Pairs are drawn on the CPU, the same ones for every device, and handed out on the graph's.

    No state is kept between epochs, so that a resumed run sees what the uninterrupted one would have seen.

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
        users = torch.arange(graph.num_users, device=graph.device)
        self._edge_users = torch.repeat_interleave(users, degrees)
        # Looked at once: a look at each batch would have to wait for a GPU.
        self._some_own_all = bool((degrees >= graph.num_items).any())
        self._active = torch.nonzero(degrees).flatten()

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return -(-self.graph.num_edges // self.batch_size)

    def epoch(self, epoch: int, factor: float = 1.0) -> Iterator[Batch]:
        """The batches of epoch `epoch`, from 1."""
        generator = torch.Generator().manual_seed(mix_seed(self.seed, epoch))
        users, items = self._pairs(generator)
        for step, start in enumerate(range(0, len(users), self.batch_size)):
            part = slice(start, start + self.batch_size)
            yield self._batch(users[part], items[part], mix_seed(self.seed, epoch, step), factor)

    def _pairs(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        count, device = self.graph.num_edges, self.graph.device
        if self.sampling == "interactions":
            edges = torch.randperm(count, generator=generator).to(device)
            return self._edge_users[edges], self.graph.user_items[edges].to(torch.int64)
        if count == 0:
            return self._edge_users, self.graph.user_items.to(torch.int64)
        chosen = torch.randint(len(self._active), (count,), generator=generator)
        users = self._active[chosen.to(device)]
        begin, end = self.graph.indptr[users], self.graph.indptr[users + 1]
        uniform = torch.rand(count, dtype=torch.float64, generator=generator).to(device)
        chosen = begin + (uniform * (end - begin)).to(torch.int64)
        return users, self.graph.user_items[chosen].to(torch.int64)

    def _batch(self, users: Tensor, items: Tensor, seed: int, factor: float) -> Batch:
        negatives = None
        if self.negatives:
            negatives = negative_sample(
                self.graph.user_indptr, self.graph.user_items, users, self.graph.num_items,
                seed=seed,
            )  # fmt: skip
            if self._some_own_all and bool((negatives < 0).any()):
                kept = negatives >= 0
                users, items, negatives = users[kept], items[kept], negatives[kept]
        return Batch(users, items, negatives, seed, factor)
