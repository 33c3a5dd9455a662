"""Losses that compare each positive with its own sampled negatives, with their gradients in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn.ops.elementwise import softplus_and_slope, total
from ltgnn.ops.pair_scores import pair_scores
from ltgnn.ops.row_sums import product_gradient

SAMPLED_LOSSES = ("bpr", "bce", "ccl")
_SHORTEST = 1e-12  # squared length below which a mixed direction counts as none


@torch.no_grad()
def sampled_loss_and_grad(
    x: Tensor,
    users: Tensor,
    items: Tensor,
    negatives: Tensor,
    *,
    loss: str,
    negative_weight: float = 1.0,
    margin: float = 0.9,
    mixing: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The mean over the batch of a loss of one positive and K negatives, and its gradient.

    With `s_p` and `s_k` the scores of a user with the positive and with negative k, and w = negative_weight:

    - 'bpr': `1/K sum_k softplus(s_k - s_p)` (Rendle et al., UAI 2009), on inner products;
    - 'bce': `softplus(-s_p) + w/K sum_k softplus(s_k)`, binary cross-entropy, on inner products;
    - 'ccl': `1 - s_p + w/K sum_k max(0, s_k - margin)`, on cosines: the cosine contrastive loss (Mao et al., CIKM
      2021, eq. 1).

    Args:
        x: [num_rows, dim], float32 or float64, contiguous: users' and items' rows.
        users, items: [batch], int64, row numbers of x.
        negatives: [batch, K], int64, K >= 1.
        loss: 'bpr', 'bce' or 'ccl'.
        negative_weight: w; not of 'bpr'.
        margin: of 'ccl'.
        mixing: [batch, K], in [0, 1], the positive's share a of each negative, which becomes `a p + (1 - a) n`
            (positive mixing; Huang et al., "MixGCF", KDD 2021, eq. 8); for 'ccl' of the two at length 1. None: 0.

    Returns:
        (loss, scalar float64; dL/dx [num_rows, dim]); no gradient is recorded. A row of zeros has cosine 0 and no
        gradient by it.

    Raises:
        ValueError: there is no such loss, or a shape is wrong.
        IndexError: a row number is out of range.

    Complexity: O(batch K (dim + log(batch K))). The same bits for any number of threads.

    Example:
        >>> import torch, ltgnn
        >>> x, one = torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 1.0]]), torch.tensor([0])
        >>> value, grad = ltgnn.ops.sampled_loss_and_grad(
        ...     x, one, one + 1, torch.tensor([[2, 2]]), loss="bce"
        ... )
        >>> round(value.item(), 4)
        1.1672
        >>> grad
        tensor([[-0.1888,  0.5000],
                [-0.3775,  0.0000],
                [ 0.5000,  0.0000]])
    """
    _check(x, users, items, negatives, loss, mixing)
    batch, count = negatives.shape
    if batch == 0:
        return x.new_zeros((), dtype=torch.float64), torch.zeros_like(x)
    rows, inverse = (x, None) if loss != "ccl" else unit_rows(x)
    listed = torch.cat([items[:, None], negatives], dim=1)
    scores = pair_scores(rows[users], rows, listed).double()
    positive, negative = scores[:, 0], scores[:, 1:]
    between, there = None, None  # of positive and negative: the length of mixed directions
    if mixing is not None and inverse is not None:
        between = pair_scores(rows[items], rows, negatives).double()
        there = (inverse[listed, 0] > 0).double()
    mixed, slopes = _mix(positive, negative, between, there, mixing)

    if loss == "bpr":
        value, slope = softplus_and_slope(mixed - positive[:, None])
        losses, of_mixed = value.mean(1), slope / count
        of_positive = -slope.mean(1)
    elif loss == "bce":
        value, slope = softplus_and_slope(mixed)
        own, own_slope = softplus_and_slope(-positive)
        losses = own + negative_weight * value.mean(1)
        of_mixed, of_positive = slope * (negative_weight / count), -own_slope
    else:
        above = mixed - margin
        losses = 1.0 - positive + negative_weight * above.clamp(min=0).mean(1)
        of_mixed = (above > 0) * (negative_weight / count)
        of_positive = torch.full_like(positive, -1.0)

    of_positive = of_positive + (of_mixed * slopes[0]).sum(1)
    parts = [(users, items, of_positive)]
    each_user = users[:, None].expand(-1, count)
    parts.append((each_user.flatten(), negatives.flatten(), (of_mixed * slopes[1]).flatten()))
    if between is not None:
        each_item = items[:, None].expand(-1, count)
        parts.append((each_item.flatten(), negatives.flatten(), (of_mixed * slopes[2]).flatten()))
    left, right, weight = (torch.cat(part) for part in zip(*parts, strict=True))
    if loss == "ccl":  # most negatives are below the margin: sort and read the others only
        kept = torch.nonzero(weight).flatten()
        left, right, weight = left[kept], right[kept], weight[kept]
    grad = product_gradient(rows, left, right, weight / batch)
    if inverse is not None:
        grad = through_unit(grad, rows, inverse)
    return total(losses) / batch, grad


def unit_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """(x with each row at length 1, [num_rows, 1] of 1 / length); a row of zeros gives zeros, one with NaN NaN.

    Example:
        >>> import torch
        >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        (tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]]), tensor([[0.2000],
                [0.0000]]))
    """
    # By the largest entry first: squares of very long and very short rows are no numbers.
    top = x.abs().amax(1, keepdim=True) if x.shape[1] else x.new_zeros(len(x), 1)
    none = top < torch.finfo(x.dtype).tiny  # below it 1 / length may be no number
    scaled = torch.where(none, 0, x / top)
    length = scaled.square().sum(1, keepdim=True).sqrt()
    unit = torch.where(none, 0, scaled / length)
    return unit, torch.where(none, 0, 1.0 / (top * length))


def through_unit(grad: Tensor, unit: Tensor, inverse: Tensor) -> Tensor:
    """The gradient for x from that for its unit rows: `(g - u <u, g>) / |x|`.

    Example:
        >>> import torch
        >>> unit, inverse = unit_rows(torch.tensor([[2.0, 0.0]]))
        >>> through_unit(torch.tensor([[5.0, 1.0]]), unit, inverse)
        tensor([[0.0000, 0.5000]])
    """
    return (grad - unit * (unit * grad).sum(1, keepdim=True)) * inverse


def _mix(
    positive: Tensor,
    negative: Tensor,
    between: Tensor | None,
    there: Tensor | None,
    mixing: Tensor | None,
) -> tuple[Tensor, tuple[Tensor | float, Tensor | float, Tensor | float]]:
    """Scores of the mixed negatives, and their slopes for the scores of positive, negative and between.

    `there` [batch, 1 + K] is 0 where the positive or a negative has no direction.
    """
    if mixing is None:
        return negative, (0.0, 1.0, 0.0)
    share = mixing.to(negative)
    rest = 1.0 - share
    score = share * positive[:, None] + rest * negative
    if between is None or there is None:
        return score, (share, rest, 0.0)
    square = share.square() * there[:, :1] + rest.square() * there[:, 1:]
    square = square + 2.0 * share * rest * between
    is_short = square < _SHORTEST
    length = torch.where(is_short, 1.0, square).sqrt()
    score = torch.where(is_short, 0.0, score / length)
    inverse = torch.where(is_short, 0.0, 1.0 / length)
    return score, (share * inverse, rest * inverse, -score * share * rest * inverse * inverse)


def _check(
    x: Tensor, users: Tensor, items: Tensor, negatives: Tensor, loss: str, mixing: Tensor | None
) -> None:
    op = "sampled_loss_and_grad"
    if loss not in SAMPLED_LOSSES:
        raise ValueError(f"{op}: loss must be one of {', '.join(SAMPLED_LOSSES)}, got {loss!r}")
    if x.dim() != 2 or users.dim() != 1 or items.shape != users.shape:
        raise ValueError(
            f"{op}: x must be 2-D, users and items 1-D and of one length, got shapes "
            f"{list(x.shape)}, {list(users.shape)}, {list(items.shape)}"
        )
    if negatives.dim() != 2 or len(negatives) != len(users) or negatives.shape[1] < 1:
        raise ValueError(
            f"{op}: negatives must be [{len(users)}, K], K >= 1, got {list(negatives.shape)}"
        )
    if mixing is not None and mixing.shape != negatives.shape:
        raise ValueError(
            f"{op}: mixing must have the shape of negatives, {list(negatives.shape)}, "
            f"got {list(mixing.shape)}"
        )
    for name, ids in (("users", users), ("items", items), ("negatives", negatives)):
        if ids.numel():
            low, high = (int(value) for value in torch.aminmax(ids))
            if low < 0 or high >= len(x):
                bad = low if low < 0 else high
                raise IndexError(f"{op}: {name} must be in [0, {len(x)}), got {bad}")
