"""Very sparse random projections: of a table's columns, and of a graph's neighbourhoods (FastRP)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ltgnn.ops.csr import Csr, SupportsCsr
from ltgnn.ops.dense import one_thread
from ltgnn.ops.propagate import propagate
from ltgnn.ops.row_blocks import row_blocks

HOP_WEIGHTS = (0.0, 0.0, 1.0, 1.0)  # the best on Gowalla of those tried


def sparse_projection(
    rows: int,
    dim: int,
    *,
    seed: int,
    density: float = 1 / 3,
    dtype: torch.dtype = torch.float32,
    out: Tensor | None = None,
) -> Tensor:
    """A random matrix P with `E[P P'] = I`: `+-1 / sqrt(density dim)` with probability density / 2 each, else 0.

    So `x P` keeps inner products in expectation, with a variance of at most
    `(|x|^2 |y|^2 + (x'y)^2 + (1 / density - 3) sum_j x_j^2 y_j^2) / dim`: Johnson and Lindenstrauss' lemma.

    Args:
        rows, dim: its sizes.
        seed: of the signs; the same ones for every device.
        density: share of entries that are not 0: 1/3 is Achlioptas', 1 / sqrt(rows) Li et al.'s.
        dtype: float32 or float64.
        out: [rows, dim], written and returned, of any floating point dtype and device.

    Returns:
        [rows, dim], dense, on the CPU where there is no out.

    Raises:
        ValueError: rows is negative, dim below 1, density not in (0, 1], or out of another shape.
        TypeError: the dtype is not floating point.

    Complexity: O(rows * dim).

    Source: Achlioptas, PODS 2001; Li, Hastie and Church, Very Sparse Random Projections, KDD 2006.

    Example:
        >>> import ltgnn
        >>> p = ltgnn.ops.sparse_projection(1000, 3, seed=0)
        >>> sorted({round(float(entry), 6) for entry in p.flatten()})
        [-1.0, 0.0, 1.0]
    """
    if rows < 0 or dim < 1:
        raise ValueError(
            f"sparse_projection: rows must be not negative and dim at least 1, got {rows} and {dim}"
        )
    if not 0 < density <= 1:
        raise ValueError(f"sparse_projection: density must be in (0, 1], got {density}")
    if out is not None and out.shape != (rows, dim):
        raise ValueError(f"sparse_projection: out must be [{rows}, {dim}], got {list(out.shape)}")
    dtype = dtype if out is None else out.dtype
    if not dtype.is_floating_point:
        raise TypeError(f"sparse_projection: dtype must be floating point, got {dtype}")
    table = torch.empty(rows, dim, dtype=dtype) if out is None else out
    generator = torch.Generator().manual_seed(seed)
    for part in row_blocks(rows):
        drawn = torch.rand(table[part].shape, generator=generator)
        signs = (drawn < density / 2).to(table.dtype) - (drawn >= 1.0 - density / 2).to(table.dtype)
        table[part] = signs.mul_(1.0 / math.sqrt(density * dim))
    return table


def project(x: Tensor, dim: int, *, seed: int, density: float = 1 / 3) -> Tensor:
    """`x P` with a sparse random projection: narrower rows with about the same inner products.

    Since `A (x P) = (A x) P`, a table may be projected once and propagated at its new width any number of times.
    There is no way back: `x P P'` differs from x by `sqrt(width / dim)` times its length, which is more than x.

    Args:
        x: [rows, width], float32 or float64.
        dim: the new width.
        seed, density: as for `sparse_projection`.

    Returns:
        [rows, dim], dtype and device of x. Differentiable in x. An inner product of two rows is off by about
        `|x| |y| sqrt(2 / dim)` at most (standard deviation).

    Raises:
        ValueError: x is not 2-D, or of another dtype; dim or density is out of range.

    Complexity: O(rows * width * dim), as a dense product.
    Source: Achlioptas, PODS 2001.

    Example:
        >>> import torch, ltgnn
        >>> x = torch.eye(500)
        >>> narrow = ltgnn.ops.project(x, 200, seed=0)
        >>> bool((narrow @ narrow.T - x).abs().mean() < 0.1)
        True
    """
    if x.dim() != 2 or x.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"project: x must be [rows, width], float32 or float64, got {list(x.shape)}, {x.dtype}"
        )
    p = sparse_projection(x.shape[1], dim, seed=seed, density=density, dtype=x.dtype)
    return x @ p.to(x.device)


def random_projection(
    graph: SupportsCsr,
    dim: int,
    *,
    seed: int = 0,
    hop_weights: Sequence[float] = HOP_WEIGHTS,
    degree_power: float = 0.0,
    unit_rows: bool = True,
    density: float = 1 / 3,
    dtype: torch.dtype = torch.float32,
    empty: Callable[[], Tensor] | None = None,
) -> Tensor:
    """FastRP's features of a graph's nodes: `sum_k w_k T^k L P`, without training.

    T is the transition matrix `D^-1 A`, `L = diag((d_j / sum d)^degree_power)`, P a sparse random projection
    [num_nodes, dim]: so inner products of features are about those of the rows of `sum_k w_k T^k L`, which never
    exists. (With unit rows the symmetric `D^-1/2 A D^-1/2` in place of T is the same as 1/2 less in degree_power.)

    Args:
        graph: a `BipartiteGraph`, or another graph with the CSR protocol.
        dim: width of the features.
        seed: of the projection.
        hop_weights: w_0, w_1, ...: how much each number of hops counts.
        degree_power: beta; below 0 it takes weight from popular neighbours.
        unit_rows: scale each hop's rows to length 1 before they are weighed, as the authors' code does.
        density: of P.
        dtype: float32 or float64.
        empty: makes the three tables [num_nodes, dim] that it takes, one of which is returned; None: torch.

    Returns:
        [num_nodes, dim], on the graph's device: the same bits for any number of threads.

    Raises:
        ValueError: an argument is out of range.

    Complexity: O(num_edges dim len(hop_weights)).
    Source: Chen et al., Fast and Accurate Network Embeddings via Very Sparse Random Projection, CIKM 2019
        (arXiv 1908.11512), algorithm 1.

    Example:
        >>> import ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0, 1], [0, 1, 1])
        >>> ltgnn.ops.random_projection(graph, 8).shape
        torch.Size([4, 8])
    """
    if not len(hop_weights):
        raise ValueError("random_projection: hop_weights must be at least one number, got none")
    csr = graph.csr(dtype=dtype, self_loops=False, normalized=True)
    degrees, device = csr.indptr.diff(), csr.indptr.device
    inverse = torch.where(degrees > 0, 1.0 / degrees.to(torch.float64), 0.0).to(dtype)
    step = Csr(csr.indptr, csr.indices, csr.num_cols, None, inverse)
    make = empty or (lambda: torch.empty(csr.num_rows, dim, dtype=dtype, device=device))
    if dim < 1:
        raise ValueError(f"random_projection: dim must be at least 1, got {dim}")
    hop, spare, total = make(), make(), make().zero_()
    sparse_projection(csr.num_rows, dim, seed=seed, density=density, out=hop)
    if degree_power:
        share = degrees.to(torch.float64) / max(1, len(csr.indices))
        with one_thread():  # a power's last bit depends on where threads divide the vector
            factor = torch.where(share > 0, share.clamp(min=1e-300).pow(degree_power), 0.0)
        hop *= factor.to(dtype)[:, None]
    for k, weight in enumerate(hop_weights):
        if k:
            propagate(step, hop, out=spare)
            hop, spare = spare, hop
        if weight:
            for rows in row_blocks(len(hop)):
                part = hop[rows]
                if unit_rows:
                    part = part / part.norm(dim=1, keepdim=True).clamp(min=torch.finfo(dtype).tiny)
                total[rows].add_(part, alpha=weight)
    return total
