"""accidental_hits: items of a batch that its other users have, too."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn import _library as _library
from ltgnn.ops.registration import register_fake, require_one_device


def accidental_hits(
    indptr: Tensor,
    indices: Tensor,
    users: Tensor,
    items: Tensor,
    num_items: int,
    *,
    first_item: int = 0,
) -> Tensor:
    """Which of a batch's items each of its users has: pairs that a loss should not take for negatives.

    In-batch losses compare a pair with the items of all other pairs. Some of those the user is known to like: the
    accidental hits of sampled softmax (Jean et al., ACL 2015, arXiv 1412.2007, and TensorFlow's name for them).

    Args:
        indptr: [num_users + 1], int64.
        indices: [num_edges], int32 or int64, item numbers plus `first_item`, sorted for each user.
        users, items: [batch], int64.
        num_items: number of items, below 2**31.
        first_item: what `indices` has added to an item's number, below 2**31: in a graph's, the number of users.

    Returns:
        [batch, ceil(batch / 32)], int32, what `skip` of `in_batch_softmax_loss` takes: bit `j % 32` of word
        `[b, j // 32]` is set where `users[b]` has `items[j]`; bits past the batch are 0.

    Raises:
        ValueError, IndexError: a shape, dtype, row pointer, user or item is wrong.

    Complexity: O(min(degree, batch log(degree))) for each user.

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0, 1], [0, 1, 1])
        >>> users, items = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])
        >>> ltgnn.ops.accidental_hits(
        ...     graph.user_indptr, graph.user_items, users, items, graph.num_items
        ... ).flatten()
        tensor([7, 7, 6], dtype=torch.int32)
    """
    result: Tensor = torch.ops.ltgnn.accidental_hits(
        indptr, indices, users, items, num_items, first_item
    )
    return result


@register_fake("accidental_hits")
def _(
    indptr: Tensor,
    indices: Tensor,
    users: Tensor,
    items: Tensor,
    num_items: int,
    first_item: int = 0,
) -> Tensor:
    require_one_device("accidental_hits", indptr, indices, users, items)
    batch = users.shape[0]
    return users.new_empty((batch, (batch + 31) // 32), dtype=torch.int32)
