"""NGCF: neural graph collaborative filtering (Wang et al., SIGIR 2019, arXiv 1905.08108)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, normalize

from ltgnn.models.base import ModelConfig, TableCounts
from ltgnn.models.dense_layer import dense_layer
from ltgnn.models.graph_encoder import GraphEncoder, GraphEncoderConfig, dropped
from ltgnn.ops import mix_seed, propagate


@dataclass(frozen=True)
class NGCFConfig(GraphEncoderConfig):
    """NGCF's settings.

    Attributes:
        layers: propagation layers, each dim wide.
        message_dropout: share of each layer's elements that a training step leaves out.
        negative_slope: of the LeakyReLU.
        l2: as in the base class; the best of 1e-5 to .08 on Gowalla and Last.fm.
        start: as in the base class; 'identity' is W1 the identity and W2 zero.

    Raises:
        ValueError: a setting is out of range; the message names it, what is accepted, and what came.
    """

    loss: Literal["softmax", "bpr", "bce", "ccl"] = "bpr"
    lr: float = 4e-3
    l2: float = 2e-2
    layers: int = 3
    message_dropout: float = 0.1
    negative_slope: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("layers", self.layers >= 0, "not negative")
        self._require("message_dropout", 0 <= self.message_dropout < 1, "in [0, 1)")
        self._require("negative_slope", self.negative_slope >= 0, "not negative")


class NGCF(GraphEncoder):
    """`E' = LeakyReLU((A E + E) W1 + b1 + (A E * E) W2 + b2)`, * by elements; all layers concatenated.

    A is the symmetric normalisation without self-loops; each layer's output is scaled to length 1 before it is
    concatenated, so that an embedding is (layers + 1) dim wide. A step costs O(layers (num_edges dim + num_nodes
    dim^2)).
    """

    name: ClassVar[str] = "ngcf"
    propagates_all: ClassVar[bool] = True
    config_type: ClassVar[type[ModelConfig]] = NGCFConfig
    config: NGCFConfig

    @classmethod
    def kept_by_autograd(cls, config: NGCFConfig) -> tuple[int, int]:
        """See the base class: message, sum, product, layer, dropout; parts, output, gradient, of all layers."""
        return 4 + (config.message_dropout > 0), 4 * (config.layers + 1)

    @classmethod
    def table_counts(cls, config: NGCFConfig) -> TableCounts:
        """See the base class; at inference all layers and their concatenation, and what the last one holds."""
        return TableCounts(kept=3, inference=2 * (config.layers + 1) + 4)

    def _weight_shapes(self) -> dict[str, tuple[int, int]]:
        dim = self.config.dim
        shapes = {}
        for layer in range(self.config.layers):
            for part in ("sum", "product"):
                shapes[f"{part}{layer}"] = (dim, dim)
                shapes[f"{part}{layer}_bias"] = (1, dim)
        return shapes

    def _identity(self, name: str, weight: Tensor) -> Tensor:
        if name.startswith("product"):
            return torch.zeros_like(weight)
        return super()._identity(name, weight)

    def _encode(
        self, e0: Tensor, weights: dict[str, Tensor], seed: int | None, rows: Tensor | None = None
    ) -> Tensor:
        c = self.config

        def wanted(table: Tensor) -> Tensor:
            return table if rows is None else table.index_select(0, rows)

        x, parts = e0, [wanted(e0)]
        for layer in range(c.layers):
            message = propagate(self.graph, x)
            last = layer + 1 == c.layers
            if last:  # nothing is propagated from it
                message, x = wanted(message), wanted(x)
            bias = weights[f"sum{layer}_bias"] + weights[f"product{layer}_bias"]
            total = dense_layer(
                bias, message + x, weights[f"sum{layer}"], message * x, weights[f"product{layer}"]
            )
            x = leaky_relu(total, c.negative_slope)
            x = dropped(x, c.message_dropout, None if seed is None else mix_seed(seed, layer))
            parts.append(normalize(x if last else wanted(x), dim=1))
        return torch.cat(parts, dim=1)
