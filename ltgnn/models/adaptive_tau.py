"""A temperature for each user, from how hard its items are to find (Adap-tau, Chen et al., WWW 2023)."""

from __future__ import annotations

import math

import torch
from scipy.special import lambertw
from torch import Tensor, nn

from ltgnn.ops.elementwise import exp, log, total
from ltgnn.ops.pair_scores import pair_scores
from ltgnn.ops.row_sums import add_rows
from ltgnn.ops.sampled_losses import unit_rows

COMPARED = (
    128  # items of a batch that stand for all of it, so that the record is linear in the batch
)


class AdaptiveTau(nn.Module):
    """Temperatures `tau exp(W(max((l_u - mean l) / beta, -1/e)))`, W the principal branch of Lambert's function.

    `l_u` is the mean over a user's pairs in an epoch of the softmax loss at temperature 1, `-c_up + log sum_j
    exp(c_uj)`; a user whose positives are hard to tell from the rest gets a higher temperature, at least tau / e.
    The whole state is in buffers. `tau` itself stays as it is set: the part of the paper that finds it is not here.

    Args:
        num_users: so many temperatures.
        tau: temperature of everybody in the first epoch, and of who was not seen in the last.
        beta: how much a loss has to differ to matter.
        device: where they live.

    Example:
        >>> import torch
        >>> taus = AdaptiveTau(2, tau=0.1, beta=1.0, device=torch.device("cpu"))
        >>> x, ids = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
        >>> taus.record(x, torch.tensor([0, 0]), ids, ids)  # user 0 agrees with its item, user 1 does not
        >>> taus.update()
        >>> bool(taus.user_tau[0] < 0.1 < taus.user_tau[1])
        True
    """

    loss_sum: Tensor
    loss_count: Tensor
    user_tau: Tensor

    def __init__(self, num_users: int, tau: float, beta: float, device: torch.device) -> None:
        super().__init__()
        self.tau = tau
        self.beta = beta
        zeros = torch.zeros(num_users, dtype=torch.float64, device=device)
        self.register_buffer("loss_sum", zeros)
        self.register_buffer("loss_count", zeros.clone())
        self.register_buffer("user_tau", torch.full_like(zeros, tau, dtype=torch.float32))

    @torch.no_grad()
    def record(self, out: Tensor, places: Tensor, item_places: Tensor, users: Tensor) -> None:
        """Add the losses of a batch to its users'.

        Args:
            out: [num_rows, dim], float: the batch's outputs.
            places, item_places: [batch], int64: rows of out of each pair's user and item.
            users: [batch], int64: user numbers.

        Complexity: O(batch (dim + log(batch))), against the first 128 items of the batch.
        """
        batch = len(users)
        if batch < 2:
            return
        unit, _ = unit_rows(out)
        compared = min(batch, COMPARED)
        own = torch.arange(batch, device=users.device)
        ids = torch.cat([item_places[:, None], item_places[:compared].expand(batch, -1)], dim=1)
        cosines = pair_scores(unit[places], unit, ids).double()
        terms = exp(cosines[:, 1:].contiguous())
        terms[own[:compared], own[:compared]] = 0.0  # the positive is not its own negative
        others = compared - (own < compared).double()
        losses = log(terms.sum(1) * ((batch - 1) / others)) - cosines[:, 0]
        distinct, place = torch.unique(users, return_inverse=True)
        sums = add_rows(torch.stack([losses, torch.ones_like(losses)], 1), place, len(distinct))
        self.loss_sum[distinct] += sums[:, 0]
        self.loss_count[distinct] += sums[:, 1]

    @torch.no_grad()
    def update(self) -> None:
        """New temperatures from what was recorded since the last update."""
        seen = torch.nonzero(self.loss_count).flatten()
        self.user_tau.fill_(self.tau)
        if len(seen):
            mean = self.loss_sum[seen] / self.loss_count[seen]
            hardness = (mean - total(mean) / len(seen)) / self.beta
            hardness = hardness.clamp(-1.0 / math.e + 1e-12, 1000.0).cpu()
            powers = exp(torch.from_numpy(lambertw(hardness.numpy()).real))
            self.user_tau[seen] = (self.tau * powers).to(self.user_tau)
        self.loss_sum.zero_()
        self.loss_count.zero_()
