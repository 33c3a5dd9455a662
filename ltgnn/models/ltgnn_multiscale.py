"""LTGNN at several scales: a learned mixture of a node's own embedding, one hop, and deep fixed points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltgnn.models import ltgnn_memory
from ltgnn.models.base import Batch, ModelConfig
from ltgnn.models.layer_weights import inner_product
from ltgnn.models.ltgnn import LTGNN
from ltgnn.models.ltgnn_config import LTGNNConfig
from ltgnn.models.memory_need import TableCounts
from ltgnn.ops import LtgnnTables, adam_, ltgnn_forward_, ltgnn_update_, propagate


@dataclass(frozen=True)
class MultiScaleConfig(LTGNNConfig):
    """LTGNN's settings, and those of the mixture. `depth` stays 'one_hop': the deep scales are `alphas`.

    Attributes:
        alphas: teleport probability of each fixed point; none: only E0 and one hop are mixed.
        alpha: of what is not deep, E0's share at the start.
        deep_share: weight of all fixed points together at the start.
        scales_lr: Adam's learning rate for the weights' logits; 0: they stay.
        inference: of the fixed points: 'sweeps' or 'stored'.
        exclude_pair: off: the weights learn from the outputs as they are.

    Raises:
        ValueError: a setting is out of range; the message names it, what is accepted, and what came.
    """

    alphas: tuple[float, ...] = (0.3,)
    deep_share: float = 0.3
    scales_lr: float = 1e-3
    exclude_pair: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "alphas", tuple(self.alphas))  # a list where it comes from JSON
        right = all(isinstance(a, (int, float)) and 0 < a <= 1 for a in self.alphas)
        self._require("alphas", right, "numbers in (0, 1]")
        self._require("alpha", self.alpha < 1, "in (0, 1)")
        self._require("deep_share", 0 < self.deep_share < 1, "in (0, 1)")
        self._require("scales_lr", self.scales_lr >= 0, "not negative")
        self._require("depth", self.depth == "one_hop", "'one_hop'; alphas are the fixed points")
        self._require("inference", self.inference != "solve", "'sweeps' or 'stored'")
        self._require("gradient_memory", not self.gradient_memory, "off")
        self._require("exclude_pair", not self.exclude_pair, "off")
        for name in ("c0", "c1", "c2"):
            self._require(name, getattr(self, name) == 0, "0: the weights are learned")


class LTGNNMultiScale(LTGNN):
    """`w_0 E0 + w_1 A E0 + sum_k w_k Z_k`, with `Z_k = (1 - alpha_k) A Z_k + alpha_k E0` and w a learned softmax.

    All scales share E0. Each fixed point has a memory of its own (`z_k`, `delta_k`, `history_sum_k`) and takes one
    sampled step a batch from where it stands, all over the same neighbours: O(scales * batch * fanout * dim). As in
    LTGNN a row learns from its own gradient only: `w_0 + sum_k w_k alpha_k` times that of its output. The gradient
    for w is exact for the outputs as sampled.

    Several one-hop scales would be one: `w_0` and `w_1` are its alpha, learned.
    """

    name: ClassVar[str] = "ltgnn_multiscale"
    config_type: ClassVar[type[ModelConfig]] = MultiScaleConfig
    config: MultiScaleConfig
    logits: Tensor
    logits_m: Tensor
    logits_v: Tensor

    @classmethod
    def table_counts(cls, config: LTGNNConfig) -> TableCounts:
        """See the base class. A fixed point adds three tables; its sweeps and the sum are three at once."""
        assert isinstance(config, MultiScaleConfig)
        one_hop = super().table_counts(config)
        others = cls.table_dtypes(config)[1].itemsize / 4
        copied = {"float32": 0.0, "mixed": 0.5, "bfloat16": 1.0}[config.table_dtype]
        return TableCounts(
            one_hop.kept + 3 * others * len(config.alphas),
            training=one_hop.training + copied,
            inference=3 + copied if config.alphas else 2 + copied,
        )

    @property
    def scale_weights(self) -> Tensor:
        """[2 + len(alphas)], float32: of E0, of A E0 and of each fixed point; they sum to 1."""
        return self.logits[0].softmax(0)

    @torch.no_grad()
    def _start(self) -> None:
        """Logits and the fixed points' memory; their first Z by exact steps, to and fro between two tables."""
        c, device = self.config, self.graph.device
        deep, shallow = (c.deep_share, 1.0 - c.deep_share) if c.alphas else (0.0, 1.0)
        start = [shallow * c.alpha, shallow * (1.0 - c.alpha)]
        start += [deep / len(c.alphas) for _ in c.alphas]
        self.register_buffer("logits", torch.tensor([start]).log().to(device))
        for moment in ("logits_m", "logits_v"):
            self.register_buffer(moment, torch.zeros(1, len(start), device=device))
        for k in range(len(c.alphas)):
            self.register_buffer(f"z_{k}", self._empty_table())
            self.register_buffer(f"delta_{k}", self._zero_table())
            self.register_buffer(f"history_sum_{k}", self._empty_table())
        for alpha, tables in self._deep():
            z, spare = tables.z, tables.history_sum
            assert z is not None
            e0 = tables.e0.to(z.dtype)
            turns = (z, spare) if c.start_sweeps % 2 == 0 else (spare, z)
            turns[0].copy_(e0)
            for turn in range(c.start_sweeps):
                propagate(
                    self.graph, turns[turn % 2], x0=e0, alpha=alpha, self_loops=c.self_loops,
                    out=turns[1 - turn % 2],
                )  # fmt: skip

    def _deep(self) -> Iterator[tuple[float, LtgnnTables]]:
        """alpha and tables of each fixed point."""
        for k, alpha in enumerate(self.config.alphas):
            z, delta, total = (
                getattr(self, f"{name}_{k}") for name in ("z", "delta", "history_sum")
            )
            yield alpha, LtgnnTables(self.e0.data, self.adam_m, self.adam_v, delta, total, z)

    @torch.no_grad()
    def refresh(self) -> None:
        """Make every history exact."""
        super().refresh()
        for _, tables in self._deep():
            assert tables.z is not None
            ltgnn_memory.renew_history(
                self.graph, self.config, tables.z, tables.delta, tables.history_sum
            )

    @property
    def has_fused_step(self) -> bool:
        """No: it has one scale."""
        return False

    @torch.no_grad()
    def choose_negatives(self, batch: Batch) -> Batch:
        """As in LTGNN: candidates are scored by what is stored."""
        if not self.config.scores_candidates:
            return batch
        tables = [self.e0, self.history_sum, *(tables.z for _, tables in self._deep())]
        weights = self.scale_weights.tolist()
        return self._with_chosen_negatives(
            batch, [(w, t) for w, t in zip(weights, tables, strict=True) if t is not None]
        )

    @torch.no_grad()
    def step_in_parts(self, batch: Batch) -> Tensor:
        """One sampled step of each scale, the loss of the mixture, and the update of E0 and of the weights."""
        c = self.config
        batch = self.choose_negatives(batch)
        rows, positions, l2 = self._targets(batch)
        tables, weights = self._tables(), self.scale_weights
        scales = [(0.0, tables), *self._deep()]
        parts = [self.e0.detach()[rows].to(weights.dtype)]
        for alpha, own in scales:
            part, h = ltgnn_forward_(
                self.graph, own, rows, alpha=alpha, seed=batch.seed, self_loops=c.self_loops,
                **self.sampling.arguments,
            )  # fmt: skip
            parts.append(part)
        out = torch.zeros_like(parts[0])
        for weight, part in zip(weights, parts, strict=True):
            out += weight * part
        loss, grad = self._loss_and_grad(out, positions, batch)
        step, lr = self._next_step(batch)
        share = weights[0].clone()
        for weight, alpha in zip(weights[2:], c.alphas, strict=True):
            share += weight * alpha
        ltgnn_update_(tables, rows, grad * share, h, alpha=1.0, l2=l2, step=step, lr=lr)
        slopes = torch.stack([inner_product(grad, part) for part in parts]).to(weights.dtype)
        of_logits = weights * (slopes - (weights * slopes).sum())
        adam_(
            self.logits, self.logits_m, self.logits_v, of_logits[None], step=step,
            lr=c.scales_lr * batch.learning_rate_factor,
        )  # fmt: skip
        return loss

    @torch.no_grad()
    def node_embeddings(self) -> Tensor:
        """The mixture: one hop exactly, each fixed point by the inference that the config chose; in float32."""
        c = self.config
        e0 = self.e0.detach().to(self.logits.dtype)
        weights = self.scale_weights.tolist()
        result = propagate(self.graph, e0, self_loops=c.self_loops).mul_(weights[1])
        result.add_(e0, alpha=weights[0])
        for weight, (alpha, tables) in zip(weights[2:], self._deep(), strict=True):
            z = tables.z if c.inference == "stored" else e0
            assert z is not None
            for _ in range(0 if c.inference == "stored" else c.sweeps):
                z = propagate(self.graph, z, x0=e0, alpha=alpha, self_loops=c.self_loops)
            result.add_(z.to(result.dtype), alpha=weight)
        return result
