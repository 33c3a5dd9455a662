"""In-batch softmax with a temperature for each user and a correction for how often an item is drawn."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ltgnn.ops.elementwise import total
from ltgnn.ops.losses import loss_and_grad
from ltgnn.ops.row_sums import add_rows
from ltgnn.ops.sampled_losses import through_unit, unit_rows


@torch.no_grad()
def corrected_softmax_loss_and_grad(
    x: Tensor,
    users: Tensor,
    items: Tensor,
    *,
    tau: float,
    user_tau: Tensor | None = None,
    log_q: Tensor | None = None,
    exponent: float = 1.0,
    allow_bf16: bool = False,
    skip: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`in_batch_softmax_loss` with two corrections, and its gradient.

    `mean_b( -(c_bb / tau - q_b) + exponent * log sum_{j != b} exp(c_bj / tau_b - q_j) )` with `c_bj` the cosine of
    user b and item j, `tau_b` the user's own temperature and `q_j` the logarithm of the probability of item j. The
    log-Q correction is that of Yi et al., "Sampling-bias-corrected neural modeling for large corpus item
    recommendations", RecSys 2019; a positive at `tau` and negatives at `tau_b` is how Adap-tau's authors compute it
    (Chen et al., WWW 2023).

    The native loss knows one temperature and no offsets; it is given rows with three more columns instead, whose
    inner products are the corrected logits: a user's part is shortened by its temperature, an item's offset stands
    in a column that all users share, and two columns bring every row back to length 1.

    Args:
        x: [num_rows, dim], float32 or float64, contiguous: users' and items' rows.
        users, items: [batch], int64, row numbers of x: pair b is a positive.
        tau: temperature of the positives, and of all where user_tau is None; at least 1e-6, with log_q more.
        user_tau: [batch], positive, the temperature of the negatives of each pair.
        log_q: [batch], the logarithm of each item's probability; finite.
        exponent, allow_bf16, skip: as for `in_batch_softmax_loss`; bfloat16 rounds corrected logits, as at
            temperature `1 / (1 / min tau_b + spread of q / 2)`.

    Returns:
        (loss, scalar float64; dL/dx [num_rows, dim]); no gradient is recorded.

    Raises:
        ValueError, IndexError: a shape, dtype, row number, temperature or probability is wrong.

    Complexity: O(batch^2 * dim) operations, O(batch * dim) memory. The same bits for any number of threads.

    Example:
        >>> import torch, ltgnn
        >>> x, b = torch.eye(3), torch.arange(3)
        >>> q = torch.tensor([0.5, 0.25, 0.25]).log()
        >>> value, grad = ltgnn.ops.corrected_softmax_loss_and_grad(x, b, b, tau=0.5, log_q=q)
        >>> round(value.item(), 4)
        -1.2676
    """
    batch = _check(x, users, items, tau, user_tau, log_q)
    if batch == 0 or (user_tau is None and log_q is None):
        return loss_and_grad(
            x, users, items, None, tau=tau, exponent=exponent, allow_bf16=allow_bf16, skip=skip
        )
    unit, inverse = unit_rows(x)
    u, v = unit[users], unit[items]
    slope = x.new_full((batch, 1), 1.0 / tau)
    if user_tau is not None:
        slope = (1.0 / user_tau.to(x)).view(batch, 1)
    offset, half = x.new_zeros(batch, 1), 0.0
    centre = 0.0
    if log_q is not None:
        raw = -log_q.double()
        low, high = (value.item() for value in torch.aminmax(raw))
        centre, half = (low + high) / 2, (high - low) / 2
        offset = (raw - centre).to(x).view(batch, 1)
    # <user row, item row> / scale = slope cosine + offset, and no row is longer than 1 without the last columns.
    steepest = float(slope.max())
    scale = 1.0 / (steepest + half)
    item_length, shared = math.sqrt(scale * steepest), math.sqrt(scale * half)
    user_length = slope * (scale / item_length)
    offset = offset * (scale / shared) if shared > 0 else torch.zeros_like(offset)
    left = _completed(u * user_length, torch.full_like(offset, shared), at=0)
    right = _completed(v * item_length, offset, at=1)
    place = torch.arange(batch, device=x.device)
    value, grad = loss_and_grad(
        torch.cat([left, right]), place, place + batch, None, tau=scale, exponent=exponent,
        allow_bf16=allow_bf16, skip=skip,
    )  # fmt: skip
    # What lies along a unit row falls out below, so that the native gradient's own projection does no harm.
    grad = grad[:, : x.shape[1]]
    grad_u, grad_v = grad[:batch] * user_length, grad[batch:] * item_length
    if user_tau is not None:  # the positive at tau instead
        change = slope - 1.0 / tau
        cosine = (u.double() * v.double()).sum(1)
        value = value + total(cosine * change[:, 0].double()) / batch
        grad_u, grad_v = grad_u + change / batch * v, grad_v + change / batch * u
    compared = batch if batch > 1 else 0
    if skip is not None:
        compared -= _left_alone(skip, batch)
    value = value + exponent * centre * compared / batch - centre
    nodes = torch.cat([users, items])
    grad = through_unit(torch.cat([grad_u, grad_v]), torch.cat([u, v]), inverse[nodes])
    return value, add_rows(grad, nodes, len(x))


def _completed(rows: Tensor, column: Tensor, at: int) -> Tensor:
    """[n, dim + 3]: rows, column, and what brings each to length 1 in one of two columns, the other one zero."""
    square = rows.square().sum(1, keepdim=True) + column.square()
    rest = (1.0 - square).clamp(min=0).sqrt()
    zeros = torch.zeros_like(rest)
    return torch.cat([rows, column, *((rest, zeros) if at == 0 else (zeros, rest))], dim=1)


def _left_alone(skip: Tensor, batch: int) -> int:
    """How many users of a batch of two or more have no other item left to be compared with."""
    if batch < 2:
        return 0
    place = torch.arange(batch, device=skip.device)
    bits = torch.ones((), dtype=torch.int32, device=skip.device) << place.to(torch.int32) % 32
    full = skip.clone()
    full[place, place // 32] |= bits
    if batch % 32:
        full[:, -1] |= -1 << batch % 32
    return int((full == -1).all(1).sum())


def _check(
    x: Tensor,
    users: Tensor,
    items: Tensor,
    tau: float,
    user_tau: Tensor | None,
    log_q: Tensor | None,
) -> int:
    op = "corrected_softmax_loss_and_grad"
    if x.dim() != 2 or users.dim() != 1 or items.shape != users.shape:
        raise ValueError(
            f"{op}: x must be 2-D, users and items 1-D and of one length, got shapes "
            f"{list(x.shape)}, {list(users.shape)}, {list(items.shape)}"
        )
    if not tau > 0:
        raise ValueError(f"{op}: tau must be positive, got {tau}")
    for name, values in (("user_tau", user_tau), ("log_q", log_q)):
        if values is not None and values.shape != users.shape:
            raise ValueError(f"{op}: {name} must be [{len(users)}], got {list(values.shape)}")
    if user_tau is not None and not bool((user_tau > 0).all()):
        raise ValueError(f"{op}: user_tau must be positive, got {float(user_tau.min())}")
    if log_q is not None and not bool(torch.isfinite(log_q).all()):
        raise ValueError(f"{op}: log_q must be finite")
    for name, ids in (("users", users), ("items", items)):
        if ids.numel():
            low, high = (int(value) for value in torch.aminmax(ids))
            if low < 0 or high >= len(x):
                bad = low if low < 0 else high
                raise IndexError(f"{op}: {name} must be in [0, {len(x)}), got {bad}")
    return len(users)
