"""neyman_fanout: how many neighbours each row should draw, within a budget."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn.ops.csr import Csr, SupportsCsr
from ltgnn.ops.propagate import propagate

MAX_FANOUT = 256
_HALVINGS = 40  # of the bracket of the factor
_UNIT = 2**20  # frequencies as whole numbers: their sums are exact, in any order


def neyman_fanout(
    graph: SupportsCsr,
    length: Tensor,
    *,
    budget: float,
    frequency: Tensor | None = None,
    by_importance: bool = False,
    self_loops: bool = False,
) -> Tensor:
    """Share out a budget of drawn neighbours among the rows, so that the summed variance is least.

    The sampled sum of row r, `s_r sum_j t_j x_j` over its neighbours, has variance about `sigma_r^2 / S_r`, with
    `sigma_r^2 = s_r^2 degree_r sum_j t_j^2 |x_j|^2` where neighbours are drawn uniformly and
    `sigma_r = s_r sum_j t_j |x_j|` where they are drawn in proportion to `t_j |x_j|`. Neyman's allocation takes
    S_r in proportion to sigma_r, within [1, degree_r]: at the upper end the row is exact.

    Args:
        graph: the graph, with the CSR protocol; normalised from its degrees.
        length: [num_cols], floating point, the |x_j|, finite and not negative. Ones: by degree alone.
        budget: mean of S_r over targets, at least 0. Where the rows' mean degree is no more, all are exact (but
            for those of more than 256 neighbours, the most that can be drawn).
        frequency: [num_rows], floating point, in [0, 1]: how often a row is a target; None: all alike.
        by_importance: the variance is that of draws by importance.
        self_loops: of the normalisation.

    Returns:
        [num_rows], int16, in [0, 256], with `sum f_r S_r <= budget sum f_r`, f the frequency to six digits, unless
        one neighbour each is more than that already. A row with neighbours draws one at least where the budget is
        not 0: with none it would be biased.

    Raises:
        ValueError: a shape or setting is wrong.

    Complexity: O(num_edges + 40 num_rows).

    Source: Neyman, J. Royal Stat. Soc. 97 (1934).

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0, 0, 0, 1], [0, 1, 2, 3, 0])
        >>> ltgnn.ops.neyman_fanout(graph, torch.ones(6), budget=1.5)
        tensor([3, 1, 2, 1, 1, 1], dtype=torch.int16)
    """
    csr = graph.csr(dtype=torch.float32, self_loops=self_loops, normalized=True)
    num_rows = len(csr.indptr) - 1
    for name, vector, size in (
        ("length", length, csr.num_cols),
        ("frequency", frequency, num_rows),
    ):
        if vector is not None and vector.shape != (size,):
            raise ValueError(f"neyman_fanout: {name} must be [{size}], got {list(vector.shape)}")
    if not 0 <= budget < float("inf"):
        raise ValueError(f"neyman_fanout: budget must be finite and not negative, got {budget}")
    largest = float(length.max()) if length.numel() else 0.0
    if length.numel() and not (float(length.min()) >= 0 and largest < float("inf")):  # also NaN
        raise ValueError(
            "neyman_fanout: length must be finite and not negative, got "
            f"{float(length.min())} to {largest}"
        )
    most = csr.indptr.diff().clamp(max=MAX_FANOUT)
    if budget == 0 or num_rows == 0:
        return torch.zeros_like(most, dtype=torch.int16)
    # In parts of the largest: the squares of any others may overflow, or be none.
    sigma = _sigma(csr, (length.double() / (largest or 1.0)).float(), by_importance)
    share = torch.ones_like(sigma) if frequency is None else frequency
    weight = (share.double() * _UNIT).long().clamp(min=1)
    allowed = int(budget * int(weight.sum()))

    def drawn(factor: float) -> Tensor:
        # Bounds first: the product may overflow, never where it is not clipped anyway.
        rounded = (sigma * factor).clamp(max=float(MAX_FANOUT)).round().to(torch.int64)
        return torch.minimum(rounded.clamp(min=1), most)

    if int((weight * most).sum()) <= allowed:
        return most.to(torch.int16)
    positive = sigma[sigma > 0]
    if not positive.numel():
        return most.clamp(max=max(1, int(budget))).to(torch.int16)
    low, high = 0.25 / float(positive.max()), 2.0 * MAX_FANOUT / float(positive.min())
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        if int((weight * drawn(middle)).sum()) <= allowed:
            low = middle
        else:
            high = middle
    return drawn(low).to(torch.int16)


def _sigma(csr: Csr, length: Tensor, by_importance: bool) -> Tensor:
    """[num_rows]: the root of the variance of one draw."""
    moved = length if csr.col_scale is None else length * csr.col_scale
    plain = Csr(csr.indptr, csr.indices, csr.num_cols)
    column = (moved if by_importance else moved.square())[:, None].contiguous()
    total = propagate(plain, column)[:, 0]
    if not by_importance:
        total = (total * csr.indptr.diff()).sqrt()
    return total if csr.row_scale is None else total * csr.row_scale
