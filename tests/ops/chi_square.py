"""Whether counts are as even as chance makes them."""

from __future__ import annotations

from torch import Tensor


def chi_square_limit(cells: int) -> float:
    """Mean plus 5 standard deviations of chi-square with cells - 1 degrees of freedom."""
    freedom = cells - 1
    return freedom + 5 * (2 * freedom) ** 0.5


def chi_square(counts: Tensor) -> float:
    """Sum over cells of the squared distance from the mean, over the mean."""
    expected = counts.double().mean()
    return float(((counts - expected) ** 2 / expected).sum())
