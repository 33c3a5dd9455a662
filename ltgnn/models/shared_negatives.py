"""The loss of every user of a batch against every negative that the batch shares, and its gradient."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from ltgnn.ops import weighted_softplus_
from ltgnn.ops.elementwise import total
from ltgnn.ops.row_blocks import row_blocks

# Scores that a thread holds at once, half a MB. Threads share out the rows of tiles, and each works alone on its
# tiles, so that all is added up in the same order for any number of them.
TILE_ROWS, TILE_COLUMNS = 256, 512


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

    def row_of_tiles(part: slice) -> tuple[Tensor, Tensor]:
        rows = part.stop - part.start
        losses, grad = user.new_zeros(rows, dtype=torch.float64), torch.empty_like(item)
        # Once for all tiles: fresh memory for each costs page faults.
        held = user.new_empty(rows * TILE_COLUMNS)
        for some in row_blocks(len(item), TILE_COLUMNS):
            shape = rows, some.stop - some.start
            scores = held[: shape[0] * shape[1]].view(shape)
            torch.mm(user[part], item[some].T, out=scores)
            losses += weighted_softplus_(scores, of_user[part], of_item[some], of_all[some])
            grad_user[part].addmm_(scores, item[some])
            torch.mm(scores.T, user[part], out=grad[some])
        return total(losses), grad

    parts = list(row_blocks(len(user), TILE_ROWS))
    if user.device.type == "cpu":
        workers = max(1, min(torch.get_num_threads(), len(parts)))
        threads = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(
                workers, initializer=torch.set_num_threads, initargs=(1,)
            ) as pool:
                found = list(pool.map(row_of_tiles, parts))
        finally:
            # The caller's own setting stood; what threads that begin from now on take did not.
            torch.set_num_threads(threads)
    else:
        found = [row_of_tiles(part) for part in parts]
    loss, grad_item = (
        torch.zeros((), dtype=torch.float64, device=user.device),
        torch.zeros_like(item),
    )
    for of_row, grad in found:
        loss += of_row
        grad_item += grad
    return loss, grad_user, grad_item
