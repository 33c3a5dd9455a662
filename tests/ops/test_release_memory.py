"""Large results on the CPU: whose memory they have, and when it goes."""

from __future__ import annotations

import gc
import threading

import pytest
import torch

import ltgnn
from ltgnn.graph import BipartiteGraph
from ltgnn.ops import propagate, release_memory

MEGABYTE = 1 << 20
TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2])
pooled = pytest.mark.skipif(
    TORCH < (2, 11), reason="torch takes memory with a destructor from 2.11 on"
)


@pytest.fixture
def graph() -> BipartiteGraph:
    gc.collect()
    release_memory()
    return BipartiteGraph.from_edges([0, 1, 1], [0, 0, 1])


def rows_of(megabytes: int) -> torch.Tensor:
    """An x for the graph's 4 nodes, of so many MB."""
    return torch.arange(4.0)[:, None].expand(4, megabytes * MEGABYTE // 16).contiguous()


@pooled
def test_a_result_takes_the_place_of_one_that_is_gone(graph: BipartiteGraph) -> None:
    x = rows_of(40)
    first = propagate(graph, x)
    place, expected = first.data_ptr(), first[:, :8].clone()
    second = propagate(graph, x)
    assert second.data_ptr() != place
    del first
    third = propagate(graph, x)
    assert third.data_ptr() == place
    assert torch.equal(third[:, :8], expected)
    del second, third
    assert release_memory() == 80 * MEGABYTE
    assert release_memory() == 0


@pooled
def test_a_view_keeps_the_memory(graph: BipartiteGraph) -> None:
    x = rows_of(40)
    last = propagate(graph, x)[3, 5:9]
    kept = last.clone()
    for _ in range(2):
        propagate(graph, 2 * x)
    assert torch.equal(last, kept)
    del last
    assert release_memory() == 80 * MEGABYTE


@pooled
def test_small_results_are_torchs(graph: BipartiteGraph) -> None:
    propagate(graph, rows_of(16))
    assert release_memory() == 0


@pooled
def test_results_that_end_in_another_thread(graph: BipartiteGraph) -> None:
    results = [propagate(graph, rows_of(33)) for _ in range(3)]
    ends = threading.Thread(target=results.clear)
    ends.start()
    ends.join()
    assert release_memory() == 3 * 34 * MEGABYTE  # whole pages of 2 MB


@pooled
def test_a_refused_call_gives_its_memory_back(graph: BipartiteGraph) -> None:
    with pytest.raises(ValueError, match="alpha must be in"):
        torch.ops.ltgnn.propagate(
            graph.indptr, graph.indices, None, None, None, rows_of(40), None, 2.0, False, None, None,
            None,
        )  # fmt: skip
    assert release_memory() == 40 * MEGABYTE


def test_gradients_of_large_results(graph: BipartiteGraph) -> None:
    x = rows_of(40).requires_grad_()
    for _ in range(2):
        x.grad = None
        propagate(graph, propagate(graph, x)).sum().backward()
        # The sum of all rows twice propagated, by the graph's 4 x 4 matrix.
        matrix = propagate(graph, torch.eye(4))
        expected = (matrix @ matrix).sum(0)
        torch.testing.assert_close(x.grad[:, 0], expected)
        torch.testing.assert_close(x.grad[:, -1], expected)


@pooled
def test_edge_dot_has_it_too(graph: BipartiteGraph) -> None:
    edges = 9 * MEGABYTE
    indptr = torch.tensor([0, edges])
    indices = torch.zeros(edges, dtype=torch.int32)
    one = torch.ones(1, 1)
    dots = torch.ops.ltgnn.edge_dot(indptr, indices, None, None, one, one, 3.0)
    assert bool((dots == 3.0).all())
    del dots
    assert release_memory() == 36 * MEGABYTE


def test_the_end_of_training_releases(graph: BipartiteGraph) -> None:
    from ltgnn.training.memory import release_freed

    propagate(graph, rows_of(40))
    release_freed()
    assert ltgnn.ops.release_memory() == 0
