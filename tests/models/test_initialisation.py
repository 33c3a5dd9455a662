"""Starts: their size, what a warm start holds, and that every model with embeddings takes each."""

from __future__ import annotations

import pytest
import torch
from models.contract import checkerboard, same_bits, share_right, state_of, train
from models.dense import dense_adjacency, random_graph

from ltgnn.graph import BipartiteGraph
from ltgnn.models import MODELS, create
from ltgnn.ops import mix_seed, random_projection

STARTS = ["xavier", "normal", "svd", "random_projection"]
WARM = STARTS[2:]


def sizes(model):
    users = model.graph.num_users
    return [
        part.double().square().mean().sqrt().item() for part in (model.e0[:users], model.e0[users:])
    ]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("init", WARM)
def test_a_warm_start_is_as_large_as_the_default(init, share):
    graph = random_graph()
    warm = create("mf", graph, dim=16, init=init, init_random=share)
    default = create("mf", graph, dim=16)
    for mine, other in zip(sizes(warm), sizes(default), strict=True):
        # Exactly so in expectation: random and found parts are nearly orthogonal.
        assert abs(mine / other - 1) < (0.1 if share == 0.5 else 1e-5)
    assert torch.equal(warm.e0, default.e0) == (share == 1.0)


def test_svd_scores_are_those_of_the_best_low_rank_matrix():
    graph = random_graph()
    model = create("mf", graph, dim=8, init="svd", init_random=0.0)
    users, items = (part.double() for part in model.embeddings())
    block = dense_adjacency(graph, False)[: graph.num_users, graph.num_users :]
    u, s, vt = torch.linalg.svd(block)
    best = (u[:, :8] * s[:8]) @ vt[:8]
    scores = users @ items.T
    scores = scores * (best.norm() / scores.norm())
    # The best one's own error is half of the matrix here.
    assert (block - scores).norm() < 1.02 * (block - best).norm()


def test_random_projection_is_fastrp():
    graph = random_graph()
    model = create("mf", graph, dim=8, init="random_projection", init_random=0.0, seed=3)
    features = random_projection(graph, 8, seed=mix_seed(3, 2))
    for part in (slice(0, graph.num_users), slice(graph.num_users, None)):
        ratio = model.e0[part].norm() / features[part].norm()
        torch.testing.assert_close(model.e0[part].data, features[part] * ratio)


@pytest.mark.parametrize("init", WARM)
def test_what_the_graph_does_not_tell_stays_random(init):
    """Isolated nodes, and columns beyond the rank; also of a graph without edges."""
    graph = BipartiteGraph.from_edges([1, 3, 3], [2, 4, 2], num_users=6, num_items=7)
    warm = create("mf", graph, dim=16, init=init, init_random=0.0)
    default = create("mf", graph, dim=16)
    isolated = graph.degrees == 0
    assert torch.equal(warm.e0[isolated], default.e0[isolated])
    assert not torch.equal(warm.e0[~isolated], default.e0[~isolated])
    if init == "svd":
        assert torch.equal(warm.e0[:, 2:], default.e0[:, 2:])
    empty = BipartiteGraph.from_edges([], [], num_users=3, num_items=2)
    assert torch.equal(create("mf", empty, dim=4, init=init).e0, create("mf", empty, dim=4).e0)


@pytest.mark.parametrize("init", STARTS)
@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].has_embeddings])
def test_every_model_takes_every_start(name, init):
    # The two singular vectors differ in signs, which a ReLU between layers loses, or not, by chance of the weights.
    settings = {"layers": 1} if name == "gcn" else {}
    assert share_right(train(name, checkerboard(), init=init, **settings)) >= 0.95


@pytest.mark.parametrize("init", WARM)
def test_the_same_bits_for_any_number_of_threads(init):
    graph = random_graph()
    threads, states = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            states.append(state_of(create("ltgnn", graph, dim=8, init=init)))
    finally:
        torch.set_num_threads(threads)
    assert same_bits(states[0], states[1]) and same_bits(states[0], states[2])


@pytest.mark.parametrize("init", WARM)
def test_bfloat16_tables_hold_it_rounded(init):
    graph = random_graph()
    exact = create("ltgnn", graph, dim=8, init=init)
    rounded = create("ltgnn", graph, dim=8, init=init, table_dtype="bfloat16")
    assert torch.equal(rounded.e0, exact.e0.to(torch.bfloat16))
