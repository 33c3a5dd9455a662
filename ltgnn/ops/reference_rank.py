"""Plain-torch twins of topk and pair_scores; see ltgnn/ops/reference.py."""

from __future__ import annotations

import torch
from torch import Tensor

from ltgnn.ops.reference import edge_rows


def topk(
    queries: Tensor, items: Tensor, k: int, indptr: Tensor | None, indices: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The k largest inner products of each query, its own items left out, ordered by (-score, id).

    A score that is NaN or -inf is never listed; an index that is no item masks nothing.
    """
    scores = (queries @ items.T).nan_to_num(-torch.inf, torch.inf, -torch.inf)
    if indptr is not None and indices is not None:
        inside = (indices >= 0) & (indices < len(items))
        rows = edge_rows(indptr, indices)[inside]
        scores[rows, indices[inside].long()] = -torch.inf
    scores, ids = scores.sort(dim=1, descending=True, stable=True)
    scores, ids = scores[:, :k], ids[:, :k].masked_fill(scores[:, :k] == -torch.inf, -1)
    short = (len(queries), k - scores.shape[1])
    return (
        torch.cat([scores, scores.new_full(short, -torch.inf)], 1),
        torch.cat([ids, ids.new_full(short, -1)], 1),
    )


def pair_scores(queries: Tensor, items: Tensor, ids: Tensor) -> Tensor:
    """[num_queries, num_listed]: inner products in float64, rounded once; -inf for no item."""
    inside = (ids >= 0) & (ids < len(items))
    out = torch.full(ids.shape, -torch.inf, dtype=queries.dtype)
    query = torch.arange(len(ids))[:, None].expand_as(ids)[inside]
    out[inside] = (queries[query].double() * items[ids[inside]].double()).sum(1).to(out.dtype)
    return out
