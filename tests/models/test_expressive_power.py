"""The linear-time scheme against what it stands for: fixed point, gradient, sampled sums; on random graphs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.ops import LtgnnTables, ltgnn_forward_, ltgnn_update_, propagate, sample_aggregate

ALPHA, DIM = 0.4, 3


def random_graph(seed: int) -> tuple[BipartiteGraph, Tensor]:
    """A graph whose every node has an edge, some have many; and a generator of random numbers."""
    random = torch.Generator().manual_seed(seed)
    users = torch.cat([torch.arange(30), torch.randint(30, (200,), generator=random)])
    items = torch.cat([torch.arange(30) % 20, torch.randint(20, (200,), generator=random) // 2])
    items[:20] = torch.arange(20)
    return BipartiteGraph.from_edges(users.numpy(), items.numpy(), duplicates="merge"), random


def exact(graph: BipartiteGraph, source: Tensor) -> Tensor:
    """alpha (I - (1 - alpha) A)^-1 source, by a dense solve."""
    nodes = graph.num_nodes
    dense = propagate(graph, torch.eye(nodes, dtype=source.dtype))
    return ALPHA * torch.linalg.solve(
        torch.eye(nodes, dtype=source.dtype) - (1 - ALPHA) * dense, source
    )


def tables_of(e0: Tensor) -> LtgnnTables:
    zeros = [torch.zeros_like(e0) for _ in range(5)]
    return LtgnnTables(e0.clone(), zeros[0], zeros[1], zeros[2], zeros[3], z=e0.clone(), g=zeros[4])


def error(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).norm() / expected.norm())


def run(
    graph: BipartiteGraph, e0: Tensor, slope: Tensor, *, steps: int, fanout: int
) -> tuple[list[float], ...]:
    """Errors of the stored Z and G after each step of a random third of the rows; history exact every 5 steps."""
    random = torch.Generator().manual_seed(7)
    tables = tables_of(e0)
    assert tables.z is not None and tables.g is not None
    z, g = exact(graph, e0), exact(graph, slope)
    errors: tuple[list[float], ...] = ([], [])
    for step in range(steps):
        if step % 5 == 0:
            propagate(graph, tables.z, out=tables.history_sum)
            tables.delta.zero_()
        rows = torch.randperm(graph.num_nodes, generator=random)[: graph.num_nodes // 3]
        _, h = ltgnn_forward_(graph, tables, rows, alpha=ALPHA, fanout=fanout, seed=step)
        ltgnn_update_(tables, rows, slope[rows], h, alpha=ALPHA, step=step + 1, lr=0.0)
        errors[0].append(error(tables.z, z))
        errors[1].append(error(tables.g, g))
    return errors


@pytest.fixture(params=range(3))
def problem(request: pytest.FixtureRequest) -> tuple[BipartiteGraph, Tensor, Tensor]:
    graph, random = random_graph(request.param)
    e0, slope = (
        torch.randn(graph.num_nodes, DIM, dtype=torch.float64, generator=random) for _ in range(2)
    )
    return graph, e0, slope


def test_autograd_through_a_converged_solve_is_the_implicit_gradient(problem):
    graph, e0, slope = problem
    leaf = e0.clone().requires_grad_()
    z = leaf
    for _ in range(80):
        z = propagate(graph, z, x0=leaf, alpha=ALPHA)
    (z * slope).sum().backward()
    torch.testing.assert_close(z.detach(), exact(graph, e0))
    torch.testing.assert_close(leaf.grad, exact(graph, slope))


def test_with_all_neighbours_both_memories_converge(problem):
    """No sampling noise: errors fall geometrically, to nothing."""
    forward, backward = run(*problem, steps=240, fanout=256)
    for errors in (forward, backward):
        assert errors[-1] < 1e-9
        assert errors[119] < 1e-3 * errors[29]


def test_sampled_forward_converges_all_the_same(problem):
    """Its noise is that of the change since the history, which goes to nothing with the change."""
    forward, _ = run(*problem, steps=600, fanout=2)
    assert forward[-1] < 1e-6 < forward[60]


def test_sampled_gradient_memory_stays_noisy_without_history(problem):
    """The floor falls with the fanout, and no number of steps brings it lower."""
    _, few = run(*problem, steps=300, fanout=2)
    _, more = run(*problem, steps=300, fanout=6)
    late = slice(100, None)
    assert 0.01 < sum(more[late]) < 0.8 * sum(few[late])


@pytest.mark.parametrize("fanout", [1, 3])
def test_history_cuts_the_error_to_that_of_the_drift(problem, fanout):
    graph, z, noise = problem
    history = z - 0.01 * noise
    rows = torch.arange(graph.num_nodes)
    plain, reduced, of_drift = [], [], []
    for seed in range(40):
        settings = {"fanout": fanout, "seed": seed}
        plain.append(sample_aggregate(graph, rows, z, **settings))
        reduced.append(
            sample_aggregate(
                graph, rows, z, history=history, history_sum=propagate(graph, history), **settings
            )
        )
        of_drift.append(sample_aggregate(graph, rows, 0.01 * noise, **settings))
    target = propagate(graph, z)
    drift = propagate(graph, 0.01 * noise)
    torch.testing.assert_close(torch.stack(reduced) - target, torch.stack(of_drift) - drift)
    assert error(torch.stack(reduced), target) < 0.02 * error(torch.stack(plain), target)
