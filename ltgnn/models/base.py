"""What every model is: a typed config, a training step, and embeddings to score with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ltgnn.graph import BipartiteGraph, TableStorage
from ltgnn.models.memory_need import MemoryNeed, TableCounts
from ltgnn.ops import loss_and_grad


@dataclass(frozen=True)
class ModelConfig:
    """Settings that all models share.

    Attributes:
        dim: width of an embedding.
        loss: 'softmax' (in-batch softmax on cosines) or 'bpr' (one sampled negative).
        tau: temperature of the softmax loss.
        exponent: weight of its logarithm (1: plain; else the bilateral form).
        allow_bf16: let that loss round its factors to bfloat16 where the machine multiplies those faster.
        lr: Adam's learning rate.
        l2: weight of the L2 term `l2 / 2 * |e0_r|^2 / batch` of each occurrence of a row in a batch.
        init: 'xavier' (uniform) or 'normal' (standard deviation 0.1).
    """

    dim: int = 64
    loss: Literal["softmax", "bpr"] = "softmax"
    tau: float = 0.12
    exponent: float = 0.84
    allow_bf16: bool = True
    lr: float = 1e-3
    l2: float = 1e-5
    init: Literal["xavier", "normal"] = "xavier"

    losses: ClassVar[tuple[str, ...]] = (
        "softmax",
        "bpr",
    )  # those that the model can be trained with

    least_dim: ClassVar[int] = 1

    def __post_init__(self) -> None:
        self._require("dim", self.dim >= self.least_dim, f"at least {self.least_dim}")
        self._require("loss", self.loss in self.losses, " or ".join(map(repr, self.losses)))
        self._require("tau", self.tau > 0, "positive")
        self._require("lr", self.lr >= 0, "not negative")
        self._require("l2", self.l2 >= 0, "not negative")
        self._require("init", self.init in ("xavier", "normal"), "'xavier' or 'normal'")

    def _require(self, name: str, condition: bool, expected: str) -> None:
        if not condition:
            raise ValueError(f"{name} must be {expected}, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    Attributes:
        users, items: [batch], int64: observed pairs, item numbers from 0.
        negatives: [batch], int64, an item that the user lacks; None for losses that need none.
        seed: what the step's own sampling draws from.
        learning_rate_factor: factor of the config's learning rate, from the trainer's schedule.
    """

    users: Tensor
    items: Tensor
    negatives: Tensor | None
    seed: int
    learning_rate_factor: float = 1.0


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

    def _apply(self, fn: Any, recurse: bool = True) -> Recommender:
        """What `to`, `cuda` and their kin do to the tensors; the graph goes along to the device."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.graph = self.graph.to(self.step.device)
        return self

    def _add_tables(self, seed: int) -> None:
        """Embeddings and Adam's moments."""
        e0 = self._empty_table(self.table_dtypes(self.config)[0])
        _initialise(e0, self.graph, self.config, seed)
        self.e0 = nn.Parameter(e0, requires_grad=False)
        self.register_buffer("adam_m", self._zero_table())
        self.register_buffer("adam_v", self._zero_table())

    @property
    def needs_negatives(self) -> bool:
        """Whether batches must carry sampled negatives."""
        return bool(self.config.loss == "bpr")

    def start_epoch(self, epoch: int) -> None:
        """Called before the first batch of each epoch (from 1)."""

    @abstractmethod
    def training_step(self, batch: Batch) -> Tensor:
        """Learn from one batch and return its mean loss, a scalar float64 without the L2 term."""

    @abstractmethod
    def node_embeddings(self) -> Tensor:
        """[num_nodes, dim]: what inner products score, in inference form."""

    @torch.no_grad()
    def embeddings(self) -> tuple[Tensor, Tensor]:
        """(users [num_users, dim], items [num_items, dim]); a pair's score is their inner product."""
        nodes = self.node_embeddings()
        return nodes[: self.graph.num_users], nodes[self.graph.num_users :]

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
    def memory_need(cls, config: Any, num_users: int, num_items: int, num_edges: int) -> MemoryNeed:
        """Bytes for a graph of these sizes, for an estimate of memory."""
        table, counts = 4 * (num_users + num_items) * config.dim, cls.table_counts(config)
        parts = (counts.kept, counts.training, counts.inference)
        return MemoryNeed(*(round(part * table) for part in parts))

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

    def _targets(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The batch's distinct nodes.

        Returns:
            (rows [T] int64, sorted; positions [3 or 2, batch] of users, items and negatives in rows;
            l2 [T], the weight of each row's L2 term).
        """
        offset = self.graph.num_users
        parts = [batch.users, batch.items + offset]
        if batch.negatives is not None:
            parts.append(batch.negatives + offset)
        rows, positions, counts = torch.unique(
            torch.cat(parts), return_inverse=True, return_counts=True
        )
        # Sums of bfloat16 tables are float32.
        l2 = counts.to(torch.promote_types(self.e0.dtype, torch.float32)) * (
            self.config.l2 / max(1, len(batch.users))
        )
        return rows, positions.view(len(parts), -1), l2

    def _loss_and_grad(self, out: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """The configured loss over rows `out`, and its gradient for them."""
        negatives = positions[2] if self.needs_negatives else None
        return loss_and_grad(
            out, positions[0], positions[1], negatives,
            tau=self.config.tau, exponent=self.config.exponent,
            allow_bf16=self.config.allow_bf16,
        )  # fmt: skip

    def _next_step(self, batch: Batch) -> tuple[int, float]:
        """Count this step; its number, and its learning rate."""
        self.step += 1
        return int(self.step), self.config.lr * batch.learning_rate_factor


def _initialise(e0: Tensor, graph: BipartiteGraph, config: ModelConfig, seed: int) -> None:
    """Fill the embeddings with random numbers, the same ones for every device and storage; in place."""
    generator = torch.Generator().manual_seed(seed)
    in_place = e0.device.type == "cpu" and e0.dtype == torch.float32
    rows = e0 if in_place else torch.empty(e0.shape, dtype=torch.float32)
    if config.init == "normal":
        rows.normal_(0.0, 0.1, generator=generator)
    else:
        # Users and items are two tables, each with its own Xavier bound (Glorot and Bengio, 2010).
        for part in (rows[: graph.num_users], rows[graph.num_users :]):
            bound = (6.0 / max(1, part.shape[0] + config.dim)) ** 0.5
            part.uniform_(-bound, bound, generator=generator)
    if rows is not e0:
        e0.copy_(rows)


def config_from_dict(config_type: type[ModelConfig], values: dict[str, Any]) -> ModelConfig:
    """A config from plain values; ValueError names settings that do not exist."""
    known = {field.name for field in fields(config_type)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(
            f"{config_type.__name__} has no setting {', '.join(unknown)}; it has {', '.join(sorted(known))}"
        )
    return config_type(**values)
