"""labor_sample: one layer of neighbours for a batch of rows, drawn together so that rows share them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ltgnn.ops.csr import SupportsCsr
from ltgnn.ops.seeds import mix_seed

_PIECE = 1 << 22  # edges looked at at once
_WORDS = 2**32


@dataclass(frozen=True)
class LayerSample:
    """Sampled neighbours of some rows, in compressed-sparse-row form.

    Attributes:
        indptr: [num_targets + 1], int64.
        indices: [num_drawn], int64, node numbers, ascending in each row.
        probability: [num_targets], float32: with which each neighbour of the row was taken. A sum over the drawn
            neighbours divided by it is an unbiased estimate of the sum over all (Horvitz and Thompson).
    """

    indptr: Tensor
    indices: Tensor
    probability: Tensor


def labor_sample(graph: SupportsCsr, rows: Tensor, *, fanout: int, seed: int) -> LayerSample:
    """Sample neighbours of rows by one random number a node, which all rows share: LABOR-0.

    Node j gets a number r_j, uniform in [0, 1), from (seed, j). Row s takes its neighbour j where
    `r_j < min(1, fanout / degree_s)`: `fanout` neighbours in the mean, all where it has no more. A node with a
    small number is taken by all rows that know it, so that a batch touches fewer distinct nodes than where each row
    draws for itself; each row's estimate is unbiased all the same, and has the variance of Poisson sampling.

    Args:
        graph: the graph, with the CSR protocol.
        rows: [num_targets], int64, each in [0, num_rows); repetitions allowed.
        fanout: neighbours of a row in the mean, at least 0.
        seed: any int.

    Returns:
        The sample; the same for any number of threads and on every device.

    Raises:
        ValueError, IndexError: fanout is negative, or a row is out of range.

    Complexity: O(sum of the rows' degrees), in pieces; no row is cheaper than its degree.

    Source: Balin and Catalyurek, NeurIPS 2023, arXiv 2210.13339.

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0, 1], [0, 1, 1])
        >>> sample = ltgnn.ops.labor_sample(graph, torch.tensor([0, 1]), fanout=2, seed=0)
        >>> sample.indptr.tolist(), sample.indices.tolist()
        ([0, 2, 3], [2, 3, 3])
    """
    csr = graph.csr(dtype=torch.float32, self_loops=False, normalized=True)
    if fanout < 0:
        raise ValueError(f"labor_sample: fanout must not be negative, got {fanout}")
    if rows.dim() != 1 or rows.dtype != torch.int64:
        raise ValueError(
            f"labor_sample: rows must be a vector of int64, got {list(rows.shape)} of {rows.dtype}"
        )
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < csr.num_rows:
        raise IndexError(
            f"labor_sample: rows must be in [0, {csr.num_rows}), got {int(rows.min())} to {int(rows.max())}"
        )
    begin = csr.indptr[rows]
    degree = csr.indptr[rows + 1] - begin
    # Compared as whole numbers: the same neighbours everywhere.
    limit = torch.where(
        degree <= fanout, _WORDS, fanout * _WORDS // degree.clamp(min=1)
    )  # fmt: skip
    ends = degree.cumsum(0)
    many = bool(len(ends)) and int(ends[-1]) > csr.num_cols
    words = _words(seed, torch.arange(csr.num_cols, device=rows.device)) if many else None
    counts, columns = [], []
    for first, last in _pieces(ends):
        own = degree[first:last]
        size = int(own.sum())
        row = torch.repeat_interleave(own, output_size=size)
        start = begin[first:last] - (own.cumsum(0) - own)
        column = csr.indices[torch.arange(size, device=rows.device) + start[row]].long()
        word = _words(seed, column) if words is None else words[column]
        taken = word < limit[first:last][row]
        columns.append(column[taken])
        counts.append(torch.bincount(row[taken], minlength=last - first))
    zero = rows.new_zeros(1)
    return LayerSample(
        torch.cat([zero, torch.cat([zero[:0], *counts]).cumsum(0)]),
        torch.cat([zero[:0], *columns]),
        (limit.double() / _WORDS).float(),
    )


def _words(seed: int, nodes: Tensor) -> Tensor:
    """A number in [0, 2^32) for each node, by rounds as of MurmurHash3's finaliser (Appleby, public domain)."""
    state = nodes ^ _signed(mix_seed(seed, 0x1AB0))
    for constant in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53, 0x9E3779B97F4A7C15):
        # Products wrap; shifts of int64 keep the sign, so the sign's copies are masked out.
        state = (state ^ ((state >> 33) & 0x7FFFFFFF)) * _signed(constant)
    return (state >> 32) & 0xFFFFFFFF


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


def _pieces(ends: Tensor) -> Iterator[tuple[int, int]]:
    """Ranges of rows with about _PIECE edges each, or of one row that has more; `ends`: sums of degrees."""
    first = 0
    while first < len(ends):
        done = ends[first - 1 : first] if first else ends.new_zeros(1)
        last = max(first + 1, int(torch.searchsorted(ends, done + _PIECE, right=True)))
        yield first, last
        first = last
