"""LTGNN: linear-time graph neural network (Zhang et al., WWW 2024, arXiv 2402.13973)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph, TableStorage
from ltgnn.models import ltgnn_memory
from ltgnn.models.base import Batch, ModelConfig, Recommender
from ltgnn.models.ltgnn_config import LTGNNConfig
from ltgnn.models.memory_need import MemoryNeed, RunSizes, TableCounts
from ltgnn.models.neighbor_sampling import NeighborSampling
from ltgnn.models.output_adjustment import output_adjustment, sent_rows
from ltgnn.models.pair_exclusion import exclude_pairs
from ltgnn.ops import (
    LtgnnTables,
    adam_,
    ltgnn_bpr_step_,
    ltgnn_forward_,
    ltgnn_update_,
    propagate,
    sample_neighbors,
)

# Looks at the residual in an epoch: they bound what refreshes can cost, and on a GPU each is a wait.
RESIDUAL_LOOKS = 8


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
        self.sampling = NeighborSampling(graph, config)
        self._start()
        self.refresh()

    @classmethod
    def table_dtypes(cls, config: LTGNNConfig) -> tuple[torch.dtype, torch.dtype]:
        """See the base class."""
        return ltgnn_memory.table_dtypes(config)

    @classmethod
    def table_counts(cls, config: LTGNNConfig) -> TableCounts:
        """See the base class."""
        return ltgnn_memory.table_counts(config)

    @classmethod
    def memory_need(cls, config: LTGNNConfig, sizes: RunSizes) -> MemoryNeed:
        """See the base class."""
        need = super().memory_need(config, sizes)
        extra = NeighborSampling.extra_bytes(config, sizes.num_nodes, sizes.num_edges)
        return replace(need, training=need.training + extra, inference=need.inference + extra)

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
        """Make the history exact, or keep none."""
        source = self.e0 if self.z is None else self.z
        self.sampling.renew(self.graph, self.delta, self.g)
        ltgnn_memory.renew_history(
            self.graph, self.config, source.detach(), self.delta, self.history_sum
        )
        if self.adjustment is not None:
            self.adjustment.copy_(
                output_adjustment(self.graph, _exact(self.e0.detach()), self.config)
            )

    def start_epoch(self, epoch: int) -> None:
        """Refresh once an epoch, unless `refresh_every` says otherwise."""
        super().start_epoch(epoch)
        if self.config.refresh_every == 0:
            self.refresh()

    @torch.no_grad()
    def training_step(self, batch: Batch) -> Tensor:
        """See the base class; csrc/kernels/ltgnn_step.h has the equations."""
        c = self.config
        batch.require_within(self.graph.num_users, self.graph.num_items, self.name)
        if self._refresh_is_due(batch):
            self.refresh()
        batch = self.choose_negatives(batch)
        if self.has_fused_step:
            lr = c.lr * batch.learning_rate_factor
            offset, negatives = self.graph.num_users, self._checked_negatives(batch).flatten()
            return self.fused_step(
                batch.users, batch.items + offset, negatives + offset, seed=batch.seed, lr=lr
            )
        return self.step_in_parts(batch)

    def _refresh_is_due(self, batch: Batch) -> bool:
        """Before a step: by the count of steps, or by the residual in the rows of the batch."""
        every, step = self.config.refresh_every, int(self.step)
        limit = self.config.refresh_residual if self.config.variance_reduction else 0.0
        if every and step % every == 0:
            return True
        pairs = RESIDUAL_LOOKS * max(1, len(batch.users))
        if not limit or step % max(1, -(-self.graph.num_edges // pairs)) != 0:
            return False
        nodes = torch.cat([batch.users, batch.items + self.graph.num_users])
        source = self.e0 if self.z is None else self.z
        moved, length = (_exact(table[nodes]).norm() for table in (self.delta, source))
        return bool(moved > limit * length)

    @torch.no_grad()
    def step_in_parts(self, batch: Batch) -> Tensor:
        """`training_step` as forward, loss and update of the batch's distinct rows: for any loss and setting.

        Without refreshes, and its neighbours are drawn by the batch's seed alone.
        """
        c = self.config
        tables = self._tables()
        batch = self.choose_negatives(batch)
        rows, positions, l2 = self._targets(batch)
        # What the sums below are over: the forward writes z.
        sent = sent_rows(self.e0, self.z, rows, c)
        out, h = ltgnn_forward_(
            self.graph, tables, rows, alpha=c.alpha, c0=c.c0, seed=batch.seed, self_loops=c.self_loops,
            **self.sampling.arguments,
        )  # fmt: skip
        rest = 1.0
        if self.adjustment is not None:
            # The native step divides by 1 - c0; put the other two terms in, here and in the gradient. What they
            # send to other rows' E0 is left out, as everything is that leaves the target rows.
            rest = (1 - c.c0) / (1 - c.c0 - c.c1 - c.c2)
            out = (out - self.adjustment[rows] / (1 - c.c0)) * rest
        if c.excludes_pairs:
            pairs = exclude_pairs(
                self.graph, out, rows, positions, sent,
                kept=(1 - c.alpha) / (1 - c.c0 - c.c1 - c.c2), self_loops=c.self_loops,
            )  # fmt: skip
            loss, grad = self._loss_and_grad(pairs.out, pairs.positions, batch)
            grad = pairs.gradient(grad)
        else:
            loss, grad = self._loss_and_grad(out, positions, batch)
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
        c = self.config
        plain = c.loss == "bpr" and c.negatives_per_pair == 1 and c.positive_mixing == 0
        return plain and self.adjustment is None and not c.faithful

    @torch.no_grad()
    def choose_negatives(self, batch: Batch) -> Batch:
        """The batch with negatives in place of candidates, where it has candidates.

        They are scored by the stored outputs: Z of the fixed point as it stands; for one hop `(1 - alpha) A E0 +
        alpha E0`, A E0 as of the last refresh. No neighbour is read: O(batch candidates dim).
        """
        c = self.config
        if not c.scores_candidates:
            return batch
        of_e0, rest = (c.alpha if self.z is None else 0.0) - c.c0, 1.0 - c.c0 - c.c1 - c.c2
        tables = [(1.0 - c.alpha, self.history_sum) if self.z is None else (1.0, self.z)]
        tables += [(of_e0, self.e0)] if of_e0 else []
        tables += [] if self.adjustment is None else [(-1.0, self.adjustment)]
        return self._with_chosen_negatives(batch, [(part / rest, t) for part, t in tables])

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
            c0=c.c0, seed=seed, self_loops=c.self_loops, l2=c.l2, lr=lr, **self.sampling.arguments,
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
            adjusted -= output_adjustment(self.graph, _exact(self.e0.detach()), self.config)
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

    def _move_sampled_neighbors(self, rows: Tensor, seed: int, step: int, lr: float) -> None:
        """The authors' optimiser gets zero gradients for the sampled neighbours too, so momentum moves them."""
        sampled = sample_neighbors(self.graph, rows, seed=seed, **self.sampling.arguments)
        others = torch.unique(sampled[sampled >= 0])
        others = others[~torch.isin(others, rows)]
        zeros = torch.zeros(len(others), self.config.dim, device=others.device)
        adam_(self.e0, self.adam_m, self.adam_v, zeros, rows=others, step=step, lr=lr)
