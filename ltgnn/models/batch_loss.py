"""The configured loss of a batch, over the rows of its nodes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.models.adaptive_tau import AdaptiveTau
from ltgnn.models.batch import Batch
from ltgnn.models.negatives import mixing_shares
from ltgnn.ops import (
    accidental_hits,
    corrected_softmax_loss_and_grad,
    loss_and_grad,
    sampled_loss_and_grad,
)


def batch_loss_and_grad(
    config: Any,
    graph: BipartiteGraph,
    out: Tensor,
    positions: list[Tensor],
    batch: Batch,
    *,
    adaptive_tau: AdaptiveTau | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean loss of a batch and its gradient for `out`.

    Args:
        config: a `ModelConfig`.
        graph: of the training pairs.
        out: [num_rows, dim], outputs of nodes.
        positions: rows of `out` of users [batch], items [batch] and, for a loss that samples them, negatives.
        batch: the users and items that these are.
        adaptive_tau: the users' temperatures, where the config wants them; the batch is recorded there.

    Returns:
        (loss, scalar float64; dL/dout [num_rows, dim]).
    """
    users, items = positions[:2]
    if config.samples_negatives:
        return _sampled(config, out, positions, batch)
    settings = {"tau": config.tau, "exponent": config.exponent, "allow_bf16": config.allow_bf16}
    skip = None
    if config.remove_accidental_hits:
        skip = accidental_hits(
            graph.user_indptr, graph.indices[: graph.num_edges], batch.users.contiguous(),
            batch.items.contiguous(), graph.num_items, first_item=graph.num_users,
        )  # fmt: skip
    if not config.log_q and adaptive_tau is None:
        return loss_and_grad(out, users, items, None, skip=skip, **settings)
    user_tau = None
    if adaptive_tau is not None:
        user_tau = adaptive_tau.user_tau[batch.users]
        adaptive_tau.record(out, users, items, batch.users)
    return corrected_softmax_loss_and_grad(
        out, users, items, user_tau=user_tau, log_q=batch.log_q if config.log_q else None,
        skip=skip, **settings,
    )  # fmt: skip


def _sampled(
    config: Any, out: Tensor, positions: list[Tensor], batch: Batch
) -> tuple[Tensor, Tensor]:
    users, items, negatives = positions
    if config.loss == "bpr" and negatives.dim() == 1 and not config.positive_mixing:
        return loss_and_grad(out, users, items, negatives)
    negatives = negatives.view(len(users), config.negatives_per_pair)
    mixing = None
    if config.positive_mixing:
        mixing = mixing_shares(negatives.shape, config.positive_mixing, batch.seed, out.device)
    return sampled_loss_and_grad(
        out, users, items, negatives, loss=config.loss, margin=config.margin,
        negative_weight=config.weight_of_negatives, mixing=mixing,
    )  # fmt: skip
