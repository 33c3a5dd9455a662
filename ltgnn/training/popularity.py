"""Negatives in proportion to popularity, exactly and without rejection; and how often items are in batches."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.ops import Csr, propagate

POWER = 0.75  # of the degree: Mikolov et al., "Distributed representations of words and phrases", NIPS 2013
_UNIT = (
    1 << 20
)  # weights are whole numbers of this part of the weight of degree 1: their sums are exact
_AT_ONCE = 1 << 20  # interactions that are weighed at once


class PopularityNegatives:
    """Draws items that a user lacks, each with probability proportional to degree^0.75.

    As `negative_sample` does by rank, here by weight: a number below the weight of what the user lacks is drawn,
    and the item found that it falls on, by bisection in the user's items and then among all items. So a user who
    owns nearly everything costs no more, and one who owns everything gets -1. Weights are rounded to 2^-20; an item
    that nobody has weighs 2^-20, so that who owns all others gets such a one.

    Holds 8 bytes an interaction and 16 an item.

    Args:
        graph: the training graph.

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 1, 1], [0, 0, 1], num_items=2)
        >>> PopularityNegatives(graph).draw(torch.tensor([0, 1]), seed=0)
        tensor([ 1, -1])
    """

    def __init__(self, graph: BipartiteGraph) -> None:
        self._graph = graph
        degrees = graph.degrees[graph.num_users :]
        weights = (degrees.double().pow(POWER) * _UNIT).round().clamp(min=1).to(torch.int64)
        self._below = torch.cumsum(weights, 0)  # weight of the items up to and with each
        owned = graph.indices[: graph.num_edges]
        # Of all users in a row; it may run over 2^63 and back, the differences within a row are right.
        self._owned_below = torch.zeros(len(owned) + 1, dtype=torch.int64, device=owned.device)
        for begin in range(0, len(owned), _AT_ONCE):
            part = weights[owned[begin : begin + _AT_ONCE].long() - graph.num_users]
            end = begin + len(part)
            torch.cumsum(part, 0, out=self._owned_below[begin + 1 : end + 1])
            self._owned_below[begin + 1 : end + 1] += self._owned_below[begin]
        most = int(graph.degrees[: graph.num_users].max()) if graph.num_users else 0
        self._halvings = most.bit_length()

    def draw(self, users: Tensor, *, seed: int) -> Tensor:
        """An item that each user lacks, or -1.

        Args:
            users: [num_draws], int64.
            seed: any non-negative int; with the number of draws it decides all of them.

        Returns:
            [num_draws], int64.

        Complexity: O(num_draws (log(degree) + log(num_items))).
        """
        graph = self._graph
        if not len(users) or not len(self._below):
            return torch.full_like(users, -1)
        begin, end = graph.user_indptr[users], graph.user_indptr[users + 1]
        before = self._owned_below[begin]
        lacking = self._below[-1] - (self._owned_below[end] - before)
        generator = torch.Generator().manual_seed(seed)
        share = torch.rand(len(users), generator=generator, dtype=torch.float64).to(users.device)
        at = torch.minimum((share * lacking.double()).long(), lacking - 1)
        # The first owned item that has more than `at` of lacking weight before it.
        low, high = begin, end
        for _ in range(self._halvings):
            middle = (low + high) // 2
            inside = middle < high
            place = torch.where(inside, middle, 0)  # any place: it is not used
            item = graph.indices[place].long() - graph.num_users
            passed = self._below[item] - (self._owned_below[place + 1] - before)
            goes_up = inside & (passed <= at)
            low = torch.where(goes_up, middle + 1, low)
            high = torch.where(inside & ~goes_up, middle, high)
        weight = at + (self._owned_below[low] - before)
        items = torch.searchsorted(self._below, weight, right=True)
        return torch.where(lacking > 0, items, -1)


def item_log_probabilities(graph: BipartiteGraph, sampling: str) -> Tensor:
    """[num_items], float64: the logarithm of the probability that one pair of a batch has the item; -inf for none.

    Args:
        graph: the training graph.
        sampling: 'interactions': degree / num_edges; 'users': the mean over users with items of 1 / degree where
            the user has the item.

    Complexity: O(num_edges).

    Example:
        >>> import ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0, 1], [0, 1, 1])
        >>> item_log_probabilities(graph, "interactions").exp()
        tensor([0.3333, 0.6667], dtype=torch.float64)
        >>> item_log_probabilities(graph, "users").exp()
        tensor([0.2500, 0.7500], dtype=torch.float64)
    """
    degrees = graph.degrees.double()
    if sampling == "interactions":
        return torch.log(degrees[graph.num_users :]) - math.log(max(1, graph.num_edges))
    share = torch.where(degrees > 0, 1.0 / degrees, 0.0)
    share[graph.num_users :] = 0.0
    active = max(1, int((degrees[: graph.num_users] > 0).sum()))
    drawn = propagate(Csr(graph.indptr, graph.indices, graph.num_nodes), share[:, None])
    return torch.log(drawn[graph.num_users :, 0] / active)
