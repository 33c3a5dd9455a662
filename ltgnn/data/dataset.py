"""A named data set: train, valid and test interactions over the same users and items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ltgnn.data._native import IdArray
from ltgnn.data.interactions import Interactions


@dataclass(frozen=True, eq=False)
class Dataset:
    """Interactions split for training and evaluation.

    Args:
        name: a short name, for logs.
        train: interactions to learn from.
        valid: interactions to tune on, or None.
        test: interactions to report on, or None.

    Raises:
        ValueError: the parts differ in num_users, num_items or external ids.

    Example:
        >>> train = Interactions([0, 1], [0, 1], num_users=2, num_items=3)
        >>> test = Interactions([0], [2], num_users=2, num_items=3)
        >>> print(Dataset("tiny", train, test=test).describe())
        tiny: 2 users, 3 items; train 2, test 1; density 50.0000 %
    """

    name: str
    train: Interactions
    valid: Interactions | None = None
    test: Interactions | None = None

    def __post_init__(self) -> None:
        """Checks that the parts number users and items alike."""
        for label, part in self.parts().items():
            for field in ("num_users", "num_items"):
                expected, got = getattr(self.train, field), getattr(part, field)
                if expected != got:
                    raise ValueError(
                        f"Dataset {self.name!r}: {label}.{field} must equal train's {expected}, "
                        f"got {got}"
                    )
            for field in ("user_ids", "item_ids"):
                if not _same_ids(getattr(self.train, field), getattr(part, field)):
                    raise ValueError(f"Dataset {self.name!r}: {label}.{field} must equal train's")

    def parts(self) -> dict[str, Interactions]:
        """The parts there are, by name, in the order train, valid, test."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        return {label: part for label, part in parts.items() if part is not None}

    @property
    def num_users(self) -> int:
        """Number of users, those without interactions included."""
        return self.train.num_users

    @property
    def num_items(self) -> int:
        """Number of items, those without interactions included."""
        return self.train.num_items

    def describe(self) -> str:
        """One line: name, counts and the density of all parts together."""
        sizes = {label: len(part) for label, part in self.parts().items()}
        cells = self.num_users * self.num_items
        density = 100 * sum(sizes.values()) / cells if cells else 0.0
        counts = ", ".join(f"{label} {size:,}" for label, size in sizes.items())
        return (
            f"{self.name}: {self.num_users:,} users, {self.num_items:,} items; {counts}; "
            f"density {density:.4f} %"
        )


def _same_ids(left: IdArray | None, right: IdArray | None) -> bool:
    if left is right:
        return True
    return left is not None and right is not None and bool(np.array_equal(left, right))
