"""Plain-torch twins of the training step and its parts; see ltgnn.ops.reference for the others."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn.ops.reference import as_sums, sample_aggregate, take
from ltgnn.ops.reference_losses import bpr_loss
from ltgnn.ops.seeds import mix_seed


def adam_(
    param: Tensor,
    m: Tensor,
    v: Tensor,
    grad: Tensor,
    rows: Tensor | None,
    l2: Tensor | None,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """Adam on the whole table or on `rows` of it, in place, with L2 in the gradient."""
    rows = torch.arange(len(param)) if rows is None else rows
    old = as_sums(take(param, rows))
    if l2 is not None:
        grad = grad + l2[:, None] * old
    new_m = beta1 * as_sums(take(m, rows)) + (1 - beta1) * grad
    new_v = beta2 * as_sums(take(v, rows)) + (1 - beta2) * grad**2
    m[rows], v[rows] = new_m.to(m.dtype), new_v.to(v.dtype)
    corrected = new_v / (1 - beta2**step)
    new = old - lr / (1 - beta1**step) * new_m / (corrected.sqrt() + eps)
    param[rows] = new.to(param.dtype)


def ltgnn_forward_(
    indptr: Tensor,
    indices: Tensor,
    scale: Tensor | None,
    rows: Tensor,
    e0: Tensor,
    z: Tensor | None,
    delta: Tensor,
    history_sum: Tensor,
    g: Tensor | None,
    alpha: float,
    c0: float,
    fanout: int,
    seed: int,
    self_loops: bool,
    row_fanout: Tensor | None = None,
    edge_starts: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One sampled step of the fixed point on distinct `rows`; writes z, if given, and delta."""
    x, h = sample_aggregate(
        indptr, indices, scale, scale, rows, as_sums(delta), None, as_sums(history_sum),
        None if g is None else as_sums(g), fanout, seed, self_loops, row_fanout, edge_starts,
    )  # fmt: skip
    own = as_sums(e0[rows])
    z_new = (1 - alpha) * x + alpha * own
    if z is not None:
        moved = as_sums(z_new.to(z.dtype)) - as_sums(z[rows])
        delta[rows] = (as_sums(delta[rows]) + moved).to(delta.dtype)
        z[rows] = z_new.to(z.dtype)
    return (z_new - c0 * own) / (1 - c0), h


def ltgnn_update_(
    rows: Tensor,
    grad: Tensor,
    h: Tensor | None,
    e0: Tensor,
    m: Tensor,
    v: Tensor,
    g: Tensor | None,
    delta: Tensor | None,
    l2: Tensor | None,
    alpha: float,
    c0: float,
    faithful: bool,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """The implicit gradient of e0 on distinct `rows`, then `adam_` on them; all in place."""
    old = take(e0, rows)
    d = grad / (1 - c0)
    implicit = alpha * d if h is None else alpha * d + (1 - alpha) * h
    if g is not None:
        g[rows] = ((1 - c0) * implicit if faithful else implicit).to(g.dtype)
    adam_(e0, m, v, implicit - c0 * d, rows, l2, step, lr, beta1, beta2, eps)
    if delta is not None:
        moved = as_sums(e0[rows]) - as_sums(old)
        delta[rows] = (as_sums(delta[rows]) + moved).to(delta.dtype)


def ltgnn_bpr_step_(
    indptr: Tensor,
    indices: Tensor,
    scale: Tensor | None,
    users: Tensor,
    items: Tensor,
    negatives: Tensor,
    e0: Tensor,
    z: Tensor | None,
    delta: Tensor,
    history_sum: Tensor,
    g: Tensor | None,
    m: Tensor,
    v: Tensor,
    counter: Tensor,
    alpha: float,
    c0: float,
    fanout: int,
    seed: int,
    self_loops: bool,
    l2: float,
    faithful: bool,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    row_fanout: Tensor | None = None,
    edge_starts: Tensor | None = None,
) -> Tensor:
    """Forward, loss and update of the distinct nodes of a batch, in place; the loss."""
    done = int(counter)
    if not 0 <= done < 2**62:
        raise ValueError(f"counter must be in [0, 2^62), got {done}")
    if not len(users) == len(items) == len(negatives):
        raise ValueError("users, items and negatives must be equally long")
    nodes = torch.cat([users, items, negatives])
    take(e0, nodes)  # refuses a node that is none
    rows, positions, occurrences = torch.unique(nodes, return_inverse=True, return_counts=True)
    out, h = ltgnn_forward_(
        indptr, indices, scale, rows, e0, z, delta, history_sum, g, alpha, c0, fanout,
        mix_seed(seed, done), self_loops, row_fanout, edge_starts,
    )  # fmt: skip
    with torch.enable_grad():
        leaf = out.detach().requires_grad_()
        loss = bpr_loss(leaf, *positions.view(3, -1))
        (grad,) = torch.autograd.grad(loss, leaf)
    ltgnn_update_(
        rows, grad, h if g is not None else None, e0, m, v, g, delta if z is None else None,
        occurrences.to(out.dtype) * (l2 / max(1, len(users))), alpha, c0, faithful, done + 1, lr,
        beta1, beta2, eps,
    )  # fmt: skip
    counter += 1
    return loss.detach()
