"""GraphSAGE with the mean aggregator (Hamilton et al., NeurIPS 2017, arXiv 1706.02216)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ltgnn.graph import BipartiteGraph, TableStorage
from ltgnn.models.base import Batch, ModelConfig, TableCounts
from ltgnn.models.dense_layer import dense_layer
from ltgnn.models.graph_encoder import DENSE_PRODUCTS, GraphEncoder, GraphEncoderConfig
from ltgnn.models.memory_need import RunSizes, distinct, pair_bytes
from ltgnn.ops import Csr, adam_, labor_sample, mix_seed, propagate, sample_neighbors


@dataclass(frozen=True)
class GraphSAGEConfig(GraphEncoderConfig):
    """GraphSAGE's settings.

    Attributes:
        layers: how many hops of neighbours are seen.
        fanout: neighbours sampled for each node at each hop in training; inference takes all of them.
        neighbor_sampling: 'uniform': each node draws for itself; 'labor': those of a hop draw together, `fanout`
            each in the mean, so that a batch touches fewer nodes (LABOR-0).

    Raises:
        ValueError: a setting is out of range; the message names it, what is accepted, and what came.
    """

    layers: int = 2
    fanout: int = 5
    neighbor_sampling: Literal["uniform", "labor"] = "uniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("layers", self.layers >= 0, "not negative")
        self._require("fanout", 1 <= self.fanout <= 256, "in [1, 256]")
        self._require(
            "neighbor_sampling",
            self.neighbor_sampling in ("uniform", "labor"),
            "'uniform' or 'labor'",
        )


class GraphSAGE(GraphEncoder):
    """`h' = ReLU(h W_self + mean_{j in N} h_j W_neighbors)`, no ReLU after the last layer, scaled to length 1.

    A training step samples a tree of neighbours below the batch and touches nothing else: O(batch fanout^layers
    dim), exponential in the layers. A tree below every candidate would be too much: 'dns' and 'softmax' negatives
    are chosen by the exact outputs as they were at the start of the epoch, at O(batch candidates dim).
    """

    name: ClassVar[str] = "graphsage"
    config_type: ClassVar[type[ModelConfig]] = GraphSAGEConfig
    config: GraphSAGEConfig
    stale_outputs: Tensor | None

    def __init__(
        self,
        graph: BipartiteGraph,
        config: GraphSAGEConfig,
        *,
        seed: int = 0,
        storage: TableStorage | None = None,
    ) -> None:
        super().__init__(graph, config, seed=seed, storage=storage)
        self.register_buffer(
            "stale_outputs", self._empty_table() if config.scores_candidates else None
        )
        self._keep_outputs()

    @classmethod
    def table_counts(cls, config: GraphSAGEConfig) -> TableCounts:
        """See the base class."""
        return TableCounts(kept=3 + config.scores_candidates, inference=4)

    @classmethod
    def kept_by_autograd(cls, config: GraphSAGEConfig) -> tuple[int, int]:
        """See the base class: own row, mean, ReLU; output, its rows, gradient."""
        return 3, 3

    @classmethod
    def step_bytes(cls, config: GraphSAGEConfig, sizes: RunSizes) -> int:
        """See the base class: what autograd keeps of each level of the tree, draws, and the leaves' rows."""
        row, fanout = 4 * config.dim, config.fanout
        of_layer, of_output = cls.kept_by_autograd(config)
        users = distinct(sizes.batch, sizes.num_users)
        items = distinct((1 + config.negatives_per_pair) * sizes.batch, sizes.num_items)
        need = of_output * (users + items) * row
        for _ in range(config.layers):
            need += (users + items) * (of_layer * row + 3 * 8 * fanout)
            users, items = (
                distinct(users + fanout * items, sizes.num_users),
                distinct(items + fanout * users, sizes.num_items),
            )
        leaves = (users + items) * row  # of which their gradient is a sum of two
        need = max(need + leaves, 4 * leaves)
        return DENSE_PRODUCTS + need + pair_bytes(config, sizes.batch)

    def start_epoch(self, epoch: int) -> None:
        """See the base class."""
        super().start_epoch(epoch)
        self._keep_outputs()

    def _keep_outputs(self) -> None:
        if self.stale_outputs is not None:
            self.stale_outputs.copy_(self.node_embeddings())

    def _weight_shapes(self) -> dict[str, tuple[int, int]]:
        dim = self.config.dim
        return {
            f"{part}{layer}": (dim, dim)
            for layer in range(self.config.layers)
            for part in ("self", "neighbors")
        }

    def training_step(self, batch: Batch) -> Tensor:
        """See the base class; the embeddings' Adam is lazy, on the rows of the sampled tree."""
        if self.stale_outputs is not None:
            batch = self._with_chosen_negatives(batch, [(1.0, self.stale_outputs)])
        rows, positions, l2 = self._targets(batch)
        levels, samples = self._tree(rows, batch.seed)
        touched = levels[-1]
        weights = self._weights()
        with torch.enable_grad():
            leaves = [
                leaf.detach().requires_grad_() for leaf in (self.e0[touched], *weights.values())
            ]
            named = dict(zip(weights, leaves[1:], strict=True))
            x = leaves[0]
            for layer in range(self.config.layers):
                level = self.config.layers - 1 - layer
                own = torch.searchsorted(levels[level + 1], levels[level])
                mean = propagate(samples[level], x)
                x = self._layer(x[own], mean, named, layer)
            out = normalize(x, dim=1)
        loss, grad = self._loss_and_grad(out.detach().contiguous(), positions, batch)
        grads = torch.autograd.grad(out, leaves, grad, allow_unused=True)
        l2_touched = self.e0.new_zeros(len(touched))
        l2_touched[torch.searchsorted(touched, rows)] = l2
        step, lr = self._next_step(batch)
        grad_e0 = grads[0].contiguous()
        adam_(
            self.e0.data, self.adam_m, self.adam_v, grad_e0, rows=touched, l2=l2_touched, step=step, lr=lr
        )  # fmt: skip
        self._update_weights(grads[1:], step, lr)
        return loss

    def _encode(
        self, e0: Tensor, weights: dict[str, Tensor], seed: int | None, rows: Tensor | None = None
    ) -> Tensor:
        x = e0
        roots = self.graph.degrees.to(e0.dtype).sqrt()[:, None]
        inverse = self.graph.scale(dtype=e0.dtype)[:, None]
        for layer in range(self.config.layers):
            # D^-1 A x, by the operator of the symmetric normalisation.
            mean = inverse * propagate(self.graph, x * roots)
            x = self._layer(x, mean, weights, layer)
        return normalize(x if rows is None else x.index_select(0, rows), dim=1)

    def _layer(self, x: Tensor, mean: Tensor, weights: dict[str, Tensor], layer: int) -> Tensor:
        x = dense_layer(None, x, weights[f"self{layer}"], mean, weights[f"neighbors{layer}"])
        return torch.relu(x) if layer + 1 < self.config.layers else x

    def _tree(self, rows: Tensor, seed: int) -> tuple[list[Tensor], list[Csr]]:
        """Sorted nodes of each level, from `rows` down, and what of the next one each level takes the mean of.

        Returns:
            (levels: layers + 1 vectors of nodes; means: for each level a matrix [its nodes, nodes of the next],
            whose row is the mean of the node's sampled neighbours, or 0 where there are none).
        """
        levels, means = [rows], []
        for layer in range(self.config.layers):
            indptr, drawn = self._draw(levels[-1], mix_seed(seed, layer))
            below = torch.unique(torch.cat([levels[-1], drawn]))
            share = indptr.diff().clamp(min=1).to(self.e0.dtype).reciprocal()
            place = torch.searchsorted(below, drawn)
            means.append(Csr(indptr, place, len(below), row_scale=share))
            levels.append(below)
        return levels, means

    def _draw(self, rows: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """(indptr [len(rows) + 1], sampled neighbours of the rows, one row after another)."""
        fanout = self.config.fanout
        if self.config.neighbor_sampling == "labor":
            sample = labor_sample(self.graph, rows, fanout=fanout, seed=seed)
            return sample.indptr, sample.indices
        drawn = sample_neighbors(self.graph, rows, fanout=fanout, seed=seed)
        there = drawn >= 0
        return torch.cat([rows.new_zeros(1), there.sum(1).cumsum(0)]), drawn[there]
