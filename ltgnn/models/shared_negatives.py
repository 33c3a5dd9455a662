"""The loss of every user of a batch against every negative that the batch shares, and its gradient."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ltgnn.ops.row_blocks import row_blocks

# Scores that are held at once: torch gives so few to one thread, and cuts no sum so short. So a tile has the same
# bits for any number of threads, and they share out the rows of tiles.
TILE_ROWS, TILE_COLUMNS = 127, 256


def shared_negatives_loss(
    user: Tensor, item: Tensor, of_user: Tensor, of_item: Tensor, of_all: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """`sum_uj (of_user_u of_item_j + of_all_j) softplus(user_u . item_j)` and its gradient.

    Args:
        user: [num_users, dim], float32; requires no grad.
        item: [num_items, dim], likewise.
        of_user: [num_users].
        of_item, of_all: [num_items].

    Returns:
        (the sum, float64; its gradient for `user`; for `item`), the same bits for any number of threads.

    Complexity: O(num_users * num_items * dim); the scores are held tile by tile.

    Example:
        >>> loss, of_user, of_item = shared_negatives_loss(
        ...     torch.zeros(2, 3), torch.ones(4, 3), torch.ones(2), torch.ones(4), torch.zeros(4))
        >>> loss, of_user[0], of_item[0]
        (tensor(5.5452, dtype=torch.float64), tensor([2., 2., 2.]), tensor([0., 0., 0.]))
    """
    grad_user = torch.zeros_like(user)

    def one_row_of_tiles(part: slice) -> tuple[Tensor, Tensor]:
        loss, grad = (
            torch.zeros((), dtype=torch.float64, device=user.device),
            torch.empty_like(item),
        )
        for some in row_blocks(len(item), TILE_COLUMNS):
            scores = user[part] @ item[some].T
            weights = torch.outer(of_user[part], of_item[some]).add_(of_all[some])
            loss += (weights * softplus(scores)).double().sum()
            weights *= scores.sigmoid_()
            grad_user[part] += weights @ item[some]
            torch.matmul(weights.T, user[part], out=grad[some])
        return loss, grad

    loss, grad_item = (
        torch.zeros((), dtype=torch.float64, device=user.device),
        torch.zeros_like(item),
    )
    threads = torch.get_num_threads() if user.device.type == "cpu" else 1
    with ThreadPoolExecutor(threads) as pool:
        for of_row, grad in pool.map(one_row_of_tiles, row_blocks(len(user), TILE_ROWS)):
            loss += of_row
            grad_item += grad
    return loss, grad_user, grad_item
