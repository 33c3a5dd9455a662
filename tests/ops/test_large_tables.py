"""Rows of tables with more than 2^32 elements: the training step, Adam and what scores pairs.

Every table is a sparse file of which the last rows alone are written. A product or a row number that is cut to 32
bits, with or without a sign, points to the file's beginning: nothing is read there but zeros, and what is written
there is missed at the end. Results are those of the last rows by themselves, as small tables.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import emulation
import pytest
import torch
from ops.far_tables import sparse_zeros
from torch import Tensor

import ltgnn
from ltgnn.ops import LtgnnTables

NEAR = 6  # rows of a small table
ADAM = {"lr": 0.05, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}


@pytest.fixture(params=["cpu", pytest.param("emu", marks=pytest.mark.emu)])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The operators, native or emulated, which those of ltgnn.ops then call as well."""
    if request.param == "emu":
        emulation.load()
        monkeypatch.setattr(torch.ops, "ltgnn", torch.ops.ltgnn_emu)
    return torch.ops.ltgnn


# Large products of row and width, then also rows whose own number is above 2^32.
@pytest.fixture(params=[1 << 16, 1])
def dim(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def far(tmp_path: Path) -> Any:
    """far(near, shift): zeros in `shift` rows, then the rows of `near`, a table or a vector."""

    def make(near: Tensor, shift: int) -> Tensor:
        shape = (shift + len(near), *near.shape[1:])
        table = sparse_zeros(tmp_path, shape[0] * near[0].numel(), near.dtype).view(shape)
        table[shift:] = near
        return table

    return make


def rows_before(dim: int) -> int:
    """The number of the first row behind 2^32 elements."""
    return 2**32 // dim


def random(rows: int, dim: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed)).to(dtype)


def assert_moved(far: Tensor, near: Tensor, tolerance: float = 0.0) -> None:
    """The last rows of `far` are those of `near`, and nothing was written where a lost offset leads."""
    assert not far[: len(near)].any()
    torch.testing.assert_close(far[-len(near) :], near, rtol=tolerance, atol=0.0)


@pytest.mark.parametrize("moments", [torch.float32, torch.bfloat16])
def test_adam(backend: Any, far: Any, dim: int, moments: torch.dtype) -> None:
    shift = rows_before(dim)
    near = [random(NEAR, dim), random(NEAR, dim, moments, 1), random(NEAR, dim, moments, 2).abs()]
    moved = [far(table, shift) for table in near]
    before = near[0].clone()
    rows, grad, l2 = torch.tensor([NEAR - 1, 1]), random(2, dim, seed=3), torch.tensor([0.5, 2.0])
    ltgnn.ops.adam_(*near, grad, rows=rows, l2=l2, step=3, **ADAM)
    ltgnn.ops.adam_(*moved, grad, rows=rows + shift, l2=l2, step=3, **ADAM)
    assert (near[0] != before).any(dim=1).tolist() == [k in rows for k in range(NEAR)]
    assert_moved(moved[0], near[0])
    # The bits that round a bfloat16 follow from the number of its row: up here, down there.
    rounding = 2.0**-7 if moments == torch.bfloat16 else 0.0
    assert_moved(moved[1], near[1], rounding)
    assert_moved(moved[2], near[2], rounding)


class Step:
    """Tables and a graph whose last nodes alone have edges; near without others, and moved behind them."""

    # A row's draws follow from its number. With as many as it has neighbours there is nothing to draw.
    SETTINGS: dict[str, Any] = {
        "alpha": 0.4,
        "c0": 0.25,
        "fanout": 4,
        "seed": 7,
        "self_loops": True,
    }

    def __init__(self, far: Any, dim: int, without: str = "") -> None:
        self.shift = rows_before(dim)
        names = ("e0", "m", "v", "delta", "history_sum", "z", "g")
        self.near = {name: random(NEAR, dim, seed=k) for k, name in enumerate(names)}
        self.near["v"].abs_()
        self.near.pop(without, None)
        self.moved = {name: far(table, self.shift) for name, table in self.near.items()}
        self._before = {name: table.clone() for name, table in self.near.items()}
        indptr, scale = torch.tensor([0, 2, 3, 6, 8, 10, 12]), torch.linspace(0.2, 0.7, NEAR)
        indices = torch.tensor([3, 5, 4, 3, 4, 5, 0, 2, 1, 2, 0, 2])
        self.graphs = [
            SimpleNamespace(indptr=indptr, indices=indices, row_scale=scale),
            SimpleNamespace(
                indptr=far(indptr, self.shift), indices=indices + self.shift,
                row_scale=far(scale, self.shift),
            ),
        ]  # fmt: skip

    def run(self, step: Any) -> list[Any]:
        """What step(graph, tables, number of the first node) gives, near and moved."""
        return [
            step(SimpleNamespace(csr=lambda csr=csr, **_: csr), LtgnnTables(**tables), shift)
            for csr, tables, shift in zip(
                self.graphs, (self.near, self.moved), (0, self.shift), strict=True
            )
        ]

    def check(self, changed: list[int]) -> None:
        """These rows of all tables but history_sum were changed, alike in both places."""
        for name, table in self.near.items():
            rows = (table != self._before[name]).any(dim=1).nonzero()[:, 0].tolist()
            assert rows == ([] if name == "history_sum" else changed)
            assert_moved(self.moved[name], table)


def test_sample_aggregate(backend: Any, far: Any, dim: int) -> None:
    """What the step does not have: a history beside x."""
    case = Step(far, dim)
    rows = torch.tensor([5, 0, 2])

    def aggregate(graph: Any, tables: LtgnnTables, first: int) -> Tensor:
        csr = graph.csr()
        return torch.stack(backend.sample_aggregate(
            csr.indptr, csr.indices, csr.row_scale, csr.row_scale, rows + first, tables.z, tables.e0,
            tables.history_sum, tables.g, 4, 7, True,
        ))  # fmt: skip

    here, there = case.run(aggregate)
    assert torch.equal(here, there) and here.any(dim=2).all()


def test_ltgnn_step(backend: Any, far: Any, dim: int) -> None:
    """ltgnn_forward_ and ltgnn_update_."""
    case = Step(far, dim)
    rows = torch.tensor([5, 0, 2])
    grad, l2 = random(len(rows), dim, seed=8), torch.tensor([0.1, 0.0, 0.3])

    def step(graph: Any, tables: LtgnnTables, first: int) -> Tensor:
        out, h = ltgnn.ops.ltgnn_forward_(graph, tables, rows + first, **Step.SETTINGS)
        ltgnn.ops.ltgnn_update_(
            tables, rows + first, grad, h, alpha=0.4, c0=0.25, l2=l2, step=3, **ADAM
        )
        return torch.stack([out, h])

    here, there = case.run(step)
    assert torch.equal(here, there) and here.any(dim=2).all()
    case.check([0, 2, 5])


# The CUDA kernels take less than 2^32 rows: above 2^31 a row number that is cut to 32 bits is negative.
@pytest.mark.parametrize("dim", [1 << 16, 2])
@pytest.mark.parametrize("without", ["", "z"])  # without z delta follows e0
def test_ltgnn_bpr_step(backend: Any, far: Any, dim: int, without: str) -> None:
    case = Step(far, dim, without)
    triples = torch.tensor([[0, 2, 0], [3, 4, 5], [4, 5, 4]])

    def step(graph: Any, tables: LtgnnTables, first: int) -> float:
        loss = ltgnn.ops.ltgnn_bpr_step_(
            graph, tables, *(triples + first), torch.tensor([3]), l2=0.1, **Step.SETTINGS, **ADAM
        )
        return loss.item()

    here, there = case.run(step)
    assert here == there > 0.0
    case.check([0, 2, 3, 4, 5])


@pytest.mark.parametrize("dim", [1 << 16, 2])  # less than 2^32 rows, as above
def test_push(backend: Any, far: Any, dim: int) -> None:
    """push_residual_ and push_: also the pool of indices is longer than 2^32."""
    shift = rows_before(dim)
    begin, degree = torch.tensor([0, 2, 4, 8, 10, 12]), torch.tensor([2, 1, 3, 2, 2, 2])
    indices = torch.tensor([3, 5, 4, -1, 3, 4, 5, -1, 0, 2, 1, 2, 0, 2])
    e0, y = random(NEAR, dim), random(NEAR, dim, seed=1)
    rows = torch.tensor([4, 0, 2])

    def run(graph: list[Tensor], tables: list[Tensor], first: int) -> list[Tensor]:
        backend.push_residual_(*graph, *tables, rows + first, 0.4, True)
        pushed, pending, _ = backend.push_(
            *graph, *tables[1:], rows + first, 0.4, 1e-3, 2, 100, True
        )
        return [pushed - first, pending - first]

    near = [e0, y, torch.zeros(NEAR, dim)]
    moved = [far(table, shift) for table in near]
    pool = [far(begin + 2**32, shift), far(degree, shift), far(indices + shift, 2**32)]
    here, there = run([begin, degree, indices], near, 0), run(pool, moved, shift)
    assert len(here[0]) > len(rows) and len(here[1]) > 0
    for a, b in zip(here, there, strict=True):
        assert torch.equal(a, b)
    for table, expected in zip(moved, near, strict=True):
        assert_moved(table, expected)


def test_pair_scores(backend: Any, far: Any, dim: int) -> None:
    shift = rows_before(dim)
    queries, items = random(2, dim), random(NEAR, dim, seed=1)
    ids = torch.tensor([[4, 0, 5], [3, 3, 1]])
    expected = ltgnn.ops.pair_scores(queries, items, ids)
    moved = far(items, shift)
    assert torch.equal(ltgnn.ops.pair_scores(queries, moved, ids + shift), expected)
    beyond = ltgnn.ops.pair_scores(queries, moved, ids + shift + NEAR)  # no row has this number
    assert expected.all() and torch.isneginf(beyond).all()


def test_pair_scores_of_far_queries(backend: Any, far: Any) -> None:
    """All but the last list what is no item: their rows are not read."""
    dim = 1 << 16
    shift = rows_before(dim)
    queries, items, ids = random(1, dim), random(NEAR, dim, seed=1), torch.tensor([[4, 0, 5]])
    listed = torch.cat([torch.full((shift, 3), -1), ids])
    got = ltgnn.ops.pair_scores(far(queries, shift), items, listed)
    assert torch.equal(got[-1:], ltgnn.ops.pair_scores(queries, items, ids)) and got[-1].all()
    assert torch.isneginf(got[:-1]).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_edge_dot(backend: Any, far: Any, dtype: torch.dtype) -> None:
    """Rows of g and of x."""
    dim = 1 << 16  # every row of the matrix is visited: they have to be few
    shift = rows_before(dim)
    g, x = random(2, dim, dtype), random(NEAR, dim, dtype, 1)
    indptr, columns = torch.tensor([0, 1, 4]), torch.tensor([2, 0, 5, 4])
    row_scale, col_scale = torch.tensor([1.0, 0.5]), torch.arange(1.0, 1.0 + NEAR)
    expected = backend.edge_dot(indptr, columns, row_scale, col_scale, g, x, 0.5)
    got = backend.edge_dot(
        far(indptr, shift), columns + shift, far(row_scale, shift), far(col_scale, shift),
        far(g, shift), far(x, shift), 0.5,
    )  # fmt: skip
    assert torch.equal(got, expected) and got.all()


def test_edge_dot_over_more_columns_than_2_32(backend: Any) -> None:
    """x is one row, repeated by a stride of zero."""
    columns = 2**32 + 10
    x = torch.tensor([[3.0, 4.0]]).expand(columns, 2)
    g = torch.tensor([[1.0, 10.0], [2.0, 1.0]])
    indptr, indices = torch.tensor([0, 1, 3]), torch.tensor([2**31, 5, columns - 1])
    assert backend.edge_dot(indptr, indices, None, None, g, x, 1.0).tolist() == [43.0, 10.0, 10.0]
    with pytest.raises(IndexError, match=rf"indices\[2\] = {columns} in row 1"):
        backend.edge_dot(indptr, torch.tensor([0, 1, columns]), None, None, g, x, 1.0)


def test_topk_of_seen_items_past_2_32(backend: Any, tmp_path: Path) -> None:
    """The last query's seen items lie behind those of a query who saw the first item 2^32 times."""
    indices = sparse_zeros(tmp_path, 2**32 + 2, torch.int32)
    indices[-2:] = torch.tensor([1, 3])
    indptr = torch.tensor([0, 2**32, 2**32 + 2])
    queries, items = torch.ones(2, 1), torch.tensor([[1.0], [9.0], [5.0], [7.0]])
    scores, ids = backend.topk(queries, items, 3, indptr, indices)
    assert ids.tolist() == [[1, 3, 2], [2, 0, -1]]
    assert scores.tolist() == [[9.0, 7.0, 5.0], [5.0, 1.0, -torch.inf]]
