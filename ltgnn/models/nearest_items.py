"""The items nearest to each item by the users that they share, as UltraGCN weighs them."""

from __future__ import annotations

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph

BLOCK_ENTRIES = 1 << 20  # of the item-item product that are held at once


def nearest_items(graph: BipartiteGraph, count: int) -> tuple[Tensor, Tensor]:
    """The items with the largest omega in the co-occurrence graph G = R' R, for each item.

    `omega_ij = G_ij sqrt(g_i + 1) / g_i / sqrt(g_j + 1)`, g the row sums of G. An item may be among its own
    nearest, as in the published code.

    Returns:
        (items [num_items, k] int64, k = min(count, num_items); omega [num_items, k] float32). Where an item has
        fewer, the rest are itself, with omega 0.

    Complexity: O(sum of squared user degrees), in blocks of bounded memory.
    """
    users = graph.to_scipy()
    items = users.T.tocsr()
    k = min(count, graph.num_items)
    near = np.tile(np.arange(graph.num_items)[:, None], k)
    omega = np.zeros((graph.num_items, k), dtype=np.float32)
    totals = np.asarray(items @ users.sum(axis=1)).ravel()
    column = 1.0 / np.sqrt(totals + 1.0)
    # Bounds the product's entries: those of row i are at most the degrees of its users added up.
    ends = np.cumsum(totals, dtype=np.float64)
    start = 0
    while start < graph.num_items and k:
        reached = ends[start - 1] if start else 0.0
        end = int(np.searchsorted(ends, reached + BLOCK_ENTRIES, side="right"))
        end = min(max(end, start + 1), graph.num_items)
        block = (items[start:end] @ users).tocsr()
        for row in range(end - start):
            low, high = block.indptr[row : row + 2]
            columns = block.indices[low:high].astype(np.int64)
            values = block.data[low:high] * column[columns]
            best = np.lexsort((columns, -values))[:k]
            total = totals[start + row]
            near[start + row, : len(best)] = columns[best]
            omega[start + row, : len(best)] = values[best] * np.sqrt(total + 1.0) / max(total, 1.0)
        start = end
    return torch.from_numpy(near), torch.from_numpy(omega)


def search_bytes(num_edges: int) -> int:
    """What `nearest_items` takes at most: the graph both ways, and a block of the product."""
    return 24 * num_edges + 24 * BLOCK_ENTRIES


def pairs_with(near: Tensor, degrees: Tensor) -> Tensor:
    """How many pairs bring each item into a batch, as their own or as one near it; [num_items] float64."""
    own = np.arange(len(near))
    columns = np.column_stack([own, near.numpy()]).ravel()
    ends = np.arange(len(near) + 1) * (near.shape[1] + 1)
    brings = scipy.sparse.csr_array((np.ones(len(columns)), columns, ends), shape=(len(near),) * 2)
    brings.sum_duplicates()
    brings.data[:] = 1.0
    return torch.from_numpy(brings.T @ degrees.double().numpy())
