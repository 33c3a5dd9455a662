"""LightGCN (He et al., SIGIR 2020), exact and full-graph: the control that linear-time models must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltgnn.models.base import Batch, ModelConfig, Recommender
from ltgnn.models.memory_need import TableCounts
from ltgnn.ops import adam_, propagate


@dataclass(frozen=True)
class LightGCNConfig(ModelConfig):
    """LightGCN's settings.

    Attributes:
        layers: propagation steps L; embeddings are the mean of layers 0 to L.
    """

    layers: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("layers", self.layers >= 0, "not negative")


class LightGCN(Recommender):
    """Mean of `A^l E0` over layers l = 0..L, A the symmetric normalisation without self-loops.

    That smoothing is a symmetric linear operator, so the gradient for E0 is the same smoothing of the gradient
    for the output: a step is 2 L exact propagations of the whole graph, O(L num_edges dim), and dense Adam.
    """

    name: ClassVar[str] = "lightgcn"
    config_type: ClassVar[type[ModelConfig]] = LightGCNConfig
    config: LightGCNConfig

    @classmethod
    def table_counts(cls, config: LightGCNConfig) -> TableCounts:
        """See the base class. A step holds the smoothed gradient, its input, and what smoothing needs."""
        smoothing = {0: 1, 1: 2}.get(config.layers, 3)
        return TableCounts(kept=3, training=smoothing + 1, inference=smoothing)

    @torch.no_grad()
    def training_step(self, batch: Batch) -> Tensor:
        """See the base class."""
        out = self._smooth(self.e0)
        batch = self._with_chosen_negatives(batch, [(1.0, out)])
        rows, positions, l2 = self._targets(batch)
        loss, grad = self._loss_and_grad(out[rows], positions, batch)
        del out
        dense = torch.zeros_like(self.e0)
        dense[rows] = grad
        l2_dense = dense.new_zeros(len(dense))
        l2_dense[rows] = l2
        step, lr = self._next_step(batch)
        grad = self._smooth(dense)
        adam_(self.e0, self.adam_m, self.adam_v, grad, l2=l2_dense, step=step, lr=lr)
        return loss

    def node_embeddings(self) -> Tensor:
        """The smoothed embeddings."""
        return self._smooth(self.e0.detach())

    def _smooth(self, x: Tensor) -> Tensor:
        # Horner's scheme: x + A (x + A (x + ...)), so that two buffers serve any number of layers.
        layers = self.config.layers
        result, spare = x, torch.empty_like(x)
        for _ in range(layers):
            target = spare
            propagate(self.graph, result, out=target)
            target += x
            spare = torch.empty_like(x) if result is x else result
            result = target
        return result / (layers + 1)
