"""NGCF: neural graph collaborative filtering (Wang et al., SIGIR 2019, arXiv 1905.08108)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, normalize

from ltgnn.models.base import ModelConfig
from ltgnn.models.graph_encoder import GraphEncoder, dropped
from ltgnn.ops import mix_seed, propagate


@dataclass(frozen=True)
class NGCFConfig(ModelConfig):
    """NGCF's settings.

    Attributes:
        layers: propagation layers, each dim wide.
        message_dropout: share of each layer's elements that a training step leaves out.
        negative_slope: of the LeakyReLU.
    """

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
    config_type: ClassVar[type[ModelConfig]] = NGCFConfig
    config: NGCFConfig

    def _weight_shapes(self) -> dict[str, tuple[int, int]]:
        dim = self.config.dim
        shapes = {}
        for layer in range(self.config.layers):
            for part in ("sum", "product"):
                shapes[f"{part}{layer}"] = (dim, dim)
                shapes[f"{part}{layer}_bias"] = (1, dim)
        return shapes

    def _encode(self, e0: Tensor, weights: dict[str, Tensor], seed: int | None) -> Tensor:
        c = self.config
        x, parts = e0, [e0]
        for layer in range(c.layers):
            message = propagate(self.graph, x)
            total = (message + x) @ weights[f"sum{layer}"] + weights[f"sum{layer}_bias"]
            product = (message * x) @ weights[f"product{layer}"] + weights[f"product{layer}_bias"]
            x = leaky_relu(total + product, c.negative_slope)
            x = dropped(x, c.message_dropout, None if seed is None else mix_seed(seed, layer))
            parts.append(normalize(x, dim=1))
        return torch.cat(parts, dim=1)
