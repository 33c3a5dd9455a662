"""What one training step sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """What one training step sees.

    Attributes:
        users, items: [batch], int64: observed pairs, item numbers from 0.
        negatives: [batch], int64, an item that the user lacks, or [batch, n], several, for a config whose
            `draws_per_pair` is n; None for losses that need none.
        seed: what the step's own sampling draws from.
        learning_rate_factor: factor of the config's learning rate, from the trainer's schedule.
        log_q: [batch], the logarithm of the probability that a place of a batch holds the item; for configs with
            `log_q`.
    """

    users: Tensor
    items: Tensor
    negatives: Tensor | None
    seed: int
    learning_rate_factor: float = 1.0
    log_q: Tensor | None = None

    def require_within(self, num_users: int, num_items: int, name: str) -> None:
        """Refuse pairs that are none, and numbers of no user or no item, which would be nodes of others.

        The numbers only on the CPU: on a GPU a look at them would have to wait for it.

        Raises:
            ValueError: users and items are not two lists of one length.
            IndexError: naming the model `name`, the field, the bound and what came.
        """
        shapes = list(self.users.shape), list(self.items.shape)
        if len(shapes[0]) != 1 or shapes[0] != shapes[1]:
            raise ValueError(
                f"{name}: the batch's users and items must be [batch] both, got {shapes[0]} and {shapes[1]}"
            )
        for field, numbers, bound in (
            ("users", self.users, num_users),
            ("items", self.items, num_items),
            ("negatives", self.negatives, num_items),
        ):
            if numbers is None or not numbers.is_cpu or not numbers.numel():
                continue
            low, high = (int(end) for end in torch.aminmax(numbers))
            if low < 0 or high >= bound:
                wrong = low if low < 0 else high
                raise IndexError(
                    f"{name}: the batch's {field} must be in [0, {bound}), got {wrong}"
                )
