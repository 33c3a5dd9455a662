"""What models with dense layers share: weights beside the embeddings, and gradients by autograd."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph, TableStorage
from ltgnn.models.base import Batch, ModelConfig, Recommender
from ltgnn.models.memory_need import RunSizes, pair_bytes
from ltgnn.ops import adam_, mix_seed

DENSE_PRODUCTS = 32 << 20  # bytes: autograd, the library for dense products, and its buffers


@dataclass(frozen=True)
class GraphEncoderConfig(ModelConfig):
    """What they share of settings.

    Attributes:
        init: as in all models, but FastRP's features here.
        start: of the dense layers: 'xavier' (uniform), or 'identity': the first outputs are sums over
            neighbourhoods, and not mixtures of columns by chance.

    Raises:
        ValueError: a setting is out of range; the message names it, what is accepted, and what came.
    """

    init: Literal["xavier", "normal", "svd", "random_projection"] = "random_projection"
    start: Literal["xavier", "identity"] = "identity"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("start", self.start in ("xavier", "identity"), "'xavier' or 'identity'")


class GraphEncoder(Recommender):
    """A full-graph encoder: a step encodes every node, and costs what that costs.

    Subclasses say which weights they have and how they encode. Weights are 2-D buffers `weight_NAME`, with Adam's
    moments beside them; a bias is a weight `NAME_bias` with one row.
    """

    config: GraphEncoderConfig

    def __init__(
        self,
        graph: BipartiteGraph,
        config: GraphEncoderConfig,
        *,
        seed: int = 0,
        storage: TableStorage | None = None,
    ) -> None:
        super().__init__(graph, config, seed=seed, storage=storage)
        generator = torch.Generator().manual_seed(mix_seed(seed, 1))
        self._names = list(self._weight_shapes())
        for name, (rows, columns) in self._weight_shapes().items():
            bound = math.sqrt(6.0 / (rows + columns)) if rows > 1 else 0.0
            weight = torch.empty(rows, columns).uniform_(-bound, bound, generator=generator)
            if config.start == "identity":
                weight.copy_(self._identity(name, weight))
            self.register_buffer(f"weight_{name}", weight.to(graph.device))
            for moment in ("m", "v"):
                self.register_buffer(
                    f"weight_{name}_{moment}", torch.zeros_like(weight).to(graph.device)
                )

    @classmethod
    def step_bytes(cls, config: Any, sizes: RunSizes) -> int:
        """See the base class: what autograd keeps of each layer, of the last one for a batch's rows alone."""
        rows = sizes.distinct_rows(1 + config.negatives_per_pair)
        last = sizes.num_nodes if config.scores_candidates else rows
        of_layer, of_output = cls.kept_by_autograd(config)
        first = 2 + max(0, config.layers - 1) * of_layer
        kept: int = 4 * config.dim * (first * sizes.num_nodes + (of_layer + of_output) * last)
        return DENSE_PRODUCTS + kept + pair_bytes(config, sizes.batch)

    @classmethod
    @abstractmethod
    def kept_by_autograd(cls, config: Any) -> tuple[int, int]:
        """What a layer leaves for its gradient and an output for the loss, in tables of that many nodes."""

    @abstractmethod
    def _weight_shapes(self) -> dict[str, tuple[int, int]]:
        """Name and [rows, columns] of each weight."""

    def _identity(self, name: str, weight: Tensor) -> Tensor:
        """A weight's first values where layers start as the identity; it holds Xavier's, or a bias's zeros."""
        return weight if name.endswith("_bias") else torch.eye(len(weight))

    @abstractmethod
    def _encode(
        self, e0: Tensor, weights: dict[str, Tensor], seed: int | None, rows: Tensor | None = None
    ) -> Tensor:
        """[num_nodes, any width] from the embeddings, or [len(rows), any width] of some distinct nodes.

        `seed` is that of a training step, None at inference.
        """

    def training_step(self, batch: Batch) -> Tensor:
        """See the base class: the configured loss on the encoded rows of the batch, Adam on everything."""
        weights = self._weights()
        leaves = [self.e0.detach(), *weights.values()]
        with torch.enable_grad():
            leaves = [leaf.detach().requires_grad_() for leaf in leaves]
            of_step = dict(zip(weights, leaves[1:], strict=True))
            if self.config.scores_candidates:
                out = self._encode(leaves[0], of_step, batch.seed)
                batch = self._with_chosen_negatives(batch, [(1.0, out.detach())])
                rows, positions, l2 = self._targets(batch)
                selected = out[rows]
            else:
                rows, positions, l2 = self._targets(batch)
                selected = self._encode(leaves[0], of_step, batch.seed, rows)
        loss, grad = self._loss_and_grad(selected.detach().contiguous(), positions, batch)
        grads = torch.autograd.grad(selected, leaves, grad, allow_unused=True)
        l2_dense = self.e0.new_zeros(self.graph.num_nodes)
        l2_dense[rows] = l2
        step, lr = self._next_step(batch)
        grad_e0 = torch.zeros_like(self.e0) if grads[0] is None else grads[0].contiguous()
        adam_(self.e0.data, self.adam_m, self.adam_v, grad_e0, l2=l2_dense, step=step, lr=lr)
        self._update_weights(grads[1:], step, lr)
        return loss

    @torch.no_grad()
    def node_embeddings(self) -> Tensor:
        """See the base class."""
        return self._encode(self.e0.detach(), self._weights(), None)

    def _update_weights(self, grads: Sequence[Tensor | None], step: int, lr: float) -> None:
        for (name, weight), grad in zip(self._weights().items(), grads, strict=True):
            if grad is not None:  # None: nothing depends on it, as with no layers
                m, v = (getattr(self, f"weight_{name}_{moment}") for moment in ("m", "v"))
                adam_(weight, m, v, grad.contiguous(), step=step, lr=lr)

    def _weights(self) -> dict[str, Tensor]:
        return {name: getattr(self, f"weight_{name}") for name in self._names}


def dropped(x: Tensor, share: float, seed: int | None) -> Tensor:
    """x with a share of its elements set to zero and the rest scaled up; x itself where seed is None."""
    if seed is None or share == 0:
        return x
    generator = torch.Generator().manual_seed(seed)
    kept = torch.rand(x.shape, generator=generator) >= share
    return x * (kept.to(x.device) / (1.0 - share))
