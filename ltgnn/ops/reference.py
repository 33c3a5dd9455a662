"""Plain-torch twins of the native operators: what each computes, and the oracle of the tests.

A twin takes the arguments of the operator in csrc/library.cpp under the same names. It is written
to be read, not to be fast, works in any floating dtype, and refuses an index that is out of range.
Where an operator returns a gradient, its twin returns only the value: autograd does the rest.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_MASK = 0xFFFFFFFF


def take(table: Tensor, ids: Tensor) -> Tensor:
    """`table[ids]`, but a negative id is an error, not a count from the end."""
    if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= len(table)):
        raise IndexError(f"ids must be in [0, {len(table)}), got {ids.min()} to {ids.max()}")
    return table[ids.long()]


def as_sums(table: Tensor) -> Tensor:
    """A table as sums over it are held: float32 for bfloat16. Results are rounded to it when they are stored."""
    return table.to(torch.promote_types(table.dtype, torch.float32))


def edge_rows(indptr: Tensor, indices: Tensor) -> Tensor:
    """[num_edges]: the row of each edge; raises where `indptr` describes no matrix."""
    if int(indptr[0]) != 0 or int(indptr[-1]) != len(indices) or bool((indptr.diff() < 0).any()):
        raise ValueError("indptr must run from 0 to the number of edges and never decrease")
    return torch.repeat_interleave(torch.arange(len(indptr) - 1), indptr.diff())


def propagate(
    indptr: Tensor,
    indices: Tensor,
    weight: Tensor | None,
    row_scale: Tensor | None,
    col_scale: Tensor | None,
    x: Tensor,
    x0: Tensor | None,
    alpha: float,
    self_loops: bool,
    t_indptr: Tensor | None = None,
    t_indices: Tensor | None = None,
    t_perm: Tensor | None = None,
    rows: Tensor | None = None,
    t_rows: Tensor | None = None,
) -> Tensor:
    """`(1 - alpha) A x + alpha x0`; see csrc/kernels/propagate.h."""
    targets = edge_rows(indptr, indices)
    if rows is not None:
        targets = take(rows, targets)
    scaled = x if col_scale is None else x * col_scale[:, None]
    messages = take(scaled, indices)
    if weight is not None:
        messages = messages * weight[:, None]
    y = x.new_zeros(len(indptr) - 1, x.shape[1]).index_add(0, targets, messages.to(x.dtype))
    if self_loops:
        y = y + scaled
    if row_scale is not None:
        y = y * row_scale[:, None]
    y = (1.0 - alpha) * y
    return (y if x0 is None else y + alpha * x0).to(x.dtype)


def propagate_cusparse(
    indptr: Tensor,
    indices: Tensor,
    weight: Tensor,
    x: Tensor,
    x0: Tensor | None,
    alpha: float,
    **plans: object,
) -> Tensor:
    """The same of explicit values; plans and transposed matrices change nothing but the time."""
    return propagate(indptr, indices, weight, None, None, x, x0, alpha, False)


def edge_dot(
    indptr: Tensor,
    indices: Tensor,
    row_scale: Tensor | None,
    col_scale: Tensor | None,
    g: Tensor,
    x: Tensor,
    factor: float,
) -> Tensor:
    """`factor * row_scale[r] * col_scale[c] * <g[r], x[c]>` for each edge (r, c)."""
    rows = edge_rows(indptr, indices)
    dots = factor * (take(g, rows) * take(x, indices)).sum(1)
    if row_scale is not None:
        dots = dots * take(row_scale, rows)
    return dots if col_scale is None else dots * take(col_scale, indices)


def philox(seed: int, stream: int, counter: int) -> list[int]:
    """Philox4x32-10 (Salmon et al., SC 2011): four 32-bit words of stream `stream`."""
    c = [counter & _MASK, counter >> 32 & _MASK, stream & _MASK, stream >> 32 & _MASK]
    k = [seed & _MASK, seed >> 32 & _MASK]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ k[0], q & _MASK, p >> 32 ^ c[3] ^ k[1], p & _MASK]
        k = [(k[0] + 0x9E3779B9) & _MASK, (k[1] + 0xBB67AE85) & _MASK]
    return c


def draw(seed: int, stream: int, number: int, bound: int) -> int:
    """Draw `number` of a stream, in [0, bound)."""
    return philox(seed, stream, number // 4)[number % 4] * bound >> 32


def _sample_positions(degree: int, fanout: int, seed: int, row: int) -> list[int]:
    """Floyd's sample without replacement of positions in a row; the whole row if it is short."""
    if degree <= fanout:
        return list(range(degree))
    picks: list[int] = []
    for k in range(fanout):
        last = degree - fanout + k
        pick = draw(seed, row, k, last + 1)
        picks.append(last if pick in picks else pick)
    return picks


def row_of(indptr: Tensor, indices: Tensor, row: int) -> Tensor:
    """The indices of one row, after checks."""
    if int(indptr[0]) != 0 or int(indptr[-1]) != len(indices):
        raise ValueError("indptr must run from 0 to the number of edges")
    begin, end = take(indptr[:-1], torch.tensor([row])).item(), int(indptr[row + 1])
    if not 0 <= begin <= end <= len(indices):
        raise ValueError(f"row {row} runs from {begin} to {end}, of {len(indices)}")
    return indices[int(begin) : end].long()


def sample_neighbors(
    indptr: Tensor,
    indices: Tensor,
    rows: Tensor,
    num_cols: int,
    fanout: int,
    seed: int,
    row_fanout: Tensor | None = None,
    edge_starts: Tensor | None = None,
) -> Tensor:
    """[num_targets, fanout]: the neighbours drawn for each row; -1 past the number drawn."""
    drawing = (num_cols, fanout, seed, row_fanout, edge_starts)
    return _draw_neighbors(indptr, indices, rows, *drawing)[0]


def _draw_neighbors(
    indptr: Tensor,
    indices: Tensor,
    rows: Tensor,
    num_cols: int,
    fanout: int,
    seed: int,
    row_fanout: Tensor | None,
    edge_starts: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """What `sample_neighbors` returns, and what each drawn neighbour counts for, in float64."""
    if edge_starts is not None and edge_starts.shape != indices.shape:
        raise ValueError("edge_starts must have one element for each edge")
    if row_fanout is not None and len(row_fanout) != len(indptr) - 1:
        raise ValueError("row_fanout must have one element for each row")
    out = torch.full((len(rows), fanout), -1)
    counts_for = torch.zeros(len(rows), fanout, dtype=torch.float64)
    for k, row in enumerate(rows.tolist()):
        neighbors = row_of(indptr, indices, row)
        degree, own = len(neighbors), fanout if row_fanout is None else int(row_fanout[row])
        if not 0 <= own <= fanout:
            raise ValueError(f"row_fanout must be in [0, {fanout}], got {own} for row {row}")
        if edge_starts is None or degree <= own:
            picks = _sample_positions(degree, own, seed, row)
            weights = [degree / max(1, len(picks))] * len(picks)
        else:
            begin = int(indptr[row])
            starts = (edge_starts[begin : begin + degree].long() & _MASK).tolist()
            picks, weights = _weighted_positions(starts, own, seed, row)
        for j, pick in enumerate(picks):
            if not 0 <= neighbors[pick] < num_cols:
                raise IndexError(f"indices must be in [0, {num_cols}), got {neighbors[pick]}")
            out[k, j], counts_for[k, j] = neighbors[pick], weights[j]
    return out, counts_for


def _weighted_positions(
    starts: list[int], fanout: int, seed: int, row: int
) -> tuple[list[int], list[float]]:
    """The edges that stratified draws from [0, 2^31) fall on, and what each counts for."""
    borders, picks, weights = [0, *starts[1:], 2**31], [], []
    for k in range(fanout):
        place = ((k << 31) + (philox(seed, row, k // 4)[k % 4] >> 1)) // fanout
        low, high = (
            0,
            len(starts),
        )  # as the kernels go, so that a list in disorder gives the same edges
        while high - low > 1:
            middle = low + (high - low) // 2
            low, high = (middle, high) if borders[middle] <= place else (low, middle)
        picks.append(low)
        span = borders[high] - borders[low]
        weights.append(float(np.float32(2**31) / np.float32(span)) / fanout)
    return picks, weights


def sample_aggregate(
    indptr: Tensor,
    indices: Tensor,
    row_scale: Tensor | None,
    col_scale: Tensor | None,
    rows: Tensor,
    x: Tensor,
    history: Tensor | None,
    history_sum: Tensor | None,
    second: Tensor | None,
    fanout: int,
    seed: int,
    self_loops: bool,
    row_fanout: Tensor | None = None,
    edge_starts: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Sampled, variance-reduced rows of `A x`, and of `A second` over the same neighbours."""
    drawing = (len(x), fanout, seed, row_fanout, edge_starts)
    neighbors, counts_for = _draw_neighbors(indptr, indices, rows, *drawing)
    # A missing neighbour (-1) takes part as node 0 with weight 0, but node 0 may hold a NaN: mask.
    drawn = neighbors >= 0

    def aggregate(table: Tensor) -> Tensor:
        scaled = table if col_scale is None else table * col_scale[:, None]
        gathered = scaled.new_zeros(*neighbors.shape, table.shape[1])
        gathered[drawn] = scaled[neighbors[drawn]] * counts_for[drawn].to(table.dtype)[:, None]
        y = gathered.sum(1)
        if self_loops:
            y = y + take(scaled, rows)
        return y if row_scale is None else y * row_scale[rows][:, None]

    out = aggregate(x if history is None else x - history)
    if history_sum is not None:
        out = out + history_sum[rows]
    return out, x.new_empty(0, x.shape[1]) if second is None else aggregate(second)


def negative_sample(
    indptr: Tensor, indices: Tensor, users: Tensor, num_items: int, seed: int, first_item: int = 0
) -> Tensor:
    """[num_draws]: for draw k, a uniform member of the items that users[k] lacks; -1 for none."""
    out = torch.full((len(users),), -1)
    for k, user in enumerate(users.tolist()):
        owned = sorted({item - first_item for item in row_of(indptr, indices, user).tolist()})
        if owned and not 0 <= owned[0] <= owned[-1] < num_items:
            raise IndexError(f"items must be in [0, {num_items}), got {owned[0]} to {owned[-1]}")
        if len(owned) < num_items:
            item = draw(seed, k, 0, num_items - len(owned))
            for own in owned:  # past each owned item that is not above it: the item-th missing one
                item += own <= item
            out[k] = item
    return out


def is_negative(
    indptr: Tensor, indices: Tensor, users: Tensor, items: Tensor, num_items: int
) -> Tensor:
    """[num_draws], bool: items[k] is one that users[k] lacks, or -1 where there is none.

    Example:
        >>> indptr, indices = torch.tensor([0, 1, 3]), torch.tensor([0, 0, 1])
        >>> is_negative(indptr, indices, torch.tensor([0, 0, 1]), torch.tensor([1, 0, -1]), 2)
        tensor([ True, False,  True])
    """
    owned = [set(row_of(indptr, indices, user).tolist()) for user in users.tolist()]
    return torch.tensor(
        [
            len(own) == num_items if item == -1 else 0 <= item < num_items and item not in own
            for own, item in zip(owned, items.tolist(), strict=True)
        ],
        dtype=torch.bool,
    )
