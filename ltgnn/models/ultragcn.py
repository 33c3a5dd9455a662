"""UltraGCN: infinitely many layers as weights of the loss (Mao et al., CIKM 2021, arXiv 2110.15114)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from ltgnn.graph import BipartiteGraph, TableStorage
from ltgnn.models.base import Batch, ModelConfig, Recommender
from ltgnn.ops import adam_
from ltgnn.ops.csr import Csr
from ltgnn.ops.propagate import propagate

BLOCK_ENTRIES = 1 << 26  # of the item-item product that are held at once


@dataclass(frozen=True)
class UltraGCNConfig(ModelConfig):
    """UltraGCN's settings; those of its loss are the paper's, the rest is tuned for a few epochs on a CPU.

    Attributes:
        num_negatives: items drawn for a batch, uniformly; all its users are scored against them.
        negative_weight: weight of the mean over the negatives; 0: a fifth of the number of items over the mean
            number of a user's items, which is what the paper's 300 is on Gowalla.
        w1, w2, w3, w4: weights of a pair's loss: w1 + w2 beta for positives, w3 + w4 beta for negatives.
        neighbors: nearest items of each positive that attract its user, too.
        neighbor_weight: weight of that attraction (lambda).
    """

    loss: Literal["ultragcn"] = "ultragcn"  # type: ignore[assignment]
    lr: float = 1e-3
    l2: float = 1e-4
    num_negatives: int = 1500
    negative_weight: float = 0.0
    w1: float = 1e-6
    w2: float = 1.0
    w3: float = 1e-6
    w4: float = 1.0
    neighbors: int = 10
    neighbor_weight: float = 5e-4

    losses: ClassVar[tuple[str, ...]] = ("ultragcn",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("num_negatives", self.num_negatives >= 1, "at least 1")
        self._require("neighbors", self.neighbors >= 0, "not negative")
        for name in ("negative_weight", "w1", "w2", "w3", "w4", "neighbor_weight"):
            self._require(name, getattr(self, name) >= 0, "not negative")


class UltraGCN(Recommender):
    """Matrix factorisation whose loss holds what propagation would bring about.

    With `s_ui` the inner product and `beta_ui = sqrt(d_u + 1) / d_u / sqrt(d_i + 1)`, for a positive (u, i),
    negatives j and the nearest items k of i by the co-occurrence graph:

        (w1 + w2 beta_ui) softplus(-s_ui) + negative_weight mean_j (w3 + w4 beta_uj) softplus(s_uj)
        + neighbor_weight sum_k omega_ik softplus(-s_uk)

    The published code draws negatives for each pair; here a batch shares them: the same expectation, as a matrix
    product instead of a gather. A step costs O(batch (num_negatives + neighbors) dim); lazy Adam.
    """

    name: ClassVar[str] = "ultragcn"
    config_type: ClassVar[type[ModelConfig]] = UltraGCNConfig
    config: UltraGCNConfig

    def __init__(
        self,
        graph: BipartiteGraph,
        config: UltraGCNConfig,
        *,
        seed: int = 0,
        storage: TableStorage | None = None,
    ) -> None:
        super().__init__(graph, config, seed=seed, storage=storage)
        degrees = graph.degrees.to(torch.float32)
        users, items = degrees[: graph.num_users], degrees[graph.num_users :]
        self._user_beta = (users + 1).sqrt() / users.clamp(min=1)
        self._item_beta = (items + 1).rsqrt()
        self._negative_weight = self.config.negative_weight or (
            0.2 * graph.num_items * graph.num_users / max(1, graph.num_edges)
        )
        near, omega = nearest_items(graph, self.config.neighbors)
        self._near, self._omega = near.to(graph.device), omega.to(graph.device)

    def _apply(self, fn: object, recurse: bool = True) -> UltraGCN:
        super()._apply(fn, recurse)
        for name in ("_user_beta", "_item_beta", "_near", "_omega"):
            setattr(self, name, getattr(self, name).to(self.e0.device))
        return self

    @torch.no_grad()
    def training_step(self, batch: Batch) -> Tensor:
        """See the base class; the gradient is in closed form."""
        c, offset, pairs = self.config, self.graph.num_users, len(batch.users)
        generator = torch.Generator().manual_seed(batch.seed)
        count = c.num_negatives if pairs else 0
        negatives = torch.randint(max(1, self.graph.num_items), (count,), generator=generator)
        negatives = negatives.to(self.e0.device)
        near = self._near[batch.items]
        user, item, other = (
            self.e0[batch.users],
            self.e0[batch.items + offset],
            self.e0[negatives + offset],
        )
        around = self.e0[near + offset]
        user_beta = self._user_beta[batch.users]

        weight = c.w1 + c.w2 * user_beta * self._item_beta[batch.items]
        score = (user * item).sum(1)
        loss = (weight * softplus(-score)).double().sum()
        slope = -weight * torch.sigmoid(-score) / max(1, pairs)
        grad_user, grad_item = slope[:, None] * item, slope[:, None] * user

        scale = self._negative_weight / max(1, count)
        weights = (
            torch.outer(user_beta, self._item_beta[negatives]).mul_(c.w4 * scale).add_(c.w3 * scale)
        )
        scores = user @ other.T
        loss += (weights * softplus(scores)).double().sum()
        slopes = scores.sigmoid_().mul_(weights).div_(max(1, pairs))
        grad_user += slopes @ other
        grad_other = slopes.T @ user

        weight = c.neighbor_weight * self._omega[batch.items]
        score = (user[:, None] * around).sum(2)
        loss += (weight * softplus(-score)).double().sum()
        slope = -weight * torch.sigmoid(-score) / max(1, pairs)
        grad_user += (slope[..., None] * around).sum(1)
        grad_around = (slope[..., None] * user[:, None]).flatten(0, 1)

        nodes = torch.cat(
            [batch.users, batch.items + offset, negatives + offset, near.flatten() + offset]
        )
        rows, grad = sum_by_row(nodes, torch.cat([grad_user, grad_item, grad_other, grad_around]))
        l2 = torch.full((len(rows),), c.l2 / max(1, pairs), device=rows.device)
        step, lr = self._next_step(batch)
        adam_(self.e0, self.adam_m, self.adam_v, grad, rows=rows, l2=l2, step=step, lr=lr)
        return loss / max(1, pairs)

    def node_embeddings(self) -> Tensor:
        """The embeddings themselves."""
        return self.e0.detach()


def sum_by_row(rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Sums the values of equal rows, in the order in which they come, for any number of threads.

    Returns:
        (distinct rows, sorted [n]; sums [n, dim]).
    """
    ordered, order = torch.sort(rows, stable=True)
    distinct, counts = torch.unique_consecutive(ordered, return_counts=True)
    indptr = torch.zeros(len(distinct) + 1, dtype=torch.int64, device=rows.device)
    torch.cumsum(counts, 0, out=indptr[1:])
    return distinct, propagate(Csr(indptr, order, len(rows)), values)


def nearest_items(graph: BipartiteGraph, count: int) -> tuple[Tensor, Tensor]:
    """The items with the largest omega in the co-occurrence graph G = R' R, for each item.

    `omega_ij = G_ij sqrt(g_i + 1) / g_i / sqrt(g_j + 1)`, g the row sums of G. An item may be among its own
    nearest, as in the published code.

    Returns:
        (items [num_items, k] int64, k = min(count, num_items); omega [num_items, k] float32, 0 where an item has
        fewer).

    Complexity: O(sum of squared user degrees), in blocks of bounded memory.
    """
    users = graph.to_scipy()
    items = users.T.tocsr()
    k = min(count, graph.num_items)
    near = np.zeros((graph.num_items, k), dtype=np.int64)
    omega = np.zeros((graph.num_items, k), dtype=np.float32)
    totals = np.asarray(items @ users.sum(axis=1)).ravel()
    column = 1.0 / np.sqrt(totals + 1.0)
    # Bounds the product's entries: those of row i are at most the degrees of its users added up.
    ends = np.cumsum(totals)
    start = 0
    while start < graph.num_items and k:
        reached = ends[start - 1] if start else 0.0
        end = int(np.searchsorted(ends, reached + BLOCK_ENTRIES, side="right"))
        end = min(max(end, start + 1), graph.num_items)
        block = (items[start:end] @ users).tocsr()
        for row in range(end - start):
            low, high = block.indptr[row : row + 2]
            columns = block.indices[low:high].astype(np.int64)
            values = block.data[low:high] * column[columns]
            best = np.lexsort((columns, -values))[:k]
            total = totals[start + row]
            near[start + row, : len(best)] = columns[best]
            omega[start + row, : len(best)] = values[best] * np.sqrt(total + 1.0) / max(total, 1.0)
        start = end
    return torch.from_numpy(near), torch.from_numpy(omega)
