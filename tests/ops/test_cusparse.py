"""The cuSPARSE path over its emulated twin: plans are made once, kept with the graph, and freed with it."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from typing import Any

import emulation
import pytest
import torch
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.ops import Csr, cusparse_plans, propagate

module: Any = sys.modules["ltgnn.ops.propagate_cusparse"]  # the function has the module's name
pytestmark = pytest.mark.emu
F64 = torch.float64


@pytest.fixture(autouse=True)
def plans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The path over the emulated operators; afterwards every plan must have gone with its graph."""
    emulation.load()
    plans = _Plans(torch.ops.ltgnn_emu)
    for part in (module, cusparse_plans):
        monkeypatch.setattr(part, "_ops", plans)
    yield plans
    gc.collect()
    assert plans.alive == set()


class _Plans:
    """The operators, counting plans."""

    def __init__(self, ops: Any) -> None:
        self.ops, self.alive, self.made = ops, set[int](), 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ops, name)

    def cusparse_plan(self, *arguments: Any) -> int:
        plan = int(self.ops.cusparse_plan(*arguments))
        self.alive.add(plan)
        self.made += 1
        return plan

    def cusparse_plan_free(self, plan: int) -> None:
        self.alive.remove(plan)
        self.ops.cusparse_plan_free(plan)


def make_graph() -> BipartiteGraph:
    return BipartiteGraph.from_edges([0, 0, 1, 3, 3, 3], [0, 1, 1, 0, 2, 4], num_users=5)


def table(rows: int, dim: int = 5, dtype: torch.dtype = F64, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(rows, dim, generator=random, dtype=F64).to(dtype)


def multiply(graph: Any, x: Tensor, x0: Tensor | None = None, alpha: float = 0.0) -> Tensor:
    """`propagate(graph, x, backend="cusparse")`, without its demand for a GPU."""
    csr = module_csr(graph, x)
    result: Tensor = module.multiply(csr, x, x0=x0, alpha=alpha, owner=graph)
    return result


def module_csr(graph: Any, x: Tensor) -> Csr:
    from ltgnn.ops.csr import as_csr

    return as_csr(graph, x, weight=None, self_loops=False, op="propagate")


@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.bfloat16, torch.float16])
def test_equals_native_forward_and_backward(dtype: torch.dtype, plans: _Plans) -> None:
    graph = make_graph()
    results = []
    for function in (multiply, propagate):
        x = table(graph.num_nodes, dtype=dtype).requires_grad_()
        x0 = table(graph.num_nodes, dtype=dtype, seed=1).requires_grad_()
        y = function(graph, x, x0=x0, alpha=0.3)
        y.square().sum().backward()
        results.append((y, x.grad, x0.grad))
    # cuSPARSE's values are of the dtype of x, ours stay in float32.
    tolerance = 8 * torch.finfo(dtype).eps
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)
    assert plans.made == 1  # a bipartite graph's matrix is its own transpose


def test_later_calls_reuse_the_plan(plans: _Plans) -> None:
    graph = make_graph()
    for dim in (5, 5, 3, 5):
        multiply(graph, table(graph.num_nodes, dim))
    assert plans.made == 1
    multiply(graph, table(graph.num_nodes, dtype=torch.float32))
    assert plans.made == 2
    multiply(make_graph(), table(graph.num_nodes))
    assert plans.made == 3


def test_a_torch_matrix_and_its_transpose(plans: _Plans) -> None:
    a = table(4, 7).relu()
    csr = a.to_sparse_csr()
    x = table(7).requires_grad_()
    for _ in range(2):
        y = multiply(csr, x)
        torch.testing.assert_close(y, a @ x)
        (grad,) = torch.autograd.grad(y.square().sum(), x)
        torch.testing.assert_close(grad, 2 * a.T @ (a @ x).detach())
    assert plans.made == 2


def test_values_changed_in_place_are_seen() -> None:
    a = table(4, 4).relu()
    csr = a.to_sparse_csr()
    for dtype in (F64, torch.float16):
        x = table(4, dtype=dtype)
        multiply(csr, x)
        csr.values().mul_(2)
        a = a * 2
        torch.testing.assert_close(multiply(csr, x).double(), a @ x.double(), rtol=4e-3, atol=4e-3)


def test_a_graph_keeps_few_plans(plans: _Plans) -> None:
    graph = make_graph()
    for _ in range(3 * cusparse_plans.MAX_PLANS):
        weight = torch.rand(2 * graph.num_edges, dtype=F64)
        csr = Csr(graph.indptr, graph.indices, graph.num_nodes, weight)
        module.multiply(csr, table(graph.num_nodes), x0=None, alpha=0.0, owner=graph)
    gc.collect()
    assert len(plans.alive) == cusparse_plans.MAX_PLANS


def test_a_backward_pass_outlives_the_graph(plans: _Plans) -> None:
    a = table(4, 7).relu()
    x = table(7).requires_grad_()
    y = multiply(a.to_sparse_csr(), x)
    gc.collect()
    assert len(plans.alive) == 2
    y.sum().backward()
    torch.testing.assert_close(x.grad, a.T @ torch.ones(4, 5, dtype=F64))
    del y
    gc.collect()
    assert plans.alive == set()


def test_threads_share_a_graph(plans: _Plans) -> None:
    graph = make_graph()
    want = propagate(graph, table(graph.num_nodes))
    wrong: list[Any] = []

    def work() -> None:
        for dim in (5, 2, 5):
            got = multiply(graph, table(graph.num_nodes, dim))
            if dim == 5 and not torch.allclose(got, want):
                wrong.append(got)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and plans.made == 1


def test_a_malformed_matrix_is_refused_when_its_plan_is_made() -> None:
    indptr, indices = torch.tensor([0, 2, 3]), torch.tensor([0, 2, 1], dtype=torch.int32)
    for scale in (None, torch.ones(2, dtype=F64)):
        csr = Csr(indptr, indices, 2, torch.ones(3, dtype=F64), scale, scale)
        with pytest.raises(
            IndexError, match=r"indices must be in \[0, 2\), got indices\[1\] = 2 in row 0"
        ):
            multiply(csr, table(2))


def test_plans_that_are_not_there_or_of_another_matrix_are_refused() -> None:
    ops = torch.ops.ltgnn_emu
    csr = table(3, 3).to_sparse_csr()
    a = (csr.crow_indices(), csr.col_indices(), csr.values())
    x = table(3)

    def call(*matrix: Tensor, plan: int) -> Tensor:
        result: Tensor = ops.propagate_cusparse(*matrix, x, None, 0.0, None, None, None, plan, 0)
        return result

    plan = ops.cusparse_plan(*a, 3)
    assert torch.equal(call(*a, plan=plan), call(*a, plan=0))
    with pytest.raises(ValueError, match=f"propagate_cusparse: plan {plan} was made for another"):
        call(a[0], a[1], a[2].clone(), plan=plan)
    ops.cusparse_plan_free(plan)
    for action in (lambda: call(*a, plan=plan), lambda: ops.cusparse_plan_free(plan)):
        with pytest.raises(ValueError, match=f"there is no plan {plan}: it was freed, or never"):
            action()


def test_what_cusparse_cannot_do_is_refused() -> None:
    graph = make_graph()
    weight = torch.rand(2 * graph.num_edges, dtype=F64).requires_grad_()
    csr = Csr(graph.indptr, graph.indices, graph.num_nodes, weight)
    with pytest.raises(ValueError, match="has no gradient of weight; use backend='native'"):
        multiply(csr, table(graph.num_nodes))
    with torch.no_grad():
        multiply(csr, table(graph.num_nodes))
    with pytest.raises(ValueError, match="needs x on a CUDA device, got cpu"):
        propagate(graph, table(graph.num_nodes), backend="cusparse")
