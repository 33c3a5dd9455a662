"""Large results on the CPU: whose memory they have, and when it goes."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import pytest
import torch

import ltgnn
from ltgnn.graph import BipartiteGraph
from ltgnn.ops import propagate, release_memory

MEGABYTE = 1 << 20
TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2])
pooled = pytest.mark.skipif(
    TORCH < (2, 11) or sys.platform != "linux",
    reason="torch takes memory with a destructor from 2.11 on, and pages are Linux's",
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
def test_results_below_8_megabytes_are_torchs(graph: BipartiteGraph) -> None:
    propagate(graph, rows_of(7))
    assert release_memory() == 0
    propagate(graph, rows_of(9))
    assert release_memory() == 10 * MEGABYTE  # whole pages of 2 MB


@pooled
def test_results_that_end_in_another_thread(graph: BipartiteGraph) -> None:
    results = [propagate(graph, rows_of(33)) for _ in range(3)]
    ends = threading.Thread(target=results.clear)
    ends.start()
    ends.join()
    assert release_memory() == 3 * 34 * MEGABYTE


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


def test_a_size_that_is_none_is_an_error(graph: BipartiteGraph) -> None:
    indptr = torch.zeros((1 << 20) + 1, dtype=torch.int64)
    for columns in (
        (1 << 42) + 16,
        1 << 37,
    ):  # past 2^64 bytes, to a few MB; and a size that no machine has
        with pytest.raises((RuntimeError, MemoryError)):
            torch.ops.ltgnn.propagate(
                indptr, torch.zeros(0, dtype=torch.int32), None, None, None, torch.empty(0, columns),
                None, 0.0, False, None, None, None,
            )  # fmt: skip
    assert release_memory() == 0


@pooled
def test_it_cannot_be_resized_in_place(graph: BipartiteGraph) -> None:
    result = propagate(graph, rows_of(40))
    with pytest.raises(RuntimeError, match="resize"):
        result.resize_(8, result.shape[1])


FORKS = """
import os, threading, torch
from ltgnn.graph import BipartiteGraph
from ltgnn.ops import propagate, release_memory
torch.set_num_threads(1)
graph = BipartiteGraph.from_edges([0, 1, 1], [0, 0, 1])
x = torch.ones(4, 40 << 16)
stop = threading.Event()
def work():
    while not stop.is_set():
        propagate(graph, x)
        release_memory()
thread = threading.Thread(target=work)
thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        propagate(graph, x)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_leaves_the_child_able_to_take_memory() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], check=True, timeout=300)


def test_the_end_of_training_releases(graph: BipartiteGraph) -> None:
    from ltgnn.training.memory import release_freed

    propagate(graph, rows_of(40))
    release_freed()
    assert ltgnn.ops.release_memory() == 0
