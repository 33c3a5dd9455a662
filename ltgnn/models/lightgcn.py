"""LightGCN (He et al., SIGIR 2020), exact and full-graph: the control that linear-time models must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph, TableStorage
from ltgnn.models.base import Batch, ModelConfig, Recommender
from ltgnn.models.layer_weights import (
    KINDS,
    layer_weights,
    weighted_layers,
    weighted_layers_grads,
)
from ltgnn.models.memory_need import RunSizes, TableCounts, pair_bytes
from ltgnn.ops import adam_

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class LightGCNConfig(ModelConfig):
    """LightGCN's settings.

    Attributes:
        layers: propagation steps L; embeddings are a weighted sum of layers 0 to L.
        layer_weights: 'mean', or 'ppr': personalised PageRank's weights.
        ppr_alpha: their teleport probability.
        learn_layer_weights: train the weights, too, from there (GPR-GNN: Chien et al., ICLR 2021).
        layer_weights_lr: Adam's learning rate for them. With a loss of inner products a high one lets the weights
            of the first layers grow in place of the embeddings.
        layer_dtype: what a training step's layers, and their gradients, are stored in. 'bfloat16' halves what a
            propagation reads; sums, embeddings, Adam and scores stay float32. Not with learned weights.

    Raises:
        ValueError: a setting is out of range; the message names it, what is accepted, and what came.
    """

    layers: int = 3
    layer_weights: Literal["mean", "ppr"] = "mean"
    ppr_alpha: float = 0.5
    learn_layer_weights: bool = False
    layer_weights_lr: float = 1e-4
    layer_dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("layers", self.layers >= 0, "not negative")
        self._require("layer_weights", self.layer_weights in KINDS, " or ".join(map(repr, KINDS)))
        self._require("ppr_alpha", 0 < self.ppr_alpha <= 1, "in (0, 1]")
        self._require("layer_weights_lr", self.layer_weights_lr >= 0, "not negative")
        self._require("layer_dtype", self.layer_dtype in DTYPES, " or ".join(map(repr, DTYPES)))
        self._require(
            "layer_dtype",
            self.layer_dtype == "float32" or not self.learn_layer_weights,
            "'float32' where layer weights are learned",
        )


class LightGCN(Recommender):
    """`sum_l w_l A^l E0` over layers l = 0..L, A the symmetric normalisation without self-loops; w is 1 / (L + 1).

    That smoothing is a symmetric linear operator, so the gradient for E0 is the same smoothing of the gradient
    for the output: a step is 2 L exact propagations of the whole graph, O(L num_edges dim), and dense Adam. Weights
    that are learned are in the state, with their own Adam; they cost no further propagation.
    """

    name: ClassVar[str] = "lightgcn"
    propagates_all: ClassVar[bool] = True
    config_type: ClassVar[type[ModelConfig]] = LightGCNConfig
    config: LightGCNConfig
    weights: Tensor | None
    weights_m: Tensor
    weights_v: Tensor

    def __init__(
        self,
        graph: BipartiteGraph,
        config: LightGCNConfig,
        *,
        seed: int = 0,
        storage: TableStorage | None = None,
    ) -> None:
        super().__init__(graph, config, seed=seed, storage=storage)
        learned = None
        if config.learn_layer_weights:
            learned = torch.tensor([self._start_weights()], device=graph.device)
        self.register_buffer("weights", learned)
        for moment in ("weights_m", "weights_v"):
            self.register_buffer(moment, None if learned is None else torch.zeros_like(learned))

    @classmethod
    def table_counts(cls, config: LightGCNConfig) -> TableCounts:
        """See the base class; what a step takes is all in `step_bytes`."""
        return TableCounts(kept=3, inference=min(config.layers, 2))

    @classmethod
    def step_bytes(cls, config: LightGCNConfig, sizes: RunSizes) -> int:
        """See the base class: the outputs beside a batch's rows, or later the gradient while it is smoothed."""
        table = 4 * sizes.num_nodes * config.dim
        smoothing = min(config.layers, 2)
        tables: float = 2 + smoothing if config.learn_layer_weights else smoothing + 1
        if config.layer_dtype != "float32":
            tables = 2.5  # the dense gradient, its smoothed copy in both types
        rows = 4 * sizes.distinct_rows(1 + config.negatives_per_pair) * config.dim
        return max(table + 2 * rows + pair_bytes(config, sizes.batch), round(tables * table) + rows)

    @torch.no_grad()
    def training_step(self, batch: Batch) -> Tensor:
        """See the base class."""
        dtype = DTYPES[self.config.layer_dtype]
        out = self._smooth(self.e0, dtype)
        batch = self._with_chosen_negatives(batch, [(1.0, out)])
        rows, positions, l2 = self._targets(batch)
        loss, grad = self._loss_and_grad(out[rows], positions, batch)
        del out
        dense = torch.zeros_like(self.e0)
        dense[rows] = grad
        l2_dense = dense.new_zeros(len(dense))
        l2_dense[rows] = l2
        step, lr = self._next_step(batch)
        if self.weights is None:
            grad = self._smooth(dense, dtype)
        else:
            grad, of_weights = weighted_layers_grads(
                self.graph, dense, self.e0.detach(), self._weights()
            )
            of_weights = of_weights.to(self.weights)[None]
            adam_(
                self.weights, self.weights_m, self.weights_v, of_weights, step=step,
                lr=self.config.layer_weights_lr * batch.learning_rate_factor,
            )  # fmt: skip
        adam_(self.e0, self.adam_m, self.adam_v, grad, l2=l2_dense, step=step, lr=lr)
        return loss

    def node_embeddings(self) -> Tensor:
        """The smoothed embeddings."""
        return self._smooth(self.e0.detach(), torch.float32)

    def _start_weights(self) -> list[float]:
        c = self.config
        return layer_weights(c.layer_weights, c.layers, c.ppr_alpha)

    def _weights(self) -> list[float]:
        """Those of layers 0 to L as they stand."""
        if self.weights is None:
            return self._start_weights()
        return [float(weight) for weight in self.weights[0]]

    def _smooth(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """float32, by way of layers of that type."""
        return weighted_layers(self.graph, x.to(dtype), self._weights()).float()
