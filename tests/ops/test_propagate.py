"""propagate through its public function: algebra, every kind of graph, autograd, torch.compile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ltgnn.graph import BipartiteGraph
from ltgnn.ops import Csr, propagate

F64 = torch.float64


@st.composite
def matrices(draw: st.DrawFn, square: bool = False) -> scipy.sparse.csr_array:
    rows = draw(st.integers(0, 12))
    cols = rows if square else draw(st.integers(0, 12))
    density = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    return scipy.sparse.random_array((rows, cols), density=density, format="csr", rng=random)


def table(rows: int, dim: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed), dtype=F64)


def dense(matrix: Any) -> Tensor:
    return torch.from_numpy(matrix.toarray()).double()


def normalised(graph: BipartiteGraph, self_loops: bool = False) -> Tensor:
    """D^-1/2 (A [+ I]) D^-1/2, written out."""
    biadjacency = dense(graph.to_scipy())
    users, items = biadjacency.shape
    a = torch.cat([torch.cat([torch.zeros(users, users), biadjacency], 1),
                   torch.cat([biadjacency.T, torch.zeros(items, items)], 1)]).double()  # fmt: skip
    a += torch.eye(len(a)) * self_loops
    scale = a.sum(1).clamp(min=1).rsqrt()
    return scale[:, None] * a * scale


def small_graph() -> BipartiteGraph:
    return BipartiteGraph.from_edges([0, 0, 1, 3, 3, 3], [0, 1, 1, 0, 2, 4], num_users=5)


@given(matrices(), st.floats(-3, 3), st.floats(-3, 3))
def test_linear(matrix: Any, a: float, b: float) -> None:
    x, y = table(matrix.shape[1]), table(matrix.shape[1], seed=1)
    left = propagate(matrix, a * x + b * y)
    torch.testing.assert_close(left, a * propagate(matrix, x) + b * propagate(matrix, y))


@given(matrices())
def test_adjoint(matrix: Any) -> None:
    x, y = table(matrix.shape[1]), table(matrix.shape[0], seed=1)
    left = (propagate(matrix, x) * y).sum()
    torch.testing.assert_close(left, (x * propagate(matrix.T.tocsr(), y)).sum())
    leaf = x.clone().requires_grad_()
    propagate(matrix, leaf).backward(y)
    torch.testing.assert_close(leaf.grad, propagate(matrix.T.tocsr(), y))


@given(matrices(square=True), st.floats(0, 1), st.booleans())
def test_equals_dense(matrix: Any, alpha: float, self_loops: bool) -> None:
    size = matrix.shape[0]
    x, x0 = table(size), table(size, seed=1)
    a = dense(matrix) + self_loops * torch.eye(size, dtype=F64)
    got = propagate(matrix, x, x0=x0, alpha=alpha, self_loops=self_loops)
    torch.testing.assert_close(got, (1 - alpha) * a @ x + alpha * x0)
    without = propagate(matrix, x, alpha=alpha, self_loops=self_loops)
    torch.testing.assert_close(without, (1 - alpha) * a @ x)


@given(matrices(), st.sampled_from(["csr", "csc", "coo", "lil", "dok", "dia", "bsr"]))
def test_every_scipy_format(matrix: Any, form: str) -> None:
    if form == "bsr" and 0 in matrix.shape:
        form = "csr"  # scipy has no empty block matrices
    x = table(matrix.shape[1])
    torch.testing.assert_close(propagate(matrix.asformat(form), x), dense(matrix) @ x)


@pytest.mark.parametrize("index", [torch.int32, torch.int64])
@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.bfloat16, torch.float16])
def test_torch_sparse_csr(index: torch.dtype, dtype: torch.dtype) -> None:
    a = table(7, 9).relu().to(dtype)
    csr = a.to_sparse_csr()
    csr = torch.sparse_csr_tensor(
        csr.crow_indices().to(index), csr.col_indices().to(index), csr.values(), a.shape
    )
    x = table(9).to(dtype)
    tolerance = {} if dtype == F64 else {"rtol": 2e-2, "atol": 2e-2}
    torch.testing.assert_close(propagate(csr, x), a @ x, **tolerance)


def test_torch_sparse_csr_values_get_gradients() -> None:
    a = table(4, 4).relu().to_sparse_csr().requires_grad_()
    x = table(4, seed=1)
    propagate(a, x).sum().backward()
    want = x.sum(1).expand(4, 4) * (a.detach().to_dense() != 0)
    torch.testing.assert_close(a.grad.to_dense(), want)


@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_bipartite_graph(dtype: torch.dtype, self_loops: bool) -> None:
    graph = small_graph()
    x = table(graph.num_nodes).to(dtype)
    got = propagate(graph, x, self_loops=self_loops)
    torch.testing.assert_close(got, (normalised(graph, self_loops) @ x.double()).to(dtype))


def test_bipartite_graph_gradients_with_and_without_weight() -> None:
    graph = small_graph()
    x = table(graph.num_nodes, 3).requires_grad_()
    weight = torch.rand(2 * graph.num_edges, dtype=F64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: propagate(graph, x, self_loops=True), x)

    def weighted(x: Tensor, w: Tensor) -> Tensor:
        return propagate(graph, x, weight=w, x0=x, alpha=0.2, self_loops=True)

    assert torch.autograd.gradcheck(weighted, (x, weight))
    assert torch.autograd.gradgradcheck(weighted, (x, weight))


def test_weight_replaces_normalisation_and_stored_values() -> None:
    graph = small_graph()
    x = table(graph.num_nodes)
    ones = torch.ones(2 * graph.num_edges, dtype=F64)
    want = (normalised(graph) != 0).double() @ x
    torch.testing.assert_close(propagate(graph, x, weight=ones), want)
    matrix = scipy.sparse.csr_array(np.array([[0.0, 5.0], [7.0, 0.0]]))
    got = propagate(matrix, table(2), weight=torch.ones(2, dtype=F64))
    torch.testing.assert_close(got, table(2).flip(0))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_out_is_written_and_returned(alpha: float) -> None:
    graph = small_graph()
    x = table(graph.num_nodes).requires_grad_()
    out = torch.full_like(x, torch.nan, requires_grad=False)
    returned = propagate(graph, x, x0=x, alpha=alpha, out=out)
    assert returned is out and not out.requires_grad
    assert torch.equal(out, propagate(graph, x, x0=x, alpha=alpha))


@pytest.mark.parametrize("dim", [3, 8, 33, 100])
def test_out_may_be_x0(dim: int) -> None:
    graph = small_graph()
    x, x0 = table(graph.num_nodes, dim), table(graph.num_nodes, dim, seed=1)
    want = propagate(graph, x, x0=x0, alpha=0.4)
    assert torch.equal(propagate(graph, x, x0=x0, alpha=0.4, out=x0), want)


def test_out_may_be_the_one_row_of_x0() -> None:
    graph = scipy.sparse.csr_matrix([[1.0, 2.0]])
    x, x0 = table(2), table(1, seed=1)
    want = propagate(graph, x, x0=x0, alpha=0.4)
    assert torch.equal(propagate(graph, x, x0=x0, alpha=0.4, out=x0), want)


@pytest.mark.parametrize("first", [0, 1, 4, 8])
def test_out_must_not_overlap_x(first: int) -> None:
    """x is rows 0 to 9 of a buffer; out begins inside of it."""
    graph = small_graph()
    buffer = table(2 * graph.num_nodes)
    x, out = buffer[: graph.num_nodes], buffer[first : first + graph.num_nodes]
    with pytest.raises(ValueError, match="propagate: out must not"):
        propagate(graph, x, out=out)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bits_are_rounded_once(dtype: torch.dtype) -> None:
    """Sums are held in float32: the result is the float32 result, rounded."""
    graph = small_graph()
    x = table(graph.num_nodes, 70).to(dtype)
    want = propagate(graph, x.float(), x0=x.float(), alpha=0.1)
    got = propagate(graph, x, x0=x, alpha=0.1)
    assert got.dtype == dtype
    torch.testing.assert_close(got.float(), want, rtol=torch.finfo(dtype).eps, atol=1e-6)


def test_nan_and_inf_go_where_their_edges_lead_and_nowhere_else() -> None:
    graph = small_graph()
    x = table(graph.num_nodes)
    x[0, 0], x[3, 1] = torch.nan, torch.inf  # users 0 and 3
    bad = ~propagate(graph, x).isfinite()
    assert bad[:, 0].nonzero().flatten().tolist() == [5, 6]  # user 0's items
    assert bad[:, 1].nonzero().flatten().tolist() == [5, 7, 9]  # user 3's items


@pytest.mark.parametrize("weighted", [False, True])
def test_compiles_whole_forward_and_backward(weighted: bool) -> None:
    graph = small_graph()
    csr = graph.csr(dtype=F64, normalized=not weighted)
    weight = torch.rand(2 * graph.num_edges, dtype=F64) if weighted else None

    def step(x: Tensor) -> Tensor:
        return propagate(csr, x, x0=x, alpha=0.1, weight=weight).square().sum()

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    gradients = []
    for function in (step, compiled):
        x = table(graph.num_nodes).requires_grad_()
        function(x).backward()
        gradients.append(x.grad)
    assert torch.equal(*gradients)


def test_compiles_with_a_bipartite_graph() -> None:
    graph = small_graph()
    compiled = torch.compile(
        lambda x: propagate(graph, x, x0=x, alpha=0.1), fullgraph=True, backend="aot_eager"
    )
    x = table(graph.num_nodes).requires_grad_()
    got = compiled(x)
    got.sum().backward()
    assert torch.equal(got, propagate(graph, x, x0=x, alpha=0.1))
    assert x.grad is not None


def test_refuses_what_is_not_a_graph() -> None:
    x = table(3)
    eye = torch.eye(3)
    wrong: list[tuple[Any, type[Exception], str]] = [
        (eye, TypeError, "graph must be a 2-D torch.sparse_csr tensor, got layout torch.strided"),
        (eye.to_sparse_coo(), TypeError, "got layout torch.sparse_coo"),
        (eye.to(torch.complex64).to_sparse_csr(), TypeError, "graph must be real, got torch.complex64"),
        (scipy.sparse.csr_array(1j * np.eye(3)), TypeError, "graph must be real, got complex128"),
        (scipy.sparse.coo_array(np.ones(3)), ValueError, "graph must be 2-D, got 1-D"),
        (np.eye(3), TypeError, "got ndarray"),
        (None, TypeError, "got NoneType"),
        (Csr(torch.zeros(4, dtype=torch.int64), torch.zeros(0, dtype=torch.int32), 4), ValueError,
         r"x must have num_cols = 4 rows, got shape \[3, 5\]"),
    ]  # fmt: skip
    for graph, error, pattern in wrong:
        with pytest.raises(error, match=f"propagate: .*{pattern}"):
            propagate(graph, x)
    with pytest.raises(TypeError, match="propagate: x must be a torch.Tensor, got ndarray"):
        propagate(small_graph(), np.ones((10, 2)))  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
@pytest.mark.parametrize("scaled", [False, True])
def test_a_table_past_the_caches_has_the_bits_of_its_halves(
    dtype: torch.dtype, index: torch.dtype, scaled: bool
) -> None:
    """The CPU asks for the rows of a table above 32 MB in another way than for those of a smaller one."""
    random = torch.Generator().manual_seed(0)
    nodes, edges, width = 2_000, 4_000, (36 << 20) // (2_000 * dtype.itemsize)
    indices = torch.randint(nodes, (edges,), generator=random).to(index)
    scale = torch.rand(nodes, generator=random, dtype=F64 if dtype == F64 else torch.float32)
    graph = Csr(torch.arange(0, edges + 1, 2), indices, nodes, col_scale=scale if scaled else None)
    x = torch.randn(nodes, width, generator=random).to(dtype)
    whole, half = propagate(graph, x), width // 2 // 128 * 128  # whole tiles
    assert torch.equal(whole[:, :half], propagate(graph, x[:, :half]))
    assert torch.equal(whole[:, half:], propagate(graph, x[:, half:]))
    bad = replace(graph, indices=indices.index_fill(0, torch.tensor([edges - 3]), nodes))
    with pytest.raises(IndexError, match="indices"):
        propagate(bad, x)
