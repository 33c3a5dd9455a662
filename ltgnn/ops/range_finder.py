"""Leading singular vectors by a randomised range finder, low-rank approximations from them, and their error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ltgnn.ops.csr import Csr, GraphLike, SupportsBiadjacency, as_csr, transpose
from ltgnn.ops.dense import one_thread
from ltgnn.ops.low_rank import LowRank, low_rank_propagate
from ltgnn.ops.propagate import propagate
from ltgnn.ops.release_memory import release_memory

OVERSAMPLING = 32  # columns beyond the rank, which make its last vectors good
POWER_STEPS = 2


@dataclass(frozen=True)
class Sides:
    """A matrix M and its transpose as the operators take them.

    Attributes:
        forward: M, [num_rows, num_cols].
        backward: M', [num_cols, num_rows].
        bipartite: whether M is the normalised biadjacency of a bipartite graph, users by items.
    """

    forward: Csr
    backward: Csr
    bipartite: bool

    @classmethod
    def of(cls, graph: GraphLike, dtype: torch.dtype = torch.float32) -> Sides:
        """Those of a graph, whose M is `D_u^-1/2 R D_i^-1/2`, or of a matrix; scales and weights in `dtype`."""
        if isinstance(graph, SupportsBiadjacency):
            return cls(*graph.biadjacency(dtype=dtype), bipartite=True)
        like = torch.empty(0, dtype=dtype)
        csr = as_csr(graph, like, weight=None, self_loops=False, op="low_rank_approximation")
        t_indptr, t_indices, perm = transpose(csr.indptr, csr.indices, csr.num_cols)
        weight = None if csr.weight is None else csr.weight[perm]
        turned = Csr(t_indptr, t_indices, csr.num_rows, weight, csr.col_scale, csr.row_scale)
        return cls(csr, turned, bipartite=False)

    def gram(self, x: Tensor) -> Tensor:
        """`M' M x` for x [num_cols, dim]."""
        return propagate(self.backward, propagate(self.forward, x))


def num_steps(power_steps: int = POWER_STEPS) -> int:
    """How many steps `leading_vectors` tells of: a product and a factorisation each time, and two at the end."""
    return 2 * (1 + power_steps) + 2


def leading_vectors(
    sides: Sides,
    rank: int,
    *,
    seed: int,
    oversampling: int = OVERSAMPLING,
    power_steps: int = POWER_STEPS,
    on_step: Callable[[], object] | None = None,
) -> tuple[Tensor, Tensor]:
    """The leading right singular vectors of M, by a randomised range finder with power steps.

    Args:
        sides: M both ways.
        rank: how many, at most both sizes.
        seed: of the random start.
        oversampling, power_steps: more of either make the last vectors better.
        on_step: called `num_steps(power_steps)` times, as the work goes on.

    Returns:
        (vectors [num_cols, rank] float32, orthonormal; squared singular values [rank] float64, descending), on the
        device of the graph: the same bits for any number of threads, since dense factorisations run on one.

    Complexity: O(num_edges q + num_cols q^2) with q = rank + oversampling, times power_steps + 1.
    Source: Halko, Martinsson and Tropp, SIAM Review 2011, algorithms 4.4 and 5.1.
    """
    vectors, *_, values = _leading(
        sides, rank, seed, oversampling, power_steps, torch.float32, on_step
    )
    return vectors, values.clamp(max=1.0) if sides.bipartite else values


def low_rank_approximation(
    graph: GraphLike,
    rank: int,
    *,
    seed: int = 0,
    oversampling: int = OVERSAMPLING,
    power_steps: int = POWER_STEPS,
    dtype: torch.dtype = torch.float32,
) -> LowRank:
    """The graph's matrix as a product of thin factors, near the best one of its rank.

    For a `BipartiteGraph` that is its normalised adjacency, from the singular vectors of its biadjacency: `rank`
    triples stand for 2 rank eigenvalues. For a torch or scipy CSR matrix it is the matrix with its own values.

    Args:
        graph: as for `propagate`, without self-loops.
        rank: how many singular triples; fewer where the matrix is smaller.
        seed: of the random start.
        oversampling, power_steps: more of either come nearer to the best approximation.
        dtype: float32 or float64: of factors and sums.

    Returns:
        A `LowRank` on the graph's device, with orthonormal factors where values are not 0, values descending. Give
        it to `propagate` in place of the graph; `low_rank_error_bound` says how far it is from the graph.

    Raises:
        ValueError: rank, oversampling or power_steps is negative, or dtype another.
        TypeError: graph is of another kind.

    Complexity: O(num_edges q + num_nodes q^2) with q = rank + oversampling, times power_steps + 1. The same bits
        for any number of threads.
    Source: Halko, Martinsson and Tropp, SIAM Review 2011, algorithms 4.4 and 5.1.

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0, 1], [0, 1, 1])
        >>> low_rank = ltgnn.ops.low_rank_approximation(graph, 2)
        >>> x = torch.ones(4, 1)
        >>> exact, approximate = (ltgnn.ops.propagate(g, x) for g in (graph, low_rank))
        >>> bool((exact - approximate).abs().max() < 1e-6)
        True
    """
    for name, value in (
        ("rank", rank),
        ("oversampling", oversampling),
        ("power_steps", power_steps),
    ):
        if value < 0:
            raise ValueError(f"low_rank_approximation: {name} must be not negative, got {value}")
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"low_rank_approximation: dtype must be float32 or float64, got {dtype}")
    sides = Sides.of(graph, dtype)
    right, image, mixing, _ = _leading(sides, rank, seed, oversampling, power_steps, dtype)
    with one_thread():
        left = image @ mixing
        # A column at a time: the whole in float64 would be the largest thing here.
        norms = [column.double().norm() for column in left.T]
        values = torch.stack(norms) if norms else left.new_zeros(0, dtype=torch.float64)
        left *= torch.where(values > 0, 1.0 / values, 0.0).to(dtype)
    return LowRank(left, values.to(dtype), right, bipartite=sides.bipartite)


def low_rank_error_bound(
    graph: GraphLike, low_rank: LowRank, *, probes: int = 6, power_steps: int = 8, seed: int = 0
) -> float:
    """An upper bound of the spectral norm of `B = A - low_rank`, but for a probability of 10^-probes.

    For r Gaussian vectors w and any matrix C `|C|_2 <= 10 sqrt(2 / pi) max |C w|`, but for a probability of 10^-r.
    C is `(B B')^p B`, whose norm is `|B|_2^(2 p + 1)`: so each power step takes a root of the factor by which the
    bound is loose. Without them it is about ten times the Frobenius norm, which says nothing of a large graph.

    Args:
        graph: what `low_rank` was made from.
        low_rank: of the graph's shape and on its device.
        probes: r, at least 1.
        power_steps: p; 0: the published bound.
        seed: of the probes.

    Returns:
        The bound, a float; of sums in the factors' dtype, so it ends at their rounding.

    Raises:
        ValueError: shapes differ, or probes or power_steps are out of range.

    Complexity: O((num_edges + num_nodes rank) probes (2 power_steps + 1)).
    Source: Halko, Martinsson and Tropp, SIAM Review 2011, lemma 4.1 and equation 4.3.

    Example:
        >>> import ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 0, 1, 1], [0, 1, 1, 2])
        >>> low_rank = ltgnn.ops.low_rank_approximation(graph, 1)
        >>> 0.5 <= ltgnn.ops.low_rank_error_bound(graph, low_rank) < 1.0  # the second singular value is 0.5
        True
    """
    if probes < 1 or power_steps < 0:
        raise ValueError(
            "low_rank_error_bound: probes must be at least 1 and power_steps not negative, "
            f"got {probes} and {power_steps}"
        )
    dtype = low_rank.left.dtype
    sides = Sides.of(graph, dtype)
    shape = (sides.forward.num_rows, sides.forward.num_cols)
    if low_rank.bipartite != sides.bipartite:
        kinds = ["another matrix", "a bipartite graph"]
        raise ValueError(
            f"low_rank_error_bound: low_rank must be of the graph's kind, got one of {kinds[low_rank.bipartite]} "
            f"for {kinds[sides.bipartite]}"
        )
    if shape != (len(low_rank.left), len(low_rank.right)):
        raise ValueError(
            f"low_rank_error_bound: low_rank must have the graph's shape, got {low_rank.shape} for "
            f"{(sum(shape),) * 2 if sides.bipartite else shape}"
        )
    if 0 in shape:
        return 0.0
    # The two blocks of a bipartite matrix have one norm: one of them is looked at.
    block = LowRank(low_rank.left, low_rank.values, low_rank.right)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape[1], probes, generator=generator, dtype=torch.float64)
    x = x.to(low_rank.left.device, dtype)
    logarithms = torch.zeros(probes, dtype=torch.float64, device=x.device)
    for turn in range(2 * power_steps + 1):
        csr, factors = (
            (sides.forward, block) if turn % 2 == 0 else (sides.backward, block.transposed)
        )
        x = propagate(csr, x) - low_rank_propagate(factors, x, None, 0.0, None)
        with one_thread():
            norms = x.double().norm(dim=0)
            x = x * torch.where(norms > 0, 1.0 / norms, 0.0).to(dtype)
        logarithms += norms.log()
    largest = float(logarithms.max()) + math.log(10.0 * math.sqrt(2.0 / math.pi))
    return math.exp(largest / (2 * power_steps + 1))


def _leading(
    sides: Sides,
    rank: int,
    seed: int,
    oversampling: int,
    power_steps: int,
    dtype: torch.dtype,
    on_step: Callable[[], object] | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(right vectors V, image, mixing, squared singular values [rank] float64), with `M V = image mixing`."""
    num_cols, num_rows = sides.forward.num_cols, sides.forward.num_rows
    tell = on_step or (lambda: None)
    device = sides.forward.indptr.device
    width = min(rank + oversampling, num_cols, num_rows)
    if width == 0 or rank == 0:
        none = [
            torch.zeros(size, 0, dtype=dtype, device=device) for size in (num_cols, num_rows, 0)
        ]
        return none[0], none[1], none[2], torch.zeros(0, dtype=torch.float64, device=device)
    generator = torch.Generator().manual_seed(seed)
    basis = torch.randn(num_cols, width, generator=generator, dtype=dtype).to(device)
    for _ in range(1 + power_steps):
        basis = sides.gram(basis)
        release_memory()  # of M x, which would lie about while M' M x is factorised
        tell()
        with one_thread():
            basis = torch.linalg.qr(basis)[0]
        tell()
    image = propagate(sides.forward, basis)
    tell()
    with one_thread():
        values, mixing = torch.linalg.eigh((image.T @ image).double())
        mixing = mixing.flip(1)[:, :rank].to(dtype)
        vectors = basis @ mixing
        # A sign is the factorisation's choice: let each vector's largest entry be positive.
        largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
        sign = torch.where(largest < 0, -1.0, 1.0).to(dtype)
        vectors, mixing = vectors * sign, mixing * sign
    tell()
    return vectors, image, mixing, values.flip(0)[:rank].clamp(min=0.0)
