"""Plain-torch twin of the whole training step; see ltgnn.ops.reference for the others."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn.ops import reference
from ltgnn.ops.seeds import mix_seed


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
) -> Tensor:
    """Forward, loss and update of the distinct nodes of a batch, in place; the loss."""
    done = int(counter)
    if not 0 <= done < 2**62:
        raise ValueError(f"counter must be in [0, 2^62), got {done}")
    if not len(users) == len(items) == len(negatives):
        raise ValueError("users, items and negatives must be equally long")
    nodes = torch.cat([users, items, negatives])
    reference.take(e0, nodes)  # refuses a node that is none
    rows, positions, occurrences = torch.unique(nodes, return_inverse=True, return_counts=True)
    out, h = reference.ltgnn_forward_(
        indptr, indices, scale, rows, e0, z, delta, history_sum, g, alpha, c0, fanout,
        mix_seed(seed, done), self_loops,
    )  # fmt: skip
    with torch.enable_grad():
        leaf = out.detach().requires_grad_()
        loss = reference.bpr_loss(leaf, *positions.view(3, -1))
        (grad,) = torch.autograd.grad(loss, leaf)
    reference.ltgnn_update_(
        rows, grad, h if g is not None else None, e0, m, v, g, delta if z is None else None,
        occurrences.to(out.dtype) * (l2 / max(1, len(users))), alpha, c0, faithful, done + 1, lr,
        beta1, beta2, eps,
    )  # fmt: skip
    counter += 1
    return loss.detach()
