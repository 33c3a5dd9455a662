"""Plain twins of the losses and of `accidental_hits`; see ltgnn.ops.reference."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize, softplus

from ltgnn.ops.reference import row_of, take


def bpr_loss(x: Tensor, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
    """Mean of softplus(<x_u, x_n> - <x_u, x_p>) over the triples; 0 for none."""
    u, p, n = take(x, users), take(x, items), take(x, negatives)
    return -logsigmoid((u * p).sum(1) - (u * n).sum(1)).sum() / max(len(users), 1)


def in_batch_softmax_loss(
    x: Tensor,
    users: Tensor,
    items: Tensor,
    tau: float,
    exponent: float,
    allow_bf16: bool = False,  # nothing is rounded here
    skip: Tensor | None = None,
) -> Tensor:
    """Mean of `-c_bb / tau + exponent * log sum_{j != b} exp(c_bj / tau)` over the pairs, without those skipped."""
    u, v = normalize(take(x, users), dim=1), normalize(take(x, items), dim=1)
    scores = u @ v.T / tau
    left_out = torch.eye(len(users), dtype=torch.bool)
    if skip is not None:
        left_out |= unpacked(skip, len(users))
    log_sums = scores.masked_fill(left_out, -torch.inf).logsumexp(1)
    # A user with nothing to be compared with has no denominator.
    log_sums = log_sums.masked_fill(left_out.all(1), 0.0)
    return (exponent * log_sums - scores.diagonal()).sum() / max(len(users), 1)


def weighted_softplus_(scores: Tensor, of_row: Tensor, of_column: Tensor, of_all: Tensor) -> Tensor:
    """[num_rows] float64: sums of `w softplus(s)`, w = of_row of_column + of_all; `w sigmoid(s)` in place of s."""
    weight = torch.outer(of_row, of_column) + of_all
    loss = (weight.double() * softplus(scores.double(), threshold=40.0)).sum(1)
    scores.copy_(weight * scores.sigmoid())
    return loss


def accidental_hits(
    indptr: Tensor,
    indices: Tensor,
    users: Tensor,
    items: Tensor,
    num_items: int,
    first_item: int = 0,
) -> Tensor:
    """[batch, ceil(batch / 32)], int32: a bit for each place whose item the user has."""
    wanted = items.tolist()
    for place, item in enumerate(wanted):
        if not 0 <= item < num_items:
            raise IndexError(f"items must be in [0, {num_items}), got items[{place}] = {item}")
    rows = []
    for user in users.tolist():
        owned = set((row_of(indptr, indices, user) - first_item).tolist())
        rows.append([item in owned for item in wanted])
    return packed(torch.tensor(rows, dtype=torch.bool).view(len(users), len(wanted)))


def packed(pairs: Tensor) -> Tensor:
    """[n, ceil(batch / 32)], int32, from [n, batch], bool: bit j % 32 of word j // 32.

    Example:
        >>> packed(torch.tensor([[True, False, True]]))
        tensor([[5]], dtype=torch.int32)
    """
    words = (pairs.shape[1] + 31) // 32
    bits = torch.zeros(len(pairs), words * 32, dtype=torch.int64)
    bits[:, : pairs.shape[1]] = pairs
    values = (bits.view(len(pairs), words, 32) << torch.arange(32)).sum(2)
    return torch.where(values >= 2**31, values - 2**32, values).to(torch.int32)


def unpacked(words: Tensor, batch: int) -> Tensor:
    """[n, batch], bool: the inverse of `packed`.

    Example:
        >>> unpacked(torch.tensor([[5]], dtype=torch.int32), 3)
        tensor([[ True, False,  True]])
    """
    bits = words[:, :, None].to(torch.int64) >> torch.arange(32) & 1
    return bits.flatten(1)[:, :batch].bool()
