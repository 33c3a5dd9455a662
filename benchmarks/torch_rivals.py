"""What one would write in plain torch: draws of neighbours."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_with_replacement(begin: Tensor, degree: Tensor, indices: Tensor, fanout: int) -> Tensor:
    """[rows, fanout], int64: uniform neighbours of rows with these first edges and degrees; -1 for none."""
    draws = torch.rand(len(begin), fanout, device=begin.device)
    place = (draws * degree[:, None]).long().clamp_(max=degree.max() - 1)
    edge = (begin[:, None] + place).clamp_(max=len(indices) - 1)
    return torch.where(degree[:, None] > 0, indices[edge].long(), -1)
