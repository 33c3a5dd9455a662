"""Ranking metrics at k, one value per user, from a hit matrix.

Every function takes ``hits`` [Q, k] bool (rank r, counted from 0, of query q is a relevant item)
and ``num_relevant`` [Q] int64, at least 1 (the distinct relevant items of the query, found or
not), and returns float64 [Q] in [0, 1]. The cut-off k is the width of ``hits``. Averages over
users are taken elsewhere, see `ltgnn.evaluation.evaluator`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["METRICS", "Metric", "hit_rate", "mrr", "ndcg", "precision", "recall"]

Metric = Callable[[Tensor, Tensor], Tensor]


def recall(hits: Tensor, num_relevant: Tensor) -> Tensor:
    """Share of a user's relevant items that are ranked: hits / num_relevant.

    Args:
        hits: [Q, k] bool, see the module.
        num_relevant: [Q] int64, at least 1.

    Returns:
        [Q] float64. O(Q k) time.

    Raises:
        TypeError, ValueError: malformed input.

    Source: the protocol of NGCF (SIGIR 2019) and LightGCN (SIGIR 2020); no cap at k.

    Example:
        >>> recall(torch.tensor([[True, False, True]]), torch.tensor([4])).tolist()
        [0.5]
    """
    _check("recall", hits, num_relevant)
    return hits.sum(dim=1).double() / num_relevant


def precision(hits: Tensor, num_relevant: Tensor) -> Tensor:
    """Share of the k ranks that hold a relevant item: hits / k.

    Args:
        hits: [Q, k] bool, see the module.
        num_relevant: [Q] int64, at least 1.

    Returns:
        [Q] float64. O(Q k) time.

    Raises:
        TypeError, ValueError: malformed input.

    Example:
        >>> precision(torch.tensor([[True, False, True, False]]), torch.tensor([9])).tolist()
        [0.5]
    """
    _check("precision", hits, num_relevant)
    return hits.sum(dim=1).double() / hits.shape[1]


def hit_rate(hits: Tensor, num_relevant: Tensor) -> Tensor:
    """1 where any of the k ranks holds a relevant item, else 0.

    Args:
        hits: [Q, k] bool, see the module.
        num_relevant: [Q] int64, at least 1.

    Returns:
        [Q] float64. O(Q k) time.

    Raises:
        TypeError, ValueError: malformed input.

    Example:
        >>> hit_rate(torch.tensor([[False, True], [False, False]]), torch.tensor([1, 1])).tolist()
        [1.0, 0.0]
    """
    _check("hit_rate", hits, num_relevant)
    return hits.any(dim=1).double()


def mrr(hits: Tensor, num_relevant: Tensor) -> Tensor:
    """Reciprocal rank of the first relevant item, counted from 1; 0 if none is ranked.

    Args:
        hits: [Q, k] bool, see the module.
        num_relevant: [Q] int64, at least 1.

    Returns:
        [Q] float64. O(Q k) time.

    Raises:
        TypeError, ValueError: malformed input.

    Example:
        >>> mrr(torch.tensor([[False, True], [False, False]]), torch.tensor([1, 1])).tolist()
        [0.5, 0.0]
    """
    _check("mrr", hits, num_relevant)
    ranks = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64, device=hits.device)
    return (hits / ranks).amax(dim=1)


def ndcg(hits: Tensor, num_relevant: Tensor) -> Tensor:
    """Discounted gain over the best one possible: binary gains, discount 1 / log2(rank + 1).

    The ideal ranking holds min(k, num_relevant) relevant items at its first ranks.

    Args:
        hits: [Q, k] bool, see the module.
        num_relevant: [Q] int64, at least 1.

    Returns:
        [Q] float64. O(Q k) time.

    Raises:
        TypeError, ValueError: malformed input.

    Source: Järvelin and Kekäläinen, TOIS 2002; the cut of the ideal as in LightGCN (SIGIR 2020).

    Example:
        >>> ndcg(torch.tensor([[True, True], [True, False]]), torch.tensor([5, 1])).tolist()
        [1.0, 1.0]
    """
    _check("ndcg", hits, num_relevant)
    k = hits.shape[1]
    ranks = torch.arange(1, k + 1, dtype=torch.float64, device=hits.device)
    discount = torch.log2(ranks + 1).reciprocal()
    # The ideal is read from the same running sum that a perfect row adds up, so that a perfect
    # ranking scores exactly 1.
    gain = torch.cumsum(hits * discount, dim=1)[:, -1]
    ideal = torch.cumsum(discount, dim=0)
    return gain / ideal[num_relevant.clamp(max=k) - 1]


def _check(name: str, hits: Tensor, num_relevant: Tensor) -> None:
    if hits.dtype != torch.bool:
        raise TypeError(f"{name}: hits must be torch.bool, got {hits.dtype}")
    if num_relevant.dtype != torch.int64:
        raise TypeError(f"{name}: num_relevant must be torch.int64, got {num_relevant.dtype}")
    if hits.dim() != 2 or hits.shape[1] == 0:
        raise ValueError(f"{name}: hits must be [num_users, k >= 1], got {list(hits.shape)}")
    if num_relevant.shape != hits.shape[:1]:
        raise ValueError(
            f"{name}: num_relevant must be [{hits.shape[0]}], got {list(num_relevant.shape)}"
        )
    if num_relevant.numel() and int(num_relevant.min()) < 1:
        raise ValueError(f"{name}: num_relevant must be at least 1, got {int(num_relevant.min())}")


#: Every metric by the name that prefixes its result, as in "recall@20".
METRICS: dict[str, Metric] = {
    "recall": recall,
    "ndcg": ndcg,
    "precision": precision,
    "hit_rate": hit_rate,
    "mrr": mrr,
}
