"""Approximate scores for `topk`: tiles of a matrix product, a bound of their error, short lists.

BLAS may sum in any order, so a score here depends on how the work is cut up, by at most what
`error_bounds` returns. What is listed is scored again by `ltgnn.ops.topk`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

GROUP = 16  # columns whose maximum is taken before selecting
_ALIGN = 256  # row stride of the score buffer in elements; unaligned rows halve MKL's speed
NEG_INF = float("-inf")


class Problem(NamedTuple):
    """What every step needs; scores are compared in ``dtype``."""

    items: Tensor  # [N, D]
    dtype: torch.dtype  # float32 or float64
    kept: int  # results per query, min(k, N)
    listed: int  # short-list length per query
    block_bytes: int


class Seen(NamedTuple):
    """Masked (row, item) pairs of one block of queries, rows counted from the block's first."""

    rows: Tensor  # int64 [P]
    items: Tensor  # int64 [P]


def seen_of(seen: tuple[Tensor, Tensor] | None, start: int, stop: int) -> Seen | None:
    """The masked pairs of queries [start, stop), from a CSR pair with indptr on the CPU."""
    if seen is None:
        return None
    indptr, indices = seen
    begin, end = int(indptr[start]), int(indptr[stop])
    degrees = indptr[start + 1 : stop + 1] - indptr[start:stop]
    rows = torch.repeat_interleave(torch.arange(stop - start), degrees)
    return Seen(rows.to(indices.device), indices[begin:end].long())


def error_bounds(queries: Tensor, items: Tensor, dtype: torch.dtype, block: int) -> Tensor:
    """Bound per query on |matrix product - score|, float64 [Q]; refuses NaN and infinity."""
    dim = items.shape[1]
    norms = {}
    for name, tensor in (("queries", queries), ("items", items)):
        step = max(1, block // (16 * max(1, dim)))
        parts = (
            [part.double().norm(dim=1) for part in torch.split(tensor, step)] if len(tensor) else []
        )
        norms[name] = torch.cat(parts) if parts else tensor.new_zeros(0, dtype=torch.float64)
        bad = torch.nonzero(~torch.isfinite(norms[name]))
        if len(bad):
            row = int(bad[0])
            kind = "NaN" if bool(torch.isnan(tensor[row]).any()) else "infinity or overflow"
            raise ValueError(f"topk: scores must be finite, got {kind} in row {row} of {name}")
    product = norms["queries"] * (norms["items"].max() if len(items) else 0.0)
    limits = torch.finfo(dtype)
    if len(product) and float(product.max()) >= limits.max / 4:
        raise ValueError(f"topk: scores must fit {dtype}, got norms of product {product.max():.3g}")
    if dim <= 1:  # one product, rounded once, is the score itself
        return torch.zeros_like(product)
    unit = limits.eps / 2
    relative = 2 * (_input_rounding(queries.device, dtype) + (dim + 2) * unit)
    # Underflow errs absolutely, by at most `tiny` per term, unless everything is zero.
    return torch.where(product > 0, relative * product + 2 * dim * limits.tiny, product)


def _input_rounding(device: torch.device, dtype: torch.dtype) -> float:
    """Relative error of a product when torch may shorten float32 inputs (TF32, bfloat16)."""
    if dtype == torch.float64:
        return 0.0
    backend = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    precision = str(getattr(backend.matmul, "fp32_precision", "none"))
    return {"tf32": 2.0**-9, "bf16": 2.0**-6}.get(precision, 0.0)


def _padded(cols: int) -> int:
    return -(-cols // _ALIGN) * _ALIGN


def new_buffer(problem: Problem, rows: int, cols: int) -> Tensor:
    """Memory for the scores of any tile of at most these rows and columns; uninitialised."""
    return torch.empty(rows * _padded(cols), dtype=problem.dtype, device=problem.items.device)


def tile_shape(num_items: int, cell: int, row: int, block_bytes: int) -> tuple[int, int]:
    """Rows and columns of a tile that costs ``cell`` bytes per score and ``row`` per row.

    Whole rows are preferred (a single pass per row block); below 16 rows the columns are cut
    instead, since a product with few rows runs at memory speed.
    """
    rows = block_bytes // (_padded(num_items) * cell + row)
    if rows >= 16:
        return rows, num_items
    rows = max(1, min(16, block_bytes // (_ALIGN * cell + row)))
    cols = (block_bytes // rows - row) // cell // _ALIGN * _ALIGN
    return rows, max(1, min(num_items, max(cols, _ALIGN)))


def score_tile(
    problem: Problem, block: Tensor, seen: Seen | None, buffer: Tensor, first: int, last: int
) -> Tensor:
    """Approximate scores of items [first, last): [B, padded], -inf where masked or padding."""
    width, padded = last - first, _padded(last - first)
    tile = buffer[: len(block) * padded].view(len(block), padded)
    torch.mm(block, problem.items[first:last].to(problem.dtype).t(), out=tile[:, :width])
    tile[:, width:] = NEG_INF
    if seen is not None and len(seen.rows):
        rows, columns = seen.rows, seen.items
        if width < len(problem.items):
            inside = (columns >= first) & (columns < last)
            rows, columns = rows[inside], columns[inside]
        tile.view(-1).index_fill_(0, rows * padded + (columns - first), NEG_INF)
    return tile


def short_list(
    problem: Problem, block: Tensor, seen: Seen | None, buffer: Tensor, cols: int
) -> tuple[Tensor, Tensor]:
    """Return (cutoff [B], ids [B, listed]): no unlisted item's approximate score tops cutoff.

    The id is N where nothing was left to list.
    """
    num_items = len(problem.items)
    values = block.new_empty((len(block), 0))
    ids = torch.empty((len(block), 0), dtype=torch.int64, device=block.device)
    for first in range(0, num_items, cols):
        tile = score_tile(problem, block, seen, buffer, first, min(first + cols, num_items))
        tile_values, columns = _select(tile, min(problem.listed, tile.shape[1]))
        values = torch.cat([values, tile_values], dim=1)
        ids = torch.cat([ids, columns + first], dim=1)
        if values.shape[1] > problem.listed:
            values, order = values.topk(problem.listed, dim=1)
            ids = ids.gather(1, order)
    return values.amin(dim=1), ids.masked_fill_(values == NEG_INF, num_items)


def _select(tile: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Values and columns of the ``count`` largest entries of each row, ties in any order.

    torch.topk walks a row with a heap, far slower than memory. Maxima over groups of columns are
    vectorised, and the ``count`` groups with the largest maxima hold the ``count`` largest
    entries: any other entry is at most its group's maximum, hence at most each of theirs.
    """
    rows, width = tile.shape
    groups = width // GROUP
    if groups < 2 * count:
        values, columns = tile.topk(count, dim=1)
        return values, columns
    grouped = tile.view(rows, GROUP, groups)  # group g holds columns g, g + groups, ...
    chosen = grouped.amax(dim=1).topk(count, dim=1, sorted=False)[1]
    members = grouped.gather(2, chosen[:, None, :].expand(rows, GROUP, count))
    values, position = members.reshape(rows, -1).topk(count, dim=1)
    place = position.div(count, rounding_mode="floor")
    return values, place * groups + chosen.gather(1, position - place * count)
