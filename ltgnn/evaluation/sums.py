"""Sums of metric values that come out the same however the users are split over ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["EvaluationSums"]

_UNIT_BITS = 52  # values in [0, 1] are kept as multiples of 2**-52, what float64 resolves at 1
_LANE_BITS = 32


@dataclass
class EvaluationSums:
    """Sums of metric values over users, exact and hence independent of order and of ranks.

    A float sum depends on the order of its terms, so two ranks would not add up to what one
    finds. Each value is rounded once to a multiple of 2**-52 and then summed as an integer.

    Attributes:
        names: one name per metric and cut-off, as in "recall@20".
        num_users: users added so far.
        totals: per name the sum of values in units of 2**-52, a Python int without limit.

    Example:
        >>> import torch
        >>> ours, theirs = EvaluationSums(("recall@5",)), EvaluationSums(("recall@5",))
        >>> ours.add({"recall@5": torch.tensor([1.0, 0.5], dtype=torch.float64)})
        >>> theirs.add({"recall@5": torch.tensor([0.0], dtype=torch.float64)})
        >>> ours.merge(theirs)
        >>> ours.result()
        {'num_users': 3.0, 'recall@5': 0.5}
    """

    names: tuple[str, ...]
    num_users: int = 0
    totals: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names = tuple(self.names)
        self.totals = list(self.totals) or [0] * len(self.names)
        if len(self.totals) != len(self.names):
            raise ValueError(
                f"EvaluationSums: expected {len(self.names)} totals, got {len(self.totals)}"
            )

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add users: for every name a float64 tensor [Q] of values in [0, 1].

        Raises:
            ValueError: names differ, lengths differ, or a value lies outside [0, 1].
        """
        if set(values) != set(self.names):
            raise ValueError(f"EvaluationSums: expected {self.names}, got {tuple(values)}")
        lengths = {value.numel() for value in values.values()}
        if len(lengths) > 1:
            raise ValueError(f"EvaluationSums: values differ in length, got {sorted(lengths)}")
        sums = []
        for name in self.names:
            value = values[name]
            if not bool(((value >= 0) & (value <= 1)).all()):
                raise ValueError(f"EvaluationSums: {name} must be in [0, 1] for every user")
            fixed = (value.double() * 2.0**_UNIT_BITS).round().long()
            # Two halves, since 2,048 values of 1 would already fill an int64.
            high, low = fixed >> _LANE_BITS, fixed & (2**_LANE_BITS - 1)
            sums.append((int(high.sum()) << _LANE_BITS) + int(low.sum()))
        self.totals = [old + new for old, new in zip(self.totals, sums, strict=True)]
        self.num_users += lengths.pop() if lengths else 0

    def merge(self, other: EvaluationSums) -> None:
        """Add the users of another part, for example of another rank; the order is irrelevant.

        Raises:
            ValueError: the other part has other names.
        """
        if other.names != self.names:
            raise ValueError(f"EvaluationSums: expected {self.names}, got {other.names}")
        self.totals = [mine + its for mine, its in zip(self.totals, other.totals, strict=True)]
        self.num_users += other.num_users

    def to_tensor(self) -> Tensor:
        """Return int64 [1 + 2 * len(names)] on the CPU; such tensors of all ranks may be summed.

        Sums stay exact for up to 2**31 ranks and 2**42 users.
        """
        lanes = [self.num_users]
        for total in self.totals:
            lanes += [total >> _LANE_BITS, total & (2**_LANE_BITS - 1)]
        return torch.tensor(lanes, dtype=torch.int64)

    @classmethod
    def from_tensor(cls, names: Sequence[str], tensor: Tensor) -> EvaluationSums:
        """Undo `to_tensor`, also after summing the tensors of several ranks.

        Raises:
            ValueError: the tensor does not fit the names.
        """
        lanes = tensor.tolist()
        if tensor.dtype != torch.int64 or tensor.shape != (1 + 2 * len(names),):
            raise ValueError(
                f"EvaluationSums: expected int64 [{1 + 2 * len(names)}], "
                f"got {tensor.dtype} {list(tensor.shape)}"
            )
        pairs = zip(lanes[1::2], lanes[2::2], strict=True)
        return cls(tuple(names), lanes[0], [(high << _LANE_BITS) + low for high, low in pairs])

    def result(self) -> dict[str, float]:
        """Return the mean of every metric over users, and "num_users".

        Raises:
            ValueError: no user was added, so no mean exists.
        """
        if self.num_users == 0:
            raise ValueError("evaluate: expected a user with an item in truth, got none")
        scale = self.num_users << _UNIT_BITS  # int / int rounds once, correctly
        means = {name: total / scale for name, total in zip(self.names, self.totals, strict=True)}
        return {"num_users": float(self.num_users), **means}
