"""LTGNN with tables in bfloat16: dtypes kept, float32 out, and learning as in float32."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import ltgnn
from ltgnn.models import LTGNN, Batch, create

DTYPES = {
    "float32": (torch.float32, torch.float32),
    "mixed": (torch.float32, torch.bfloat16),
    "bfloat16": (torch.bfloat16, torch.bfloat16),
}
DEEP = {"depth": "fixed_point", "gradient_memory": True, "self_loops": True, "c0": 0.2}


def make(table_dtype: str, **settings: Any) -> LTGNN:
    random = torch.Generator().manual_seed(0)
    users, items = (
        torch.randint(40, (600,), generator=random),
        torch.randint(50, (600,), generator=random),
    )
    # Users like items of their own parity.
    graph = ltgnn.graph.BipartiteGraph.from_edges(
        users, items - (items + users) % 2 % 2 * (items > 0).long(), num_users=40, num_items=50
    )
    model = create("ltgnn", graph, dim=16, table_dtype=table_dtype, **settings)
    assert isinstance(model, LTGNN)
    return model


def losses(model: LTGNN, steps: int = 60) -> list[float]:
    random, found = torch.Generator().manual_seed(1), []
    for step in range(steps):
        users = torch.randint(40, (128,), generator=random)
        items = torch.randint(25, (128,), generator=random) * 2 + users % 2
        negatives = (items + 1) % 50 if model.needs_negatives else None
        if step % 10 == 0:
            model.refresh()
        found.append(float(model.training_step(Batch(users, items, negatives, seed=step))))
    return found


@pytest.mark.parametrize("table_dtype", DTYPES)
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("loss", ["bpr", "softmax"])
def test_dtypes_and_learning(table_dtype: str, deep: bool, loss: str) -> None:
    settings: dict[str, Any] = {**(DEEP if deep else {}), "loss": loss, "lr": 0.02}
    model, exact = make(table_dtype, **settings), make("float32", **settings)
    got, want = losses(model), losses(exact)
    assert got[-1] < got[0] - 0.05
    assert abs(sum(got[-10:]) - sum(want[-10:])) / 10 < 0.1 * (want[0] - want[-1])
    embeddings, others = DTYPES[table_dtype]
    assert model.e0.dtype == embeddings
    tables = (model.adam_m, model.adam_v, model.delta, model.history_sum, model.z, model.g)
    assert {table.dtype for table in tables if table is not None} == {others}
    assert all(table.dtype == torch.float32 for table in model.embeddings())


@pytest.mark.parametrize(
    "settings", [{"c1": 0.1, "c2": 0.1}, {"faithful": True}, {"inference": "solve"}]
)
def test_every_other_path_takes_bfloat16(settings: dict[str, Any]) -> None:
    model = make("bfloat16", **{**DEEP, "loss": "bpr", **settings})
    assert all(torch.isfinite(torch.tensor(losses(model, 12))))
    assert model.embeddings()[0].isfinite().all()


def test_state_keeps_its_dtype() -> None:
    model, other = make("bfloat16", **DEEP), make("bfloat16", **DEEP)
    losses(model, 5)
    other.load_state_dict(model.state_dict())
    assert other.e0.dtype == torch.bfloat16
    assert losses(model, 5) == losses(other, 5)


def test_unknown_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match="table_dtype must be 'float32', 'mixed' or 'bfloat16'"):
        make("float16")
