"""What every model is: a typed config, a training step, and embeddings to score with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ltgnn.graph import BipartiteGraph, TableStorage, order_rows
from ltgnn.models.adaptive_tau import AdaptiveTau
from ltgnn.models.batch import Batch
from ltgnn.models.batch_loss import batch_loss_and_grad
from ltgnn.models.initialisation import initialise, warm_start_bytes
from ltgnn.models.item_lengths import with_length_exponent
from ltgnn.models.memory_need import MemoryNeed, RunSizes, TableCounts, pair_bytes, row_order_bytes
from ltgnn.models.model_config import ModelConfig, config_from_dict
from ltgnn.models.negatives import (
    WeightedTables,
    candidate_scores,
    choose_negatives,
)

__all__ = ["Batch", "ModelConfig", "Recommender", "TableCounts", "config_from_dict"]


class Recommender(nn.Module, ABC):
    """A model over the nodes of one graph: users first, then items.

    It lives on the graph's device; `to(device)` moves both. All that training changes lives in `state_dict()`: the
    embeddings `e0`, Adam's moments, the step counter, and whatever memory a model adds. Gradients are computed by
    the model itself, in closed form.

    Args:
        graph: the training graph.
        config: of the model's type.
        seed: of the initial embeddings.
        storage: where tables [num_nodes, dim] are put; None: memory.
    """

    name: ClassVar[str]
    config_type: ClassVar[type[ModelConfig]] = ModelConfig
    is_trained: ClassVar[bool] = True  # by training steps; else see `TrainingFree`
    has_embeddings: ClassVar[bool] = True  # whose inner products are the scores
    propagates_all: ClassVar[bool] = False  # the whole graph in every step: rows are ordered for it
    samplings: ClassVar[tuple[str, ...]] = ("interactions", "users")  # that it may be trained with
    adam_m: Tensor
    adam_v: Tensor
    step: Tensor

    def __init__(
        self,
        graph: BipartiteGraph,
        config: ModelConfig,
        *,
        seed: int = 0,
        storage: TableStorage | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(config, self.config_type):
            raise TypeError(
                f"{self.name}: config must be {self.config_type.__name__}, "
                f"got {type(config).__name__}"
            )
        self.graph = graph
        self.config: Any = config
        self.storage = storage or TableStorage()
        self._add_tables(seed)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64, device=graph.device))
        self.adaptive_tau = (
            AdaptiveTau(graph.num_users, config.tau, config.adaptive_beta, graph.device)
            if config.adaptive_tau
            else None
        )

    def _apply(self, fn: Any, recurse: bool = True) -> Recommender:
        """What `to`, `cuda` and their kin do to the tensors; the graph goes along to the device."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.graph = self.graph.to(self.step.device)
        return self

    def _add_tables(self, seed: int) -> None:
        """Embeddings and Adam's moments."""
        e0 = self._empty_table(self.table_dtypes(self.config)[0])
        initialise(e0, self.graph, self.config, seed, self.storage)
        self.e0 = nn.Parameter(e0, requires_grad=False)
        self.register_buffer("adam_m", self._zero_table())
        self.register_buffer("adam_v", self._zero_table())

    @property
    def needs_negatives(self) -> bool:
        """Whether batches must carry sampled negatives."""
        return bool(self.config.samples_negatives)

    def start_epoch(self, epoch: int) -> None:
        """Called before the first batch of each epoch (from 1)."""
        if self.propagates_all:
            self.graph = order_rows(self.graph)
        if self.adaptive_tau is not None:
            self.adaptive_tau.update()

    @abstractmethod
    def training_step(self, batch: Batch) -> Tensor:
        """Learn from one batch and return its mean loss, a scalar float64 without the L2 term.

        Raises:
            ValueError: the batch lacks what the loss needs.
            IndexError: a user or item of the batch is out of range (on the CPU).
        """

    @abstractmethod
    def node_embeddings(self) -> Tensor:
        """[num_nodes, dim]: outputs in inference form."""

    @torch.no_grad()
    def embeddings(self) -> tuple[Tensor, Tensor]:
        """(users [num_users, dim], items [num_items, dim]); a pair's score is their inner product."""
        nodes = self.node_embeddings()
        users, items = nodes[: self.graph.num_users], nodes[self.graph.num_users :]
        return users, with_length_exponent(items, self.config.length_exponent)

    @torch.no_grad()
    def score_block(self, users: Tensor) -> Tensor:
        """[len(users), num_items]: the scores of all items for some users, in a tensor of the caller's own.

        Args:
            users: int64, from 0; so many at once that a block of scores fits into memory, see `block_users`.

        Raises:
            IndexError: a user is out of range.
        """
        rows, items = self.embeddings()
        return rows[self._check_users(users)] @ items.T

    @property
    def block_users(self) -> int:
        """How many users `score_block` takes at once without waste."""
        return max(1, (64 << 20) // (4 * max(1, self.graph.num_items)))

    @classmethod
    def memory_need(cls, config: Any, sizes: RunSizes) -> MemoryNeed:
        """Bytes for a run of these sizes, for an estimate of memory."""
        table, counts = 4 * sizes.num_nodes * config.dim, cls.table_counts(config)
        kept, training, inference = (
            round(part * table) for part in (counts.kept, counts.training, counts.inference)
        )
        training += cls.step_bytes(config, sizes)
        if cls.propagates_all:
            training, inference = (each + row_order_bytes(sizes) for each in (training, inference))
        # At the start there are no other tables yet.
        start = table + warm_start_bytes(config, sizes)
        return MemoryNeed(kept, max(training, start - kept), inference)

    @classmethod
    def step_bytes(cls, config: Any, sizes: RunSizes) -> int:
        """Bytes of a step's own for a batch, beside `table_counts`: of pairs, and of their rows three copies."""
        rows: int = 3 * 4 * sizes.distinct_rows(1 + config.negatives_per_pair) * config.dim
        return rows + pair_bytes(config, sizes.batch)

    @classmethod
    def table_counts(cls, config: Any) -> TableCounts:
        """How many tables [num_nodes, dim] there are at once, for an estimate of memory."""
        return TableCounts(kept=3)

    @classmethod
    def table_dtypes(cls, config: Any) -> tuple[torch.dtype, torch.dtype]:
        """How the embeddings and how the other tables are stored."""
        return torch.float32, torch.float32

    # ---- for subclasses ----

    def _check_users(self, users: Tensor) -> Tensor:
        """Users as int64 on the graph's device."""
        users = users.to(self.graph.device, torch.int64)
        if len(users) and not 0 <= int(users.min()) <= int(users.max()) < self.graph.num_users:
            raise IndexError(
                f"{self.name}: users must be in [0, {self.graph.num_users}), got "
                f"{int(users.min())} to {int(users.max())}"
            )
        return users

    def _empty_table(self, dtype: torch.dtype | None = None) -> Tensor:
        """[num_nodes, dim], of any content, where the model's tables live; None: as tables but e0 are stored."""
        return self.storage.empty(
            self.graph.num_nodes, self.config.dim,
            dtype=dtype or self.table_dtypes(self.config)[1], device=self.graph.device,
        )  # fmt: skip

    def _zero_table(self, dtype: torch.dtype | None = None) -> Tensor:
        """The same, of zeros."""
        return self.storage.zeros(
            self.graph.num_nodes, self.config.dim,
            dtype=dtype or self.table_dtypes(self.config)[1], device=self.graph.device,
        )  # fmt: skip

    def _with_chosen_negatives(self, batch: Batch, tables: WeightedTables) -> Batch:
        """The batch with negatives in place of candidates, where it has candidates.

        Args:
            batch: whose `negatives` are [batch, draws_per_pair].
            tables: the current outputs, or what is at hand in their place, as a weighted sum.
        """
        c, candidates = self.config, batch.negatives
        if not c.scores_candidates or candidates is None or candidates.dim() == 1:
            return batch
        count = c.negatives_per_pair
        if candidates.shape[1] != c.draws_per_pair:  # chosen already, or wrong
            return batch
        groups = (len(candidates), count, c.candidates)
        scores = candidate_scores(tables, batch.users, candidates, self.graph.num_users)
        chosen = choose_negatives(
            candidates.view(groups), scores.view(groups), kind=c.negatives, hardest=c.hardest,
            rho=c.rho, seed=batch.seed,
        )  # fmt: skip
        return replace(batch, negatives=chosen[:, 0].contiguous() if count == 1 else chosen)

    def _targets(self, batch: Batch) -> tuple[Tensor, list[Tensor], Tensor]:
        """The batch's distinct nodes.

        Returns:
            (rows [T] int64, sorted; positions in rows of users [batch], items [batch] and, where there are any,
            negatives, in their shape; l2 [T], the weight of each row's L2 term).

        Raises:
            ValueError: the loss needs negatives or log_q, and the batch has none or another number of them.
            IndexError: a user or item of the batch is out of range (CPU).
        """
        batch.require_within(self.graph.num_users, self.graph.num_items, self.name)
        if self.needs_negatives:
            self._checked_negatives(batch)
        if self.config.log_q and (batch.log_q is None or batch.log_q.shape != batch.users.shape):
            came = None if batch.log_q is None else list(batch.log_q.shape)
            raise ValueError(
                f"{self.name}: with log_q the batch's log_q must be [{len(batch.users)}], got {came}"
            )
        offset, pairs = self.graph.num_users, len(batch.users)
        parts = [batch.users, batch.items + offset]
        if batch.negatives is not None:
            parts.append(batch.negatives.flatten() + offset)
        rows, positions, counts = torch.unique(
            torch.cat(parts), return_inverse=True, return_counts=True
        )
        # Sums of bfloat16 tables are float32.
        weights = counts.to(torch.promote_types(self.e0.dtype, torch.float32))
        if batch.negatives is not None and batch.negatives.dim() == 2:
            own = torch.bincount(positions[: 2 * pairs], minlength=len(rows)).to(weights)
            weights = own + (weights - own) / batch.negatives.shape[1]
        l2 = weights * (self.config.l2 / max(1, pairs))
        places = list(positions.split([len(part) for part in parts]))
        if batch.negatives is not None:
            places[2] = places[2].view(batch.negatives.shape)
        return rows, places, l2

    def _checked_negatives(self, batch: Batch) -> Tensor:
        """[batch] or [batch, count]; ValueError where the batch has none, or another number of them."""
        pairs, count = len(batch.users), self.config.negatives_per_pair
        shape = None if batch.negatives is None else tuple(batch.negatives.shape)
        if batch.negatives is None or (shape != (pairs, count) and (count, shape) != (1, (pairs,))):
            wanted = f"[{pairs}]" if count == 1 else f"[{pairs}, {count}]"
            raise ValueError(
                f"{self.name}: the batch's negatives must be {wanted}, got {shape and list(shape)}"
            )
        return batch.negatives

    def _loss_and_grad(
        self, out: Tensor, positions: list[Tensor], batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """The configured loss over rows `out`, and its gradient for them."""
        return batch_loss_and_grad(
            self.config, self.graph, out, positions, batch, adaptive_tau=self.adaptive_tau
        )

    def _next_step(self, batch: Batch) -> tuple[int, float]:
        """Count this step; its number, and its learning rate."""
        self.step += 1
        return int(self.step), self.config.lr * batch.learning_rate_factor
