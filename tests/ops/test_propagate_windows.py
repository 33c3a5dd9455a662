"""propagate where x is so large that rows with many edges are taken by windows (csrc/cpu/propagate_windows.h)."""

from __future__ import annotations

import pytest
import torch

from ltgnn.graph import BipartiteGraph, order_rows
from ltgnn.ops import propagate

# 420,000 rows of 64 floats are 108 MB, in 26 windows: rows with 156 edges and more are taken by windows where they
# have 840,000 edges for each thread.
USERS, ITEMS, DIM = 400_000, 20_000, 64


@pytest.fixture(scope="module")
def graph() -> BipartiteGraph:
    generator = torch.Generator().manual_seed(0)
    edges = 3_800_000
    users = torch.randint(USERS, (edges,), generator=generator)
    # Half of them at 500 items, whose rows are long; the others' have about 95.
    hot = torch.randint(500, (edges,), generator=generator)
    cold = torch.randint(ITEMS, (edges,), generator=generator)
    items = torch.where(torch.rand(edges, generator=generator) < 0.5, hot, cold)
    return BipartiteGraph.from_edges(users, items, num_users=USERS, num_items=ITEMS)


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.randn(USERS + ITEMS, DIM, generator=torch.Generator().manual_seed(1))


def in_parts(graph: BipartiteGraph, x: torch.Tensor) -> torch.Tensor:
    """The same, eight columns at a time: too few bytes for windows."""
    return torch.cat([propagate(graph, part.contiguous()) for part in x.split(8, 1)], 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_bits_are_those_of_whole_rows(
    graph: BipartiteGraph, x: torch.Tensor, threads: int
) -> None:
    degrees = graph.degrees[USERS:]
    assert int(degrees[degrees >= 156].sum()) >= threads * 2 * (USERS + ITEMS)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert torch.equal(propagate(graph, x), in_parts(graph, x))
    finally:
        torch.set_num_threads(before)


def test_with_everything_else(graph: BipartiteGraph, x: torch.Tensor) -> None:
    x0 = x.flip(0)
    got = propagate(graph, x, x0=x0, alpha=0.3, self_loops=True)
    narrow = propagate(
        graph, x[:, :8].contiguous(), x0=x0[:, :8].contiguous(), alpha=0.3, self_loops=True
    )
    assert torch.equal(got[:, :8], narrow)
    assert torch.equal(propagate(order_rows(graph), x), propagate(graph, x))


def test_an_index_out_of_range_is_named(graph: BipartiteGraph, x: torch.Tensor) -> None:
    row = USERS + int(graph.degrees[USERS:].argmax())
    scale = graph.scale()
    for nonsense in (USERS + ITEMS, -1, 2**63 - 1, -(2**63)):
        indices = graph.indices.long()
        indices[int(graph.indptr[row]) + 200] = nonsense
        out = torch.full_like(x, 7.0)
        with pytest.raises(IndexError, match=rf"row {row}"):
            torch.ops.ltgnn.propagate_out(
                graph.indptr, indices, None, scale, scale, x, None, 0.0, False, out
            )
        assert bool((out[row] == 7.0).all())
