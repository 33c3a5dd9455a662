"""LTGNN's mathematics, against dense linear algebra."""

from __future__ import annotations

import pytest
import torch
from models.contract import checkerboard, state_of
from models.dense import dense_adjacency, log_sum_of_negatives, random_graph

from ltgnn.graph import BipartiteGraph
from ltgnn.models import Batch, create
from ltgnn.models.ltgnn_config import LTGNNConfig
from ltgnn.models.output_adjustment import output_adjustment
from ltgnn.ops import ltgnn_forward_


def exact(model) -> torch.Tensor:
    """alpha (I - (1 - alpha) A)^-1 E0."""
    alpha = model.config.alpha
    a = dense_adjacency(model.graph, model.config.self_loops)
    system = torch.eye(len(a), dtype=torch.float64) - (1 - alpha) * a
    return alpha * torch.linalg.solve(system, model.e0.double())


@pytest.mark.parametrize("self_loops", [False, True])
def test_solve_is_the_fixed_point(self_loops):
    model = create("ltgnn", random_graph(), dim=8, depth="fixed_point", alpha=0.2,
                   self_loops=self_loops, inference="solve", tol=1e-7)  # fmt: skip
    torch.testing.assert_close(model.node_embeddings().double(), exact(model), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.05, 1.0])
def test_solve_ends_even_if_rounding_never_settles(alpha, monkeypatch):
    model = create("ltgnn", random_graph(), dim=8, depth="fixed_point", alpha=alpha,
                   inference="solve", tol=1e-7)  # fmt: skip
    calls = []

    def restless(z, times):
        calls.append(times)
        assert len(calls) < 10_000, "the solve does not end"
        return z + 1

    monkeypatch.setattr(model, "_sweep", restless)
    assert torch.isfinite(model.node_embeddings()).all()


@pytest.mark.parametrize("sweeps", [0, 1, 3])
def test_sweeps_are_truncated_propagation(sweeps):
    model = create("ltgnn", random_graph(), dim=8, depth="fixed_point", alpha=0.3, sweeps=sweeps)
    a, e0 = dense_adjacency(model.graph, False), model.e0.double()
    z = e0
    for _ in range(sweeps):
        z = 0.7 * a @ z + 0.3 * e0
    torch.testing.assert_close(model.node_embeddings().double(), z, rtol=1e-4, atol=1e-6)


def test_one_hop_is_one_exact_step():
    model = create("ltgnn", random_graph(), dim=8, alpha=0.4)
    a, e0 = dense_adjacency(model.graph, False), model.e0.double()
    torch.testing.assert_close(
        model.node_embeddings().double(), 0.6 * a @ e0 + 0.4 * e0, rtol=1e-4, atol=1e-6
    )


def test_output_adjustment_takes_out_its_parts():
    graph = random_graph()
    model = create("ltgnn", graph, dim=8, alpha=0.4, c0=0.2, c1=0.1, c2=0.3)
    a, e0 = dense_adjacency(graph, False), model.e0.double()
    q = graph.degrees.double().sqrt()
    q /= q.norm()
    z = 0.6 * a @ e0 + 0.4 * e0
    expected = (z - 0.2 * e0 - 0.1 * a @ e0 - 0.3 * torch.outer(q, q @ e0)) / 0.4
    torch.testing.assert_close(model.node_embeddings().double(), expected, rtol=1e-4, atol=1e-6)


def test_stored_embeddings_approach_the_fixed_point():
    """With embeddings held still, steps over all nodes solve the fixed point: error against steps."""
    graph = random_graph()
    model = create("ltgnn", graph, dim=8, depth="fixed_point", alpha=0.3, start_sweeps=0, lr=0.0,
                   fanout=4, refresh_every=10)  # fmt: skip
    errors = []
    users = torch.arange(graph.num_users)
    items = torch.arange(graph.num_items)[: graph.num_users]
    rest = torch.arange(graph.num_items - graph.num_users)
    for step in range(120):
        model.training_step(Batch(users, items, None, seed=step))
        model.training_step(Batch(rest, rest + graph.num_users, None, seed=1000 + step))
        errors.append((model.z.double() - exact(model)).norm().item())
    assert errors[40] < 0.2 * errors[0]
    assert errors[-1] < 1e-2 * errors[0], errors[::20]


def test_faithful_moves_sampled_neighbours_only_with_momentum():
    graph = checkerboard()
    settings = {"dim": 8, "depth": "fixed_point", "gradient_memory": True, "c0": 0.2, "fanout": 5}
    users, items = torch.tensor([0, 1]), torch.tensor([0, 1])
    touched = torch.tensor([0, 1, 40, 41])
    others = torch.tensor([n for n in range(graph.num_nodes) if n not in touched.tolist()])
    moved = {}
    for faithful in (False, True):
        model = create("ltgnn", graph, faithful=faithful, **settings)
        model.adam_m.fill_(0.1)  # as if every row had had gradients before
        model.adam_v.fill_(0.1)
        before = state_of(model)["e0"]
        model.training_step(Batch(users, items, None, seed=1))
        moved[faithful] = (model.e0 - before).abs().sum(1)
    assert (moved[False][touched] > 0).all()
    assert (moved[False][others] == 0).all()
    assert (moved[True][others] > 0).sum() > 0
    assert (moved[True][others] == 0).sum() > 0


def test_own_gradient_equals_autograd_of_the_row():
    """Without memory, E0's gradient is that of z_r = (1 - alpha) x_r + alpha e0_r with x_r held fixed."""
    graph = random_graph()
    model = create("ltgnn", graph, dim=8, alpha=0.4, fanout=64, lr=1.0, l2=0.0, allow_bf16=False,
                   exclude_pair=False)  # fmt: skip
    users, items = torch.arange(10), torch.arange(10, 20)
    model.adam_v.fill_(1.0)  # then a step is about proportional to the gradient
    e0 = model.e0.double().clone()
    x = (dense_adjacency(graph, False) @ e0).detach()
    leaf = e0.clone().requires_grad_()
    z = 0.6 * x + 0.4 * leaf
    unit = torch.nn.functional.normalize(z, dim=1)
    logits = unit[users] @ unit[items + graph.num_users].T / model.config.tau
    others = log_sum_of_negatives(logits, graph, users, items)
    loss = (model.config.exponent * others - logits.diagonal()).mean()
    loss.backward()
    value = model.training_step(Batch(users, items, None, seed=0))
    torch.testing.assert_close(value, loss.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.adam_m.double(), 0.1 * leaf.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("side", [200, 1500, 20_000])
def test_the_adjustment_has_the_same_bits_for_any_number_of_threads(side):
    random = torch.Generator().manual_seed(0)
    users, items = (torch.randint(side, (3 * side,), generator=random) for _ in range(2))
    graph = BipartiteGraph.from_edges(users, items, num_users=side, num_items=side)
    e0 = torch.randn(2 * side, 16, generator=random)
    config, threads, found = LTGNNConfig(dim=16, c1=0.1, c2=0.2), torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(output_adjustment(graph, e0, config))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


@pytest.mark.parametrize("depth", ["one_hop", "fixed_point"])
def test_refreshes_come_when_the_residual_asks_for_them(depth, monkeypatch):
    """Eight steps an epoch look: a low limit is always passed there, a high one never, and one between rarely."""
    graph, steps = random_graph(), 64
    every = -(-graph.num_edges // (8 * 20))
    users, items = torch.arange(20), torch.arange(20)
    counts = {}
    for limit in (0.0, 1e-9, 0.02, 1e9):
        model = create("ltgnn", graph, dim=8, depth=depth, refresh_residual=limit, lr=1e-3)
        moments = []

        def refresh(model=model, moments=moments):
            moments.append(int(model.step))
            type(model).refresh(model)

        monkeypatch.setattr(model, "refresh", refresh)
        for step in range(steps):
            model.training_step(Batch(users, items, None, seed=step))
        assert all(moment % every == 0 for moment in moments)
        counts[limit] = len(moments)
    assert counts[0.0] == counts[1e9] == 0
    assert every > 1 and counts[1e-9] == steps // every - 1  # at the first look nothing has moved
    assert 0 <= counts[0.02] <= counts[1e-9]


def test_a_refresh_by_residual_makes_the_history_exact():
    graph = random_graph()
    model = create("ltgnn", graph, dim=8, refresh_residual=1e-9, lr=0.1)
    batch = Batch(torch.arange(20), torch.arange(20), None, seed=0)
    for _ in range(16):
        model.training_step(batch)
    assert model.delta.any()
    e0 = model.e0.double().clone()
    model.training_step(batch)  # the 17th, which looks first
    expected = dense_adjacency(graph, False) @ e0
    torch.testing.assert_close(model.history_sum.double(), expected, rtol=1e-5, atol=1e-6)


def outputs(model, seeds) -> torch.Tensor:
    """[seeds, num_nodes, dim]: one sampled output of every node for each seed."""
    c, rows = model.config, torch.arange(model.graph.num_nodes)
    tables = model._tables()
    return torch.stack(
        [ltgnn_forward_(model.graph, tables, rows, alpha=c.alpha, fanout=c.fanout, seed=seed,
                        self_loops=c.self_loops)[0].double() for seed in seeds]
    )  # fmt: skip


@pytest.mark.parametrize("self_loops", [False, True])
def test_without_variance_reduction_what_neighbors_hold_is_sampled(self_loops):
    """No sum of a history is added, the mean is the exact output, and the noise is far above that of what moved."""
    graph, spread = random_graph(), {}
    for reduced in (False, True):
        model = create("ltgnn", graph, dim=8, fanout=2, variance_reduction=reduced, lr=1e-3,
                       self_loops=self_loops, refresh_residual=1e-9)  # fmt: skip
        for step in range(20):
            model.training_step(Batch(torch.arange(20), torch.arange(20), None, seed=step))
        assert model.history_sum.any() == reduced
        if not reduced:
            torch.testing.assert_close(model.delta, model.e0.detach(), rtol=1e-5, atol=1e-6)
        drawn = outputs(model, range(2000))
        a, e0, alpha = dense_adjacency(graph, self_loops), model.e0.double(), model.config.alpha
        error = drawn.mean(0) - ((1 - alpha) * a @ e0 + alpha * e0)
        spread[reduced] = drawn.std(0)
        assert (error.abs() <= 6 * spread[reduced] / 2000**0.5 + 1e-6).all()
    assert spread[False].norm() > 5 * spread[True].norm()


@pytest.mark.parametrize("depth", ["one_hop", "fixed_point"])
def test_without_variance_reduction_and_with_every_neighbor_a_step_is_the_same(depth):
    graph, moved = random_graph(), []
    for reduced in (False, True):
        model = create(
            "ltgnn", graph, dim=8, fanout=256, variance_reduction=reduced, depth=depth, lr=0.01
        )
        for step in range(5):
            model.training_step(Batch(torch.arange(20), torch.arange(20), None, seed=step))
        moved.append(model.e0.detach().clone())
    torch.testing.assert_close(*moved, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["ltgnn", "ltgnn_multiscale", "lightgcn", "mf"])
@pytest.mark.parametrize("log_q", [None, torch.zeros(3)])
def test_a_batch_without_its_log_q_is_refused_before_anything_changes(name, log_q):
    settings = {"depth": "fixed_point"} if name == "ltgnn" else {}
    model = create(name, random_graph(), dim=8, loss="softmax", log_q=True, **settings)
    before = {key: value.clone() for key, value in state_of(model).items()}
    batch = Batch(torch.arange(20), torch.arange(20), None, seed=0, log_q=log_q)
    with pytest.raises(ValueError, match=rf"{name}: with log_q the batch's log_q must be \[20\]"):
        model.training_step(batch)
    after = state_of(model)
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_candidates_need_the_history_for_one_hop():
    with pytest.raises(ValueError, match="variance_reduction"):
        create("ltgnn", random_graph(), loss="bpr", negatives="dns", variance_reduction=False)
