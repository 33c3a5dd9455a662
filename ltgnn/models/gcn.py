"""GCN as an encoder of users and items (Kipf and Welling, ICLR 2017, arXiv 1609.02907)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltgnn.models.base import ModelConfig, TableCounts
from ltgnn.models.dense_layer import dense_layer
from ltgnn.models.graph_encoder import GraphEncoder, GraphEncoderConfig, dropped
from ltgnn.ops import mix_seed, propagate


@dataclass(frozen=True)
class GCNConfig(GraphEncoderConfig):
    """GCN's settings.

    Attributes:
        layers: convolutions, each dim wide; ReLU between them, none after the last.
        dropout: share of a layer's input elements that a training step leaves out.

    Raises:
        ValueError: a setting is out of range; the message names it, what is accepted, and what came.
    """

    layers: int = 2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("layers", self.layers >= 0, "not negative")
        self._require("dropout", 0 <= self.dropout < 1, "in [0, 1)")


class GCN(GraphEncoder):
    """`H' = ReLU(A H W)` with A the symmetric normalisation of the graph with self-loops.

    A step costs O(layers (num_edges dim + num_nodes dim^2)).
    """

    name: ClassVar[str] = "gcn"
    propagates_all: ClassVar[bool] = True
    config_type: ClassVar[type[ModelConfig]] = GCNConfig
    config: GCNConfig

    @classmethod
    def kept_by_autograd(cls, config: GCNConfig) -> tuple[int, int]:
        """See the base class: message, ReLU, dropout; and the output, which no ReLU follows."""
        return 2 + (config.dropout > 0), 1

    @classmethod
    def table_counts(cls, config: GCNConfig) -> TableCounts:
        """See the base class."""
        return TableCounts(kept=3, inference=2)

    def _weight_shapes(self) -> dict[str, tuple[int, int]]:
        return {f"layer{k}": (self.config.dim, self.config.dim) for k in range(self.config.layers)}

    def _encode(
        self, e0: Tensor, weights: dict[str, Tensor], seed: int | None, rows: Tensor | None = None
    ) -> Tensor:
        x = e0
        for layer in range(self.config.layers):
            x = torch.relu(x) if layer else x
            x = dropped(x, self.config.dropout, None if seed is None else mix_seed(seed, layer))
            x = propagate(self.graph, x, self_loops=True)
            if rows is not None and layer + 1 == self.config.layers:
                x = x.index_select(0, rows)
            x = dense_layer(None, x, weights[f"layer{layer}"])
        return x if rows is None or self.config.layers else x.index_select(0, rows)
