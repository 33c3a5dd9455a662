"""How much the length of an item's embedding counts in its score."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def with_length_exponent(items: Tensor, exponent: float) -> Tensor:
    """Items with their lengths to some power, in their own directions.

    With losses on cosines lengths are by-products of training that grow with popularity, by and by more than
    ranking wants: an exponent below 1 takes some of that back.

    Args:
        items: [num_items, dim], any float type.
        exponent: 1: the same tensor; 0: all lengths are 1; an item of length 0 stays 0.

    Returns:
        [num_items, dim], the same bits for any number of threads.

    Example:
        >>> with_length_exponent(torch.tensor([[9.0, 0.0], [0.0, 0.0]]), 0.5)
        tensor([[3., 0.],
                [0., 0.]])
    """
    if exponent == 1.0:
        return items
    lengths = items.double().norm(dim=1).cpu().numpy()
    # numpy's power: torch's takes other instructions where its threads' shares end.
    with np.errstate(divide="ignore"):
        factors = np.where(lengths > 0, np.power(lengths, exponent - 1.0), 0.0)
    return items * torch.from_numpy(factors).to(items)[:, None]
