"""UltraGCN: infinitely many layers as weights of the loss (Mao et al., CIKM 2021, arXiv 2110.15114)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph, TableStorage
from ltgnn.models.base import Batch, ModelConfig, Recommender
from ltgnn.models.memory_need import MemoryNeed, RunSizes
from ltgnn.models.nearest_items import nearest_items, pairs_with, search_bytes
from ltgnn.models.shared_negatives import TILE_ROWS, shared_negatives_loss
from ltgnn.ops import adam_
from ltgnn.ops.csr import Csr
from ltgnn.ops.elementwise import exp, log, softplus_and_slope, total
from ltgnn.ops.propagate import propagate
from ltgnn.ops.row_blocks import row_blocks


@dataclass(frozen=True)
class UltraGCNConfig(ModelConfig):
    """UltraGCN's settings; w1 to w4 are the paper's, the rest is tuned for a few dozen epochs on a CPU.

    Attributes:
        num_negatives: items drawn for a batch; all its users are scored against them.
        negative_exponent: they are drawn in proportion to (degree + 1)^this, and weighed so that their mean is that
            of even draws, which 0 is: high scores are of popular items, so that the mean varies less.
        negative_weight: weight of the mean over the negatives; 0: a fifth of the number of items over the mean
            number of a user's items, which is what the paper's 300 is on Gowalla.
        w1, w2, w3, w4: weights of a pair's loss: w1 + w2 beta for positives, w3 + w4 beta for negatives.
        l2: gamma, of `gamma / 2 * |e0|^2` over all rows, which each step adds to the sum over its pairs.
        neighbors: nearest items of each positive that attract its user, too.
        neighbor_weight: weight of that attraction (lambda); the paper's is 5e-4 on Gowalla, and this learns faster.
        offset: start from the score that the degrees alone explain, see `item_offsets`. Without it the first dozens
            of epochs learn nothing but how low the score of any pair is.
        start_norm: length of a row at the start, the offset aside; 0: as `init` gives it.

    Raises:
        ValueError: a setting is out of range; the message names it, what is accepted, and what came.
    """

    loss: Literal["ultragcn"] = "ultragcn"  # type: ignore[assignment]
    lr: float = 6e-3
    l2: float = 4e-4
    init: Literal["xavier", "normal", "svd", "random_projection"] = "random_projection"
    num_negatives: int = 1500
    negative_exponent: float = 0.6
    negative_weight: float = 0.0
    w1: float = 1e-6
    w2: float = 1.0
    w3: float = 1e-6
    w4: float = 1.0
    neighbors: int = 10
    neighbor_weight: float = 0.25
    offset: bool = True
    start_norm: float = 2.0

    losses: ClassVar[tuple[str, ...]] = ("ultragcn",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("num_negatives", self.num_negatives >= 1, "at least 1")
        self._require("neighbors", self.neighbors >= 0, "not negative")
        for name in ("negative_weight", "negative_exponent", "w1", "w2", "w3", "w4", "neighbor_weight",
                     "start_norm"):  # fmt: skip
            self._require(name, getattr(self, name) >= 0, "not negative")


class UltraGCN(Recommender):
    """Matrix factorisation whose loss holds what propagation would bring about.

    With `s_ui` the inner product and `beta_ui = sqrt(d_u + 1) / d_u / sqrt(d_i + 1)`, for a positive (u, i),
    negatives j and the nearest items k of i by the co-occurrence graph:

        (w1 + w2 beta_ui) softplus(-s_ui) + negative_weight mean_j (w3 + w4 beta_uj) softplus(s_uj)
        + neighbor_weight sum_k omega_ik softplus(-s_uk)

    The published code draws negatives for each pair; here a batch shares them: the same expectation, as a matrix
    product instead of a gather. L2 is of all rows at every step, as there: a row takes what it has missed, in
    expectation, when a batch holds it. A step costs O(batch (num_negatives + neighbors) dim); lazy Adam.
    """

    name: ClassVar[str] = "ultragcn"
    config_type: ClassVar[type[ModelConfig]] = UltraGCNConfig
    samplings: ClassVar[tuple[str, ...]] = ("interactions",)  # how often a row comes is in its L2
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
        drawn = exp(self.config.negative_exponent * log(items.double() + 1))
        in_all = total(drawn)
        self._drawn_up_to = torch.cumsum(drawn, 0) / in_all
        self._rarity = (in_all / max(1, graph.num_items) / drawn).to(torch.float32)
        self._pairs_with = torch.cat([users, pairs_with(near, items.cpu()).to(users)]).double()
        self._drawn = chance_of_draw(self._drawn_up_to, self.config.num_negatives)
        self._start()

    @classmethod
    def step_bytes(cls, config: UltraGCNConfig, sizes: RunSizes) -> int:
        """See the base class: rows near a batch's items, its own and their gradients, which tiles or sums join."""
        row, batch, drawn = 4 * config.dim, sizes.batch, config.num_negatives
        near = batch * config.neighbors
        tiles = -(-batch // TILE_ROWS) * drawn
        sums = 2 * (batch + drawn + sizes.distinct_rows(1 + config.neighbors + drawn / batch))
        own = near + 3 * (batch + drawn) + max(tiles, sums)
        return row * own + 40 * (near + 2 * batch + drawn)

    @classmethod
    def memory_need(cls, config: UltraGCNConfig, sizes: RunSizes) -> MemoryNeed:
        """See the base class: at the start the search for near items, later what it found."""
        need = super().memory_need(config, sizes)
        found = sizes.num_items * (12 * config.neighbors + 40) + 12 * sizes.num_users
        training = max(need.training, search_bytes(sizes.num_edges) - need.kept)
        return replace(need, training=training + found, inference=need.inference + found)

    def _apply(self, fn: object, recurse: bool = True) -> UltraGCN:
        super()._apply(fn, recurse)
        for name in (
            "_user_beta",
            "_item_beta",
            "_near",
            "_omega",
            "_drawn_up_to",
            "_rarity",
            "_pairs_with",
            "_drawn",
        ):
            setattr(self, name, getattr(self, name).to(self.e0.device))
        return self

    @torch.no_grad()
    def _start(self) -> None:
        """What the settings make of the first embeddings."""
        c, users = self.config, self.graph.num_users
        if c.start_norm:
            for part in row_blocks(len(self.e0)):
                self.e0[part] *= c.start_norm / self.e0[part].norm(dim=1, keepdim=True).clamp(
                    min=1e-12
                )
        if c.offset and self.graph.num_edges:
            offsets = item_offsets(
                self.graph, c, self._user_beta, self._item_beta, self._negative_weight
            )
            own = max(0.1, (float(total(offsets.abs())) / len(offsets)) ** 0.5)
            self.e0[:users, 0] = own
            self.e0[users:, 0] = (offsets / own).to(self.e0)

    @torch.no_grad()
    def training_step(self, batch: Batch) -> Tensor:
        """See the base class; the gradient is in closed form."""
        c, offset, pairs = self.config, self.graph.num_users, len(batch.users)
        batch.require_within(offset, self.graph.num_items, self.name)
        negatives, rarity = self._draw(batch.seed, pairs)
        near = self._near[batch.items]
        nodes = torch.cat(
            [batch.items + offset, near.flatten() + offset, batch.users, negatives + offset]
        )
        parts = [pairs, near.numel(), pairs, len(negatives)]
        item, around, user, other = self.e0.index_select(0, nodes).split(parts)
        around = around.view(*near.shape, c.dim)
        user_beta = self._user_beta[batch.users]

        weight = (c.w1 + c.w2 * user_beta * self._item_beta[batch.items]) / max(1, pairs)
        costs, slope = softplus_and_slope(-(user * item).sum(1))
        loss, slope = total((weight * costs).double()), -weight * slope

        weight = c.neighbor_weight / max(1, pairs) * self._omega[batch.items]
        costs, slopes = softplus_and_slope(-torch.bmm(around, user[:, :, None])[:, :, 0])
        loss, slopes = loss + total((weight * costs).double().flatten()), -weight * slopes
        grad_user = torch.bmm(slopes[:, None], around)[:, 0] + slope[:, None] * item

        weight = self._negative_weight / max(1, len(negatives)) / max(1, pairs) * rarity
        of_negatives, of_users, grad_other = shared_negatives_loss(
            user, other, user_beta, c.w4 * weight * self._item_beta[negatives], c.w3 * weight
        )
        loss, grad_user = loss + of_negatives, grad_user + of_users

        # Items get multiples of the users' rows; users and negatives the rows of their gradients.
        own = torch.arange(pairs, device=user.device)
        rows, grad = sum_by_row(
            nodes,
            torch.cat([own, own.repeat_interleave(near.shape[1]),
                       torch.arange(pairs, 2 * pairs + len(negatives), device=user.device)]),
            torch.cat([slope, slopes.flatten(), slope.new_ones(pairs + len(negatives))]),
            torch.cat([user, grad_user, grad_other]),
        )  # fmt: skip
        l2 = (c.l2 / max(1, pairs) / self._chance(rows, pairs)).to(torch.float32)
        step, lr = self._next_step(batch)
        adam_(self.e0, self.adam_m, self.adam_v, grad, rows=rows, l2=l2, step=step, lr=lr)
        return loss

    def _draw(self, seed: int, pairs: int) -> tuple[Tensor, Tensor]:
        """A batch's negatives, and for each what makes its weighted mean that of even draws, float32."""
        count = self.config.num_negatives if pairs else 0
        generator = torch.Generator().manual_seed(seed)
        # One draw from each of `count` equal parts of the distribution: fewer repeats than independent ones.
        place = torch.arange(count) + torch.rand(count, generator=generator, dtype=torch.float64)
        negatives = torch.searchsorted(self._drawn_up_to, place.to(self.e0.device) / max(1, count))
        negatives.clamp_(max=max(0, self.graph.num_items - 1))
        return negatives, self._rarity[negatives]

    def _chance(self, rows: Tensor, pairs: int) -> Tensor:
        """How likely a batch of so many pairs is to hold each of these rows, [n] float64."""
        share = min(pairs / max(1, self.graph.num_edges), 1 - 1e-9)
        missed = exp(self._pairs_with[rows] * math.log1p(-share))
        items = rows - self.graph.num_users
        missed *= torch.where(items >= 0, 1 - self._drawn[items.clamp(min=0)], 1.0)
        return (1 - missed).clamp(min=1e-9)

    def node_embeddings(self) -> Tensor:
        """The embeddings themselves."""
        return self.e0.detach()


def item_offsets(
    graph: BipartiteGraph,
    config: UltraGCNConfig,
    user_beta: Tensor,
    item_beta: Tensor,
    negative_weight: float,
) -> Tensor:
    """The score of each item, the same for all users, at which the loss without neighbours is least.

    It is the logarithm of the weight of the item's pairs over that of its draws as a negative, within 10 of 0.

    Returns:
        [num_items] float64, on the graph's device.

    Complexity: O(num_edges).
    """
    user_beta, item_beta = user_beta.double(), item_beta.double()
    of_users, of_items = graph.degrees.double().split([graph.num_users, graph.num_items])
    users = torch.from_numpy(graph.to_scipy().T @ user_beta.cpu().numpy()).to(user_beta.device)
    positive = config.w1 * of_items + config.w2 * item_beta * users
    drawn = config.w3 * graph.num_edges + config.w4 * item_beta * total(of_users * user_beta)
    odds = positive / (negative_weight / graph.num_items * drawn)
    return log(odds).clamp(-10.0, 10.0).nan_to_num(0.0)


def chance_of_draw(drawn_up_to: Tensor, count: int) -> Tensor:
    """How likely each item is to be among `count` draws, one from each of so many equal parts of the distribution.

    Args:
        drawn_up_to: [num_items] float64, the cumulated distribution.
        count: number of draws.

    Returns:
        [num_items] float64.
    """
    end = drawn_up_to * count
    begin = torch.cat([end.new_zeros(min(1, len(end))), end[:-1]])
    first, last = begin.floor(), end.floor()  # the parts where the item's share begins and ends
    two = 1 - (begin - first) * (1 - (end - last))
    return torch.where(first == last, end - begin, torch.where(last > first + 1, 1.0, two))


def sum_by_row(
    rows: Tensor, columns: Tensor, weights: Tensor, values: Tensor
) -> tuple[Tensor, Tensor]:
    """Sums `weights_k values[columns_k]` over equal `rows_k`, in the order in which they come.

    Returns:
        (distinct rows, sorted [n]; sums [n, dim]); the same bits for any number of threads.
    """
    ordered, order = torch.sort(rows, stable=True)
    distinct, counts = torch.unique_consecutive(ordered, return_counts=True)
    indptr = torch.zeros(len(distinct) + 1, dtype=torch.int64, device=rows.device)
    torch.cumsum(counts, 0, out=indptr[1:])
    csr = Csr(indptr, columns[order], len(values))
    return distinct, propagate(csr, values, weight=weights[order])
