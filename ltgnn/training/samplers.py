"""Batches of observed pairs, and negatives for them: a function of (seed, epoch, step) alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.models import Batch
from ltgnn.ops import epoch_pairs, mix_seed, negative_sample
from ltgnn.training.popularity import PopularityNegatives, item_log_probabilities


def auto_batch_size(num_pairs: int, *, quadratic: bool = True) -> int:
    """A power of two: about 400 steps an epoch, from 256 to 2048; past 6 M pairs about 3000, up to 32768.

    Small data need small batches: it is the number of steps that trains. Where there are steps in plenty, a large
    batch costs less a pair: more of its nodes occur more than once, and each is computed once.

    Args:
        num_pairs: of an epoch.
        quadratic: the loss compares all pairs of a batch: then 2048 is the most.

    Example:
        >>> auto_batch_size(80_000), auto_batch_size(810_128), auto_batch_size(10**8, quadratic=False)
        (256, 2048, 32768)
    """
    power = min(11, max(8, round(math.log2(max(1.0, num_pairs / 400)))))
    if not quadratic:
        power = max(power, min(15, round(math.log2(max(1.0, num_pairs / 3000)))))
    return 1 << power


class PairSampler:
    """Cuts each epoch into batches, each made when it is asked for: no memory grows with the graph.

    The same pairs for every device and any number of threads. No state is kept between epochs, so that a resumed
    run sees what the uninterrupted one would have seen.

    Args:
        graph: the training graph.
        batch_size: pairs in a batch; the last one of an epoch may have fewer.
        negatives: how many items that its user lacks to draw for each pair. Users who own every item lack none:
            their pairs are left out.
        sampling: 'interactions' or 'users', see `TrainConfig`.
        seed: of the run.
        popularity: draw them in proportion to degree^0.75, else uniformly.
        log_q: tell each item's log probability of being in a batch.

    Raises:
        ValueError: batch_size is below 1, negatives is negative, or there is no such sampling.
    """

    def __init__(
        self,
        graph: BipartiteGraph,
        *,
        batch_size: int,
        negatives: int,
        sampling: str,
        seed: int,
        popularity: bool = False,
        log_q: bool = False,
    ) -> None:
        for name, value, least in (("batch_size", batch_size, 1), ("negatives", negatives, 0)):
            if value < least:
                raise ValueError(f"PairSampler: {name} must be at least {least}, got {value}")
        if sampling not in ("interactions", "users"):
            raise ValueError(
                f"PairSampler: sampling must be 'interactions' or 'users', got {sampling!r}"
            )
        self.graph = graph
        self.batch_size = batch_size
        self.negatives = int(negatives)
        self.sampling = sampling
        self.seed = seed
        degrees = graph.degrees[: graph.num_users]
        # Looked at once: a look at each batch would have to wait for a GPU.
        self._some_own_all = bool((degrees >= graph.num_items).any())
        self._popularity = PopularityNegatives(graph) if popularity and negatives else None
        self._log_q = item_log_probabilities(graph, sampling) if log_q else None
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
            negatives = self._draw(users, seed)
            if self._some_own_all and bool((negatives < 0).any()):
                kept = (negatives >= 0).view(count, self.negatives)[:, 0]
                users, items, negatives = users[kept], items[kept], negatives[kept]
        log_q = None if self._log_q is None else self._log_q[items]
        return Batch(users, items, negatives, seed, factor, log_q)

    def _draw(self, users: Tensor, seed: int) -> Tensor:
        """[pairs], or [pairs, negatives] where there are several."""
        graph, several = self.graph, self.negatives > 1
        drawers = users.repeat_interleave(self.negatives) if several else users
        if self._popularity is not None:
            found = self._popularity.draw(drawers, seed=seed)
        else:
            found = negative_sample(
                graph.user_indptr, graph.indices[: graph.num_edges], drawers, graph.num_items,
                seed=seed, first_item=graph.num_users,
            )  # fmt: skip
        return found.view(len(users), self.negatives) if several else found
