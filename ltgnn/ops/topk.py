"""Full ranking by inner product: the k best items of every query, in blocks.

The ranking is defined by arithmetic that does not depend on how the work is cut up, nor on the
device. A product in the type of the embeddings cannot define it: each instruction set rounds in
its own way, and BLAS libraries sum in another order when a block has few rows. Products are
therefore only used to draw up a short list, by the native operator (csrc/kernels/topk.h), with a
proven bound on their error; the listed pairs are scored again in float64, one pair at a time, and
whenever the bound cannot exclude that an unlisted item belongs in the answer the row is searched
again, by matrix products, with the bound as its threshold. One query alone, a shard of the queries
or all of them therefore give the same bits.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn.ops._topk_tiles import (
    NEG_INF,
    Problem,
    Seen,
    error_bounds,
    new_buffer,
    pair_scores,
    score_tile,
    short_list,
    tile_shape,
)

__all__ = ["topk"]

_SPARE = 8  # listed beyond k, so that a near-tie at rank k rarely costs a second search


@torch.no_grad()
def topk(
    queries: Tensor,
    items: Tensor,
    k: int,
    *,
    seen: tuple[Tensor, Tensor] | None = None,
    block_bytes: int = 64 << 20,
) -> tuple[Tensor, Tensor]:
    """Return the ``k`` items with the largest inner product for every query.

    A score is the inner product taken in float64 and rounded once to the type of the result.
    Equal scores are ordered by item id, smaller first. The result is the same for every
    ``block_bytes`` and number of threads, and for a query alone or among others. Gradients do
    not flow through a ranking; the result never requires one.

    Args:
        queries: [Q, D] float16, bfloat16, float32 or float64.
        items: [N, D], same dtype and device as ``queries``.
        k: results per query, at least 1. It may exceed N.
        seen: ``(indptr, indices)``, CSR rows of items never returned for that query: indptr int64
            [Q+1], indices int32 or int64 [P] in [0, N), in any order. None masks nothing.
        block_bytes: memory to use beside inputs, the CSR pairs and results. The score
            matrix of Q x N never exists. A bound too small for one row of work is exceeded.

    Returns:
        scores: [Q, k] float64 for float64 input, else float32, descending; -inf where fewer than
            ``k`` items remain.
        ids: [Q, k] int64 item ids; -1 where fewer than ``k`` items remain.

    Raises:
        TypeError: an argument is not a tensor, or of another dtype than listed.
        ValueError: wrong shape or device, k < 1, malformed ``indptr``, NaN or infinite embeddings,
            or embeddings so large that scores overflow.
        IndexError: an entry of ``indices`` is outside [0, N).

    Complexity: O(Q N D) time. A row in which c items score within rounding of rank k costs
        O(c D) more, so embeddings that have collapsed to one point are ranked slowly.
    Source: error bound of a dot product, Higham, Accuracy and Stability of Numerical Algorithms,
        2nd ed., eq. 3.5.

    Example:
        >>> import torch
        >>> items = torch.tensor([[1.0], [3.0], [3.0], [2.0]])
        >>> seen = (torch.tensor([0, 1]), torch.tensor([3]))
        >>> scores, ids = topk(torch.ones(1, 1), items, 3, seen=seen)
        >>> ids.tolist(), scores.tolist()
        ([[1, 2, 0]], [[3.0, 3.0, 1.0]])
    """
    _check(queries, items, k, block_bytes)
    num_queries, num_items = queries.shape[0], items.shape[0]
    dtype = torch.float64 if queries.dtype == torch.float64 else torch.float32
    scores = queries.new_full((num_queries, k), NEG_INF, dtype=dtype)
    ids = torch.full((num_queries, k), -1, dtype=torch.int64, device=queries.device)
    masked = None if seen is None else _check_seen(seen, num_queries, num_items, queries.device)
    bounds = error_bounds(queries, items, dtype, block_bytes)
    kept = min(k, num_items)
    if kept == 0 or num_queries == 0:
        return scores, ids
    problem = Problem(items, dtype, kept, min(kept + _SPARE, num_items), block_bytes)
    # Bytes per row: the short list, its order and scores; the query itself.
    list_bytes = 96 * problem.listed + 2 * dtype.itemsize * items.shape[1]
    rows = max(1, block_bytes // 2 // list_bytes)
    for start in range(0, num_queries, rows):
        stop = min(start + rows, num_queries)
        own = None if masked is None else masked.rows(start, stop)
        block, bound = queries[start:stop].to(dtype).contiguous(), bounds[start:stop]
        cutoff, listed = short_list(problem, block, own)
        best, found = _rank(problem, block, listed)
        # An unlisted item scores at most cutoff + bound: only there can it belong to the answer.
        doubtful = (cutoff.double() + bound >= best[:, -1].double()) & (cutoff > NEG_INF)
        if problem.listed < num_items and bool(doubtful.any()):
            _search_again(problem, block, bound, own, doubtful, best, found)
        scores[start:stop, :kept] = best
        ids[start:stop, :kept] = found
    return scores, ids


def _check(queries: Tensor, items: Tensor, k: int, block_bytes: int) -> None:
    for name, tensor, shape in (
        ("queries", queries, "[num_queries, dim]"),
        ("items", items, "[num_items, dim]"),
    ):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"topk: {name} must be a tensor, got {type(tensor).__name__}")
        if tensor.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
            raise TypeError(f"topk: {name} must be floating point, got {tensor.dtype}")
        if tensor.dim() != 2:
            raise ValueError(f"topk: {name} must be 2-D {shape}, got {tensor.dim()}-D")
    if queries.dtype != items.dtype:
        raise TypeError(f"topk: items must be {queries.dtype} like queries, got {items.dtype}")
    if queries.device != items.device:
        raise ValueError(f"topk: items must be on {queries.device}, got {items.device}")
    if queries.shape[1] != items.shape[1]:
        raise ValueError(f"topk: items must have dim {queries.shape[1]}, got {items.shape[1]}")
    for name, value in (("k", k), ("block_bytes", block_bytes)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"topk: {name} must be an int, got {type(value).__name__}")
        if value < 1:
            raise ValueError(f"topk: {name} must be at least 1, got {value}")


def _check_seen(
    seen: tuple[Tensor, Tensor], num_queries: int, num_items: int, device: torch.device
) -> Seen:
    """Return the CSR pair with sorted rows, indptr on the CPU (it is read row by row)."""
    if not (isinstance(seen, tuple | list) and len(seen) == 2):
        raise TypeError("topk: seen must be a pair (indptr, indices)")
    indptr, indices = seen
    for name, tensor, allowed in (
        ("indptr", indptr, (torch.int64,)),
        ("indices", indices, (torch.int32, torch.int64)),
    ):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"topk: seen {name} must be a tensor, got {type(tensor).__name__}")
        if tensor.dtype not in allowed:
            wanted = " or ".join(str(dtype) for dtype in allowed)
            raise TypeError(f"topk: seen {name} must be {wanted}, got {tensor.dtype}")
        if tensor.dim() != 1:
            raise ValueError(f"topk: seen {name} must be 1-D, got {tensor.dim()}-D")
    indptr = indptr.cpu()
    if indptr.numel() != num_queries + 1:
        raise ValueError(
            f"topk: seen indptr must have {num_queries + 1} entries (one per query and one), "
            f"got {indptr.numel()}"
        )
    first, last = int(indptr[0]), int(indptr[-1])
    if first != 0 or last != indices.numel() or bool((indptr[1:] < indptr[:-1]).any()):
        raise ValueError(
            f"topk: seen indptr must rise from 0 to {indices.numel()} without falling, "
            f"got first {first}, last {last}"
        )
    if indices.numel():
        low, high = (int(value) for value in torch.aminmax(indices))
        if low < 0 or high >= num_items:
            bad = low if low < 0 else high
            raise IndexError(f"topk: seen indices must be in [0, {num_items}), got {bad}")
    return Seen(indptr, _sorted_rows(indptr, indices, num_items).to(device))


def _sorted_rows(indptr: Tensor, indices: Tensor, num_items: int) -> Tensor:
    """The indices, ascending in each row."""
    falls = torch.nonzero(indices[1:] < indices[:-1])[:, 0].cpu() + 1
    starts = indptr[torch.searchsorted(indptr, falls)]
    if bool((starts == falls).all()):  # each is the first of its row
        return indices.contiguous()
    rows = torch.repeat_interleave(torch.arange(len(indptr) - 1), indptr.diff())
    keys = rows.to(indices.device) * num_items + indices
    return (keys.sort()[0] % num_items).to(indices.dtype)


def _rank(problem: Problem, block: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Score the short list and order it by (-score, id), in place: [B, kept] each."""
    num_items = len(problem.items)
    scores = pair_scores(problem, block, ids)
    # The list is in the order of approximate scores: of most rows that is the order wanted.
    ahead, behind = scores[:, :-1], scores[:, 1:]
    wrong = (behind > ahead) | ((behind == ahead) & (ids[:, 1:] < ids[:, :-1]))
    rows = torch.nonzero(wrong.any(dim=1))[:, 0]
    own, order = ids[rows].sort(dim=1)
    best, place = scores[rows].gather(1, order).sort(dim=1, descending=True, stable=True)
    scores[rows], ids[rows] = best, own.gather(1, place)
    ids.masked_fill_(ids == num_items, -1)
    return scores[:, : problem.kept], ids[:, : problem.kept]


def _search_again(
    problem: Problem,
    block: Tensor,
    bound: Tensor,
    seen: Seen | None,
    doubtful: Tensor,
    best: Tensor,
    found: Tensor,
) -> None:
    """Rank the doubtful rows among all items that may reach rank k; writes best and found."""
    num_items, dim = problem.items.shape
    bad = torch.nonzero(doubtful)[:, 0]
    rows, cols = tile_shape(num_items, 96, 0, problem.block_bytes // 2)
    pairs = max(1, problem.block_bytes // 2 // (24 * max(1, dim) + 96))
    for chunk in torch.split(bad, rows):
        queries, masked = block[chunk], None if seen is None else seen.pairs(chunk)
        buffer = new_buffer(problem, len(chunk), cols)
        # The k-th score so far is a lower bound of the final one; less the error of a product.
        least = (best[chunk, -1].double() - bound[chunk])[:, None]
        kept: tuple[Tensor, Tensor, Tensor] | None = None
        for first in range(0, num_items, cols):
            last = min(first + cols, num_items)
            tile = score_tile(problem, queries, masked, buffer, first, last)
            row, column = torch.nonzero(tile >= least, as_tuple=True)
            for r, c in zip(
                torch.split(row, pairs), torch.split(column + first, pairs), strict=True
            ):
                score = pair_scores(problem, queries[r], c[:, None])[:, 0]
                kept = _merge(kept, (r, c, score), problem.kept)
        assert kept is not None  # each row holds at least the items of its short list
        best[chunk] = kept[2].view(len(chunk), problem.kept)
        found[chunk] = kept[1].view(len(chunk), problem.kept)


def _merge(
    old: tuple[Tensor, Tensor, Tensor] | None, new: tuple[Tensor, Tensor, Tensor], kept: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Best ``kept`` (row, id, score) triples of each row, ordered by (row, -score, id)."""
    row, ids, score = new if old is None else (torch.cat(p) for p in zip(old, new, strict=True))
    order = ids.argsort(stable=True)
    order = order[score[order].argsort(descending=True, stable=True)]
    order = order[row[order].argsort(stable=True)]
    row, ids, score = row[order], ids[order], score[order]
    start = torch.searchsorted(row, row)  # position of the first triple of the same row
    keep = torch.arange(len(row), device=row.device) - start < kept
    return row[keep], ids[keep], score[keep]
