"""MF: matrix factorisation, the model without a graph. A control: what propagation adds is the difference."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ltgnn.models.base import Batch, ModelConfig, Recommender
from ltgnn.ops import adam_


class MF(Recommender):
    """Inner products of trained embeddings; lazy Adam on the rows of each batch.

    A step costs O(batch * dim) for each negative, O(batch^2 * dim) with softmax.
    """

    name: ClassVar[str] = "mf"
    config_type: ClassVar[type[ModelConfig]] = ModelConfig

    @torch.no_grad()
    def training_step(self, batch: Batch) -> Tensor:
        """See the base class."""
        batch = self._with_chosen_negatives(batch, [(1.0, self.e0)])
        rows, positions, l2 = self._targets(batch)
        loss, grad = self._loss_and_grad(self.e0[rows], positions, batch)
        step, lr = self._next_step(batch)
        adam_(self.e0, self.adam_m, self.adam_v, grad, rows=rows, l2=l2, step=step, lr=lr)
        return loss

    def node_embeddings(self) -> Tensor:
        """The embeddings themselves."""
        return self.e0.detach()
