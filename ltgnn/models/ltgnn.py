"""LTGNN: linear-time graph neural network (Zhang et al., WWW 2024, arXiv 2402.13973)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph, TableStorage
from ltgnn.models.base import Batch, ModelConfig, Recommender, TableCounts
from ltgnn.ops import (
    LtgnnTables,
    adam_,
    ltgnn_bpr_step_,
    ltgnn_forward_,
    ltgnn_update_,
    propagate,
    sample_neighbors,
)


@dataclass(frozen=True)
class LTGNNConfig(ModelConfig):
    """LTGNN's settings. The defaults follow one-seed trials on Gowalla's test split; the paper's are in the README.

    Attributes:
        depth: 'one_hop': z = (1 - alpha) A E0 + alpha E0, where nothing stored goes stale; 'fixed_point': all
            hops, Z = (1 - alpha) A Z + alpha E0, by one sampled step from the stored Z in each batch.
        alpha: teleport probability: how much of a node's own embedding stays.
        fanout: neighbours sampled for each target row; rows with no more are exact.
        refresh_every: steps between exact refreshes of the memory; 0 for once an epoch.
        gradient_memory: send neighbours' stored gradients on (the paper's backward); without it a row learns from
            its own gradient only.
        self_loops: propagate over A + I.
        c0, c1, c2: output adjustment: parts of E0, of A E0 and of the stationary part that are taken out.
        inference: for 'fixed_point', 'sweeps' (exact steps from E0), 'stored' (Z as it stands) or 'solve' (exact
            steps until nothing moves by more than tol); one hop is always computed exactly.
        sweeps, tol: their number, and that bound.
        start_sweeps: exact steps that make the first Z.
        table_dtype: how tables are stored: 'float32'; 'bfloat16', which takes half the memory; or 'mixed': the
            embeddings e0 in float32 and all other tables in bfloat16. Sums are float32, and bfloat16 is rounded
            stochastically where training writes it.
        faithful: do as the authors' code does where it departs from the equations: stored gradients are scaled by
            1 - c0, and Adam also moves sampled neighbours that have no gradient.
    """

    depth: Literal["one_hop", "fixed_point"] = "one_hop"
    alpha: float = 0.55
    fanout: int = 15
    refresh_every: int = 0
    gradient_memory: bool = False
    self_loops: bool = False
    c0: float = 0.0
    c1: float = 0.0
    c2: float = 0.0
    inference: Literal["sweeps", "stored", "solve"] = "sweeps"
    sweeps: int = 3
    tol: float = 1e-5
    start_sweeps: int = 7
    table_dtype: Literal["float32", "mixed", "bfloat16"] = "float32"
    faithful: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            "depth", self.depth in ("one_hop", "fixed_point"), "'one_hop' or 'fixed_point'"
        )
        self._require("alpha", 0 < self.alpha <= 1, "in (0, 1]")
        self._require("fanout", 0 <= self.fanout <= 256, "in [0, 256]")
        self._require("refresh_every", self.refresh_every >= 0, "not negative")
        self._require("sweeps", self.sweeps >= 0, "not negative")
        self._require("start_sweeps", self.start_sweeps >= 0, "not negative")
        self._require("tol", self.tol > 0, "positive")
        for name in ("c0", "c1", "c2"):
            self._require(name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        self._require("c2", self.c0 + self.c1 + self.c2 < 1, "such that c0 + c1 + c2 < 1")
        self._require(
            "inference",
            self.inference in ("sweeps", "stored", "solve"),
            "'sweeps', 'stored' or 'solve'",
        )
        self._require(
            "table_dtype",
            self.table_dtype in ("float32", "mixed", "bfloat16"),
            "'float32', 'mixed' or 'bfloat16'",
        )
        self._require(
            "faithful",
            not self.faithful or (self.depth == "fixed_point" and self.gradient_memory),
            "False unless depth is 'fixed_point' and gradient_memory is on",
        )


def _exact(table: Tensor) -> Tensor:
    """A table as its sums are held: float32 for bfloat16."""
    return table.to(torch.promote_types(table.dtype, torch.float32))


class LTGNN(Recommender):
    """One propagation layer a step over stored embeddings: O(batch * fanout * dim) a step.

    Memory tables (all in the state): `delta` = source - history and `history_sum` = A history, where source is
    Z for the fixed point and E0 for one hop; `z`; `g`, the gradient memory.
    """

    name: ClassVar[str] = "ltgnn"
    config_type: ClassVar[type[ModelConfig]] = LTGNNConfig
    config: LTGNNConfig
    z: Tensor | None
    g: Tensor | None
    delta: Tensor
    history_sum: Tensor
    adjustment: Tensor | None

    def __init__(
        self,
        graph: BipartiteGraph,
        config: LTGNNConfig,
        *,
        seed: int = 0,
        storage: TableStorage | None = None,
    ) -> None:
        super().__init__(graph, config, seed=seed, storage=storage)
        deep = config.depth == "fixed_point"
        adjusted = config.c1 > 0 or config.c2 > 0
        self.register_buffer("z", self._empty_table() if deep else None)
        self.register_buffer("g", self._zero_table() if config.gradient_memory else None)
        self.register_buffer("delta", self._zero_table())
        self.register_buffer("history_sum", self._empty_table())
        adjustment = self._empty_table(torch.float32) if adjusted else None
        self.register_buffer("adjustment", adjustment)
        self._start()
        self.refresh()

    @classmethod
    def table_dtypes(cls, config: LTGNNConfig) -> tuple[torch.dtype, torch.dtype]:
        """See the base class."""
        return (
            torch.bfloat16 if config.table_dtype == "bfloat16" else torch.float32,
            torch.float32 if config.table_dtype == "float32" else torch.bfloat16,
        )

    @classmethod
    def table_counts(cls, config: LTGNNConfig) -> TableCounts:
        """See the base class."""
        deep, adjusted = config.depth == "fixed_point", config.c1 > 0 or config.c2 > 0
        embeddings, others = (dtype.itemsize / 4 for dtype in cls.table_dtypes(config))
        kept = embeddings + others * (4 + deep + config.gradient_memory) + adjusted
        swept = (
            {"stored": 0, "sweeps": min(config.sweeps, 2), "solve": 4}[config.inference]
            if deep
            else 1
        )
        copied = {"float32": 0.0, "mixed": 0.5, "bfloat16": 1.0 + deep}[config.table_dtype]
        taken_out = 0 if config.c0 == config.c1 == config.c2 == 0 else 3 + adjusted
        return TableCounts(
            kept,
            training=3 * adjusted + copied,
            inference=max(swept, 1 + taken_out if taken_out else 0) + copied,
        )

    @torch.no_grad()
    def _start(self) -> None:
        """The first Z: exact steps from E0, to and fro between two tables that are there already."""
        if self.z is None:
            return
        times = self.config.start_sweeps
        tables = (self.z, self.history_sum) if times % 2 == 0 else (self.history_sum, self.z)
        e0 = self.e0.detach().to(self.z.dtype)
        tables[0].copy_(e0)
        for turn in range(times):
            propagate(
                self.graph, tables[turn % 2], x0=e0, alpha=self.config.alpha,
                self_loops=self.config.self_loops, out=tables[1 - turn % 2],
            )  # fmt: skip

    @torch.no_grad()
    def refresh(self) -> None:
        """Make the history exact: history <- source, so delta <- 0, and history_sum <- A source."""
        source = self.e0 if self.z is None else self.z
        source = source.detach().to(self.history_sum.dtype)
        propagate(self.graph, source, self_loops=self.config.self_loops, out=self.history_sum)
        self.delta.zero_()
        if self.adjustment is not None:
            self.adjustment.copy_(self._adjustment())

    def start_epoch(self, epoch: int) -> None:
        """Refresh once an epoch, unless `refresh_every` says otherwise."""
        if self.config.refresh_every == 0:
            self.refresh()

    @torch.no_grad()
    def training_step(self, batch: Batch) -> Tensor:
        """See the base class; csrc/kernels/ltgnn_step.h has the equations."""
        c = self.config
        if c.refresh_every and int(self.step) % c.refresh_every == 0:
            self.refresh()
        if self.has_fused_step:
            lr = c.lr * batch.learning_rate_factor
            offset, negatives = self.graph.num_users, batch.negatives
            assert negatives is not None
            return self.fused_step(
                batch.users, batch.items + offset, negatives + offset, seed=batch.seed, lr=lr
            )
        return self.step_in_parts(batch)

    @torch.no_grad()
    def step_in_parts(self, batch: Batch) -> Tensor:
        """`training_step` as forward, loss and update of the batch's distinct rows: for any loss and setting.

        Without refreshes, and its neighbours are drawn by the batch's seed alone.
        """
        c = self.config
        tables = self._tables()
        rows, positions, l2 = self._targets(batch)
        out, h = ltgnn_forward_(
            self.graph, tables, rows, alpha=c.alpha, c0=c.c0, fanout=c.fanout, seed=batch.seed,
            self_loops=c.self_loops,
        )  # fmt: skip
        rest = 1.0
        if self.adjustment is not None:
            # The native step divides by 1 - c0; put the other two terms in, here and in the gradient. What they
            # send to other rows' E0 is left out, as everything is that leaves the target rows.
            rest = (1 - c.c0) / (1 - c.c0 - c.c1 - c.c2)
            out = (out - self.adjustment[rows] / (1 - c.c0)) * rest
        loss, grad = self._loss_and_grad(out, positions)
        step, lr = self._next_step(batch)
        ltgnn_update_(
            tables, rows, grad * rest if rest != 1.0 else grad, h, alpha=c.alpha, c0=c.c0, l2=l2,
            faithful=c.faithful, step=step, lr=lr,
        )  # fmt: skip
        if c.faithful:
            self._move_sampled_neighbors(rows, batch.seed, step, lr)
        return loss

    @property
    def has_fused_step(self) -> bool:
        """Whether `fused_step` does what `training_step` does: with BPR and no more than the basic equations."""
        return self.needs_negatives and self.adjustment is None and not self.config.faithful

    @torch.no_grad()
    def fused_step(
        self, users: Tensor, items: Tensor, negatives: Tensor, *, seed: int, lr: float
    ) -> Tensor:
        """`training_step` as one operator, without a wait for the device and without refreshes.

        Args:
            users, items, negatives: [batch], int64, node numbers: items and negatives behind the users.
            seed: with the step counter it decides what is drawn.
            lr: learning rate of this step.

        Returns:
            Mean loss, scalar float64.
        """
        c = self.config
        return ltgnn_bpr_step_(
            self.graph, self._tables(), users, items, negatives, self.step.view(1), alpha=c.alpha,
            c0=c.c0, fanout=c.fanout, seed=seed, self_loops=c.self_loops, l2=c.l2, lr=lr,
        )  # fmt: skip

    @torch.no_grad()
    def node_embeddings(self) -> Tensor:
        """Adjusted outputs of the inference that the config chose, in float32."""
        c = self.config
        e0 = _exact(self.e0.detach())
        if self.z is None:
            z = self._sweep(e0, 1)
        elif c.inference == "stored":
            z = _exact(self.z)
        elif c.inference == "sweeps":
            z = self._sweep(e0, c.sweeps)
        else:
            z = self._solve(_exact(self.z))
        rest = 1 - c.c0 - c.c1 - c.c2
        if rest == 1:
            return z
        adjusted = z - c.c0 * e0
        if self.adjustment is not None:
            adjusted -= self._adjustment()
        return adjusted / rest

    def _tables(self) -> LtgnnTables:
        return LtgnnTables(
            self.e0.data, self.adam_m, self.adam_v, self.delta, self.history_sum, self.z, self.g
        )

    def _sweep(self, z: Tensor, times: int) -> Tensor:
        """Exact steps of the fixed point, from z, in float32."""
        e0 = _exact(self.e0.detach())
        for _ in range(times):
            z = propagate(
                self.graph, z, x0=e0, alpha=self.config.alpha,
                self_loops=self.config.self_loops,
            )  # fmt: skip
        return z

    def _solve(self, z: Tensor) -> Tensor:
        """Exact steps until no entry moves by more than tol: each shrinks the error by 1 - alpha.

        At most as many as shrink it by e^-40: a tol below the rounding of float32 would never be met.
        """
        kept = 1.0 - self.config.alpha
        for _ in range(1 + (math.ceil(-40.0 / math.log(kept)) if kept > 0 else 0)):
            following = self._sweep(z, 1)
            # Largest change, also NaN-proof: a NaN compares false and ends the loop.
            moved = (following - z).abs().max().item() if z.numel() else 0.0
            z = following
            if not moved > self.config.tol:
                break
        return z

    def _adjustment(self) -> Tensor:
        """c1 A E0 + c2 zinf; zinf = q q' E0, q the unit vector along the square roots of the degrees."""
        c = self.config
        e0 = _exact(self.e0.detach())
        result = torch.zeros_like(e0)
        if c.c1:
            result += c.c1 * propagate(self.graph, e0, self_loops=c.self_loops)
        if c.c2:
            q = (self.graph.degrees + float(c.self_loops)).to(e0.dtype).sqrt()
            q /= q.norm().clamp(min=1e-12)
            result += c.c2 * torch.outer(q, q @ e0)
        return result

    def _move_sampled_neighbors(self, rows: Tensor, seed: int, step: int, lr: float) -> None:
        """The authors' optimiser gets zero gradients for the sampled neighbours too, so momentum moves them."""
        sampled = sample_neighbors(self.graph, rows, fanout=self.config.fanout, seed=seed)
        others = torch.unique(sampled[sampled >= 0])
        others = others[~torch.isin(others, rows)]
        zeros = torch.zeros(len(others), self.config.dim, device=others.device)
        adam_(self.e0, self.adam_m, self.adam_v, zeros, rows=others, step=step, lr=lr)
