"""negative_sample: uniform items that a user does not have."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn import _library as _library
from ltgnn.ops.registration import register_fake, require_one_device


def negative_sample(
    indptr: Tensor,
    indices: Tensor,
    users: Tensor,
    num_items: int,
    *,
    seed: int,
    first_item: int = 0,
) -> Tensor:
    """Draw for each of `users` one item that the user does not have, uniformly.

    By rank among the missing items, not by rejection: the cost does not grow for a user who owns nearly
    everything, and one who owns everything gets -1.

    Args:
        indptr: [num_users + 1], int64.
        indices: [num_edges], int32 or int64, item numbers plus `first_item`, sorted and distinct for each user.
        users: [num_draws], int64.
        num_items: number of items, below 2**31.
        seed: int64; draw k depends on (seed, k) only.
        first_item: what `indices` has added to an item's number, below 2**31: in a graph's, the number of users.

    Returns:
        [num_draws], int64.

    Raises:
        ValueError, IndexError: a shape, dtype, row pointer or user is wrong.

    Complexity: O(num_draws * log(degree)).

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0, 1], [0, 1, 1])
        >>> users = torch.tensor([0, 1])
        >>> ltgnn.ops.negative_sample(graph.user_indptr, graph.user_items, users, 2, seed=0)
        tensor([-1,  0])
    """
    result: Tensor = torch.ops.ltgnn.negative_sample(
        indptr, indices, users, num_items, seed, first_item
    )
    return result


@register_fake("negative_sample")
def _(
    indptr: Tensor, indices: Tensor, users: Tensor, num_items: int, seed: int, first_item: int = 0
) -> Tensor:
    require_one_device("negative_sample", indptr, indices, users)
    return users.new_empty((users.shape[0],))
