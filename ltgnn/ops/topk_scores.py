"""Full ranking of scores that are there already: the k best columns of every row."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["topk_scores_"]

NEG_INF = float("-inf")


@torch.no_grad()
def topk_scores_(
    scores: Tensor, k: int, *, seen: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Return the ``k`` largest scores of every row, as `topk` does for inner products.

    For models whose scores are no inner product: those give a block of rows at a time. Equal scores are ordered by
    item id, smaller first, so that a row alone and among others is ranked alike.

    Args:
        scores: [Q, N] float32 or float64, **overwritten**: what is seen becomes -inf.
        k: results per row, at least 1. It may exceed N.
        seen: ``(indptr, indices)``, CSR rows of items never returned: indptr int64 [Q+1], indices int32 or int64
            in [0, N), in any order. None masks nothing.

    Returns:
        scores: [Q, k], dtype of scores, descending; -inf where fewer than ``k`` items remain.
        ids: [Q, k] int64; -1 where fewer than ``k`` items remain.

    Raises:
        TypeError: scores is no float32 or float64 tensor.
        ValueError: scores is not 2-D, k < 1, NaN or +inf among the scores, or seen does not fit.
        IndexError: an entry of seen is out of range.

    Complexity: O(Q N) time; rows with ties at rank k are sorted, O(N log N) each.

    Example:
        >>> import torch
        >>> scores = torch.tensor([[1.0, 3.0, 3.0, 2.0]])
        >>> seen = (torch.tensor([0, 1]), torch.tensor([3]))
        >>> [part.tolist() for part in topk_scores_(scores, 3, seen=seen)]
        [[[3.0, 3.0, 1.0]], [[1, 2, 0]]]
    """
    _check(scores, k)
    rows, num_items = scores.shape
    if seen is not None:
        _mask(scores, seen)
    values = scores.new_full((rows, k), NEG_INF)
    ids = torch.full((rows, k), -1, dtype=torch.int64, device=scores.device)
    kept = min(k, num_items)
    if rows == 0 or kept == 0:
        return values, ids
    best, found = torch.topk(scores, min(kept + 1, num_items))
    # Which of the scores that tie at rank k are listed is torch's choice: rank such rows in full.
    found = found[:, :kept].contiguous()
    if kept < num_items:
        tied = torch.nonzero(best[:, kept - 1] == best[:, kept]).flatten()
        found[tied] = scores[tied].argsort(dim=1, descending=True, stable=True)[:, :kept]
    found = found.sort(dim=1)[0]
    best, order = scores.gather(1, found).sort(dim=1, descending=True, stable=True)
    found = found.gather(1, order)
    found.masked_fill_(best == NEG_INF, -1)
    values[:, :kept], ids[:, :kept] = best, found
    return values, ids


def _check(scores: Tensor, k: int) -> None:
    if not isinstance(scores, Tensor) or scores.dtype not in (torch.float32, torch.float64):
        got = scores.dtype if isinstance(scores, Tensor) else type(scores).__name__
        raise TypeError(f"topk_scores_: scores must be a float32 or float64 tensor, got {got}")
    if scores.dim() != 2:
        raise ValueError(
            f"topk_scores_: scores must be 2-D [rows, num_items], got {scores.dim()}-D"
        )
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"topk_scores_: k must be an int of at least 1, got {k!r}")
    # The largest tells of both: NaN and +inf propagate through it.
    if scores.numel() and not bool((scores.amax() < float("inf")).item()):
        raise ValueError("topk_scores_: scores must not be NaN or +inf, got one that is")


def _mask(scores: Tensor, seen: tuple[Tensor, Tensor]) -> None:
    rows, num_items = scores.shape
    indptr, indices = (part.to(scores.device).long() for part in seen)
    lengths = indptr.diff()
    fits = len(indptr) == rows + 1 and bool((lengths >= 0).all())
    if not fits or int(indptr[0]) != 0 or int(indptr[-1]) != len(indices):
        raise ValueError(
            f"topk_scores_: seen must be (indptr, indices) with {rows + 1} pointers that rise from 0 to "
            f"{len(indices)}, got {len(indptr)} pointers"
        )
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < num_items:
        raise IndexError(
            f"topk_scores_: seen indices must be in [0, {num_items}), got "
            f"{int(indices.min())} to {int(indices.max())}"
        )
    places = torch.arange(rows, device=scores.device).repeat_interleave(lengths)
    scores[places, indices] = NEG_INF
