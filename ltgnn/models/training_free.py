"""What models without training share: they are fitted once, and score users in blocks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, NoReturn

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph, TableStorage
from ltgnn.models.base import Batch, ModelConfig, Recommender

BLOCK_BYTES = 32 << 20  # of one [nodes of a side, users] table while users are scored
MOST_USERS = 128  # more bring nothing: a product with the graph is at the memory's speed by then


def block_width(num_users: int, num_items: int) -> int:
    """Users that are scored at once: a power of two from 8 to 128, by the sizes of the graph alone.

    Example:
        >>> block_width(30_000, 41_000), block_width(5_000_000, 1_000_000)
        (128, 8)
    """
    fitting = BLOCK_BYTES // (4 * max(1, num_users, num_items))
    return min(MOST_USERS, max(8, 1 << max(0, fitting.bit_length() - 1)))


class TrainingFree(Recommender):
    """A model that is computed from the graph: no gradient step, and no embeddings whose product is the score.

    Subclasses register what they keep as buffers, and say how to fit it and how to score a block of users.

    Args:
        graph, config, storage: as for every model.
        seed: of whatever is random in fitting.
    """

    is_trained: ClassVar[bool] = False
    has_embeddings: ClassVar[bool] = False

    def __init__(
        self,
        graph: BipartiteGraph,
        config: ModelConfig,
        *,
        seed: int = 0,
        storage: TableStorage | None = None,
    ) -> None:
        super().__init__(graph, config, seed=seed, storage=storage)
        self.seed = seed

    def _add_tables(self, seed: int) -> None:
        """None: there is nothing to train."""

    @property
    @abstractmethod
    def fit_steps(self) -> int:
        """How many steps fitting tells of."""

    @abstractmethod
    def _fit(self, on_step: Callable[[], object] | None) -> None:
        """Compute what is kept, from graph, config and seed; call on_step `fit_steps` times."""

    @abstractmethod
    def _score(self, users: Tensor) -> Tensor:
        """[len(users), num_items] float32 for a whole block of users."""

    def fit(self, on_step: Callable[[], object] | None = None) -> None:
        """Compute the model; the same bits each time. `step` is 1 from then on.

        Args:
            on_step: called `fit_steps` times, as the work goes on: for a progress bar.
        """
        self._fit(on_step)
        self.step.fill_(1)

    @property
    def block_users(self) -> int:
        """See the base class."""
        return block_width(self.graph.num_users, self.graph.num_items)

    @torch.no_grad()
    def score_block(self, users: Tensor) -> Tensor:
        """See the base class.

        Raises:
            RuntimeError: the model is not fitted.
        """
        if not int(self.step):
            raise RuntimeError(f"{self.name}: scores need a fitted model; call fit() first")
        users = self._check_users(users)
        width = self.block_users
        if len(users) > width:
            return torch.cat([self.score_block(part) for part in users.split(width)])
        if not len(users):
            return torch.zeros(0, self.graph.num_items, device=self.graph.device)
        # Always a whole block, so that a user's scores do not depend on who is scored beside.
        filler = users[-1:].expand(width - len(users))
        return self._score(torch.cat([users, filler]))[: len(users)]

    def training_step(self, batch: Batch) -> NoReturn:
        """There is none.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"{self.name} is not trained: it has fit() instead of training steps")

    def node_embeddings(self) -> NoReturn:
        """There are none.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            f"{self.name} has no embeddings: its scores are no inner products; use score_block()"
        )
