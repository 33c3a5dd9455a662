"""Approximate scores for `topk`: short lists by the native operator, tiles of a matrix product.

Neither defines a score: the operator rounds after every term, and BLAS may sum in any order, so
that a score there depends on how the work is cut up. Both are within what `error_bounds` returns.
What is listed is scored again by `ltgnn.ops.topk`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ltgnn import _library as _library
from ltgnn.ops.registration import register_fake, require_one_device

MAX_ITEMS = 2**31 - 1  # of one call of the native operator
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
    """Masked items of consecutive queries: a CSR pair, rows sorted."""

    indptr: Tensor  # int64 [B + 1], on the CPU
    indices: Tensor  # int32 or int64 [P], on the device of the items

    def rows(self, start: int, stop: int) -> Seen:
        """The rows of queries [start, stop)."""
        begin, end = int(self.indptr[start]), int(self.indptr[stop])
        return Seen(self.indptr[start : stop + 1] - begin, self.indices[begin:end])

    def pairs(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """(position in `queries`, item) of every masked pair of these queries, int64 [P] each."""
        queries = queries.cpu()
        begin = self.indptr[queries]
        degrees = self.indptr[queries + 1] - begin
        position = torch.repeat_interleave(torch.arange(len(queries)), degrees)
        before = degrees.cumsum(0) - degrees
        place = torch.arange(len(position)) + (begin - before)[position]
        device = self.indices.device
        return position.to(device), self.indices[place.to(device)].long()


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
    shortened = _input_rounding(queries.device, dtype)
    if dim <= 1 and not shortened:  # one product, rounded once, is the score itself
        return torch.zeros_like(product)
    unit = limits.eps / 2
    relative = 2 * (shortened + (dim + 2) * unit)
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
    problem: Problem,
    block: Tensor,
    masked: tuple[Tensor, Tensor] | None,
    buffer: Tensor,
    first: int,
    last: int,
) -> Tensor:
    """Approximate scores of items [first, last): [B, padded], -inf where masked or padding."""
    width, padded = last - first, _padded(last - first)
    tile = buffer[: len(block) * padded].view(len(block), padded)
    torch.mm(block, problem.items[first:last].to(problem.dtype).t(), out=tile[:, :width])
    tile[:, width:] = NEG_INF
    if masked is not None:
        rows, columns = masked
        inside = (columns >= first) & (columns < last)
        rows, columns = rows[inside], columns[inside]
        tile.view(-1).index_fill_(0, rows * padded + (columns - first), NEG_INF)
    return tile


def is_native(problem: Problem) -> bool:
    """Whether the native operators can read the items as they are."""
    return problem.items.dtype == problem.dtype and problem.items.is_contiguous()


def pair_scores(problem: Problem, block: Tensor, ids: Tensor) -> Tensor:
    """The scores themselves of the items [B, L] listed for each query; -inf for id N."""
    if is_native(problem):
        scores: Tensor = torch.ops.ltgnn.pair_scores(block, problem.items, ids)
        return scores
    num_items = len(problem.items)
    row_bytes = ids.shape[1] * problem.items.shape[1] * 2 * problem.dtype.itemsize
    step = max(1, problem.block_bytes // 2 // max(1, row_bytes))
    parts = []
    for queries, part in zip(torch.split(block, step), torch.split(ids, step), strict=True):
        vectors = problem.items[part.clamp(max=num_items - 1).view(-1)]
        place = torch.arange(part.numel(), device=part.device).view(part.shape)
        place.masked_fill_(part == num_items, -1)
        vectors = vectors.to(problem.dtype).contiguous()
        parts.append(torch.ops.ltgnn.pair_scores(queries, vectors, place))
    return torch.cat(parts)


def short_list(problem: Problem, block: Tensor, seen: Seen | None) -> tuple[Tensor, Tensor]:
    """Return (cutoff [B], ids [B, listed]): no unlisted item's approximate score tops cutoff.

    The id is N where nothing was left to list.
    """
    items, num_items = problem.items, len(problem.items)
    step = num_items
    if not is_native(problem) or num_items > MAX_ITEMS:
        # A piece at a time is converted.
        row_bytes = max(1, items.shape[1]) * problem.dtype.itemsize
        step = max(1, min(MAX_ITEMS, problem.block_bytes // 4 // row_bytes))
    indptr = None if seen is None else seen.indptr.to(items.device)
    values, ids = block.new_empty((0, 0)), block.new_empty((0, 0))  # num_items >= 1
    for first in range(0, num_items, step):
        piece = items[first : first + step].to(problem.dtype).contiguous()
        # Item numbers outside the piece mask nothing.
        indices = None if seen is None else seen.indices - first if first else seen.indices
        new_values, new_ids = torch.ops.ltgnn.topk(block, piece, problem.listed, indptr, indices)
        new_ids = torch.where(new_ids < 0, num_items, new_ids + first)
        if first == 0:
            values, ids = new_values, new_ids
        else:
            values, order = torch.cat([values, new_values], dim=1).topk(problem.listed, dim=1)
            ids = torch.cat([ids, new_ids], dim=1).gather(1, order)
    return values[:, -1], ids


@register_fake("pair_scores")
def _(queries: Tensor, items: Tensor, ids: Tensor) -> Tensor:
    require_one_device("pair_scores", queries, items, ids)
    return queries.new_empty(ids.shape)


@register_fake("topk")
def _(
    queries: Tensor, items: Tensor, k: int, indptr: Tensor | None, indices: Tensor | None
) -> tuple[Tensor, Tensor]:
    require_one_device("topk", queries, items, indptr, indices)
    shape = (queries.shape[0], k)
    return queries.new_empty(shape), queries.new_empty(shape, dtype=torch.int64)
