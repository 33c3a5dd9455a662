"""The whole training step against its parts, one operator after another."""

from __future__ import annotations

import pytest
import torch
from ops.backends import same_bits

import ltgnn
from ltgnn.ops import LtgnnTables

NUM_USERS, NUM_ITEMS, DIM, BATCH = 30, 40, 12, 64
STEP = {"alpha": 0.4, "c0": 0.2, "fanout": 4, "self_loops": True}


def make(dtype: torch.dtype | None, deep: bool, memory: bool) -> LtgnnTables:
    """Tables of one dtype; None: e0 in float32 and the others in bfloat16."""
    random = torch.Generator().manual_seed(1)
    tables = torch.randn(7, NUM_USERS + NUM_ITEMS, DIM, generator=random).unbind()
    e0, m, v, delta, total, z, g = (table.to(dtype or torch.bfloat16) for table in tables)
    e0 = tables[0].to(dtype or torch.float32)
    return LtgnnTables(e0, m, v.abs(), delta, total, z if deep else None, g if memory else None)


@pytest.fixture
def graph() -> ltgnn.graph.BipartiteGraph:
    random = torch.Generator().manual_seed(2)
    users = torch.randint(NUM_USERS, (300,), generator=random)
    items = torch.randint(NUM_ITEMS, (300,), generator=random)
    return ltgnn.graph.BipartiteGraph.from_edges(
        users, items, num_users=NUM_USERS, num_items=NUM_ITEMS
    )


def triples(count: int = BATCH) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    users = torch.randint(NUM_USERS, (count,), generator=random)
    items = NUM_USERS + torch.randint(NUM_ITEMS, (2, count), generator=random)
    return users, items[0], items[1]


def tables_of(tables: LtgnnTables) -> list[torch.Tensor]:
    return [table for table in vars(tables).values() if table is not None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, None])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("batch", [0, 1, BATCH])
def test_same_bits_as_its_parts(graph, dtype, deep, memory, batch):
    fused, parts = make(dtype, deep, memory), make(dtype, deep, memory)
    ids, l2, seed, counter = triples(batch), 0.3, 77, torch.tensor([5])
    for done in (5, 6):
        loss = ltgnn.ops.ltgnn_bpr_step_(
            graph, fused, *ids, counter, **STEP, seed=seed, l2=l2, faithful=memory, lr=0.05
        )
        rows, positions, counts = torch.unique(
            torch.cat(ids), return_inverse=True, return_counts=True
        )
        out, h = ltgnn.ops.ltgnn_forward_(
            graph, parts, rows, **STEP, seed=ltgnn.ops.mix_seed(seed, done)
        )
        want, grad = ltgnn.ops.loss_and_grad(out, *positions.view(3, -1))
        ltgnn.ops.ltgnn_update_(
            parts, rows, grad, h, alpha=STEP["alpha"], c0=STEP["c0"],
            l2=counts.to(out.dtype) * (l2 / max(1, batch)), faithful=memory, step=done + 1, lr=0.05,
        )  # fmt: skip
        assert same_bits([loss, *tables_of(fused)], [want, *tables_of(parts)])
        assert counter.item() == done + 1


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_fault_leaves_everything_as_it_was(graph, position):
    tables, counter = make(torch.float32, True, True), torch.tensor([5])
    before = [table.clone() for table in tables_of(tables)]
    ids = [ids.clone() for ids in triples()]
    ids[position][9] = NUM_USERS + NUM_ITEMS
    with pytest.raises(IndexError, match=r"must be in \[0, 70\), got \w+\[9\] = 70"):
        ltgnn.ops.ltgnn_bpr_step_(graph, tables, *ids, counter, **STEP, seed=0, lr=0.1)
    assert same_bits(tables_of(tables), before)
    assert counter.item() == 5
