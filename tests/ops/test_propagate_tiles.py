"""propagate in tiles of columns (csrc/cpu/propagate_tiles.h), forced onto small graphs: the bits of no tiles."""

from __future__ import annotations

import pytest
import torch
from ops.backends import native, same_bits
from ops.compare import check_against_reference, settings_of
from ops.op_cases import BY_NAME, OpCase, Setting

from ltgnn.ops import Csr, propagate

CASES = [BY_NAME["propagate"], BY_NAME["propagate_out"]]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
NO_TILES, ONE_COLUMN = "-1", "1"


@pytest.fixture
def tiles(monkeypatch):
    """Sets the bytes of a tile."""
    return lambda size: monkeypatch.setenv("LTGNN_PROPAGATE_TILE", size)


@pytest.mark.parametrize(
    ("case", "setting"),
    [pytest.param(c, s, id=f"{c.name}-{s}") for c in CASES for s in settings_of(c)],
)
def test_equals_reference(case: OpCase, setting: Setting, tiles) -> None:
    tiles(ONE_COLUMN)
    check_against_reference(case, setting, case.inputs(setting))


@each_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("graph", ["hub", "big", "duplicates"])
@pytest.mark.parametrize("dim", [33, 64])
def test_same_bits_as_without_for_any_number_of_threads(
    case: OpCase, dtype: torch.dtype, graph: str, dim: int, tiles
) -> None:
    arguments = case.inputs(Setting(graph, dim, dtype))
    tiles(NO_TILES)
    want = native(case, arguments, "cpu")
    before = torch.get_num_threads()
    try:
        for size in (ONE_COLUMN, "1000", "50000"):
            tiles(size)
            for count in (1, 2, 5):
                torch.set_num_threads(count)
                assert same_bits(native(case, arguments, "cpu"), want), (size, count)
    finally:
        torch.set_num_threads(before)


def spread_rows() -> Csr:
    """Three rows over ten columns, the second one unsorted."""
    indices = torch.tensor([0, 3, 6, 9, 8, 1, 5, 1, 0, 9, 2, 4], dtype=torch.int32)
    return Csr(torch.tensor([0, 4, 9, 12]), indices, 10)


def test_indices_need_not_be_sorted(tiles) -> None:
    x = torch.randn(10, 20, generator=torch.Generator().manual_seed(0))
    tiles(NO_TILES)
    want = propagate(spread_rows(), x)
    tiles(ONE_COLUMN)
    assert torch.equal(propagate(spread_rows(), x), want)


@pytest.mark.parametrize("bad", [-1, 10, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("edge", range(12))
def test_an_index_out_of_range_names_its_row(bad: int, edge: int, tiles) -> None:
    graph = spread_rows()
    graph.indices[edge] = bad
    tiles(ONE_COLUMN)
    row = [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2][edge]
    with pytest.raises(IndexError, match=rf"row {row}\b"):
        propagate(graph, torch.ones(10, 20))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_out_may_be_x0(dtype: torch.dtype, tiles) -> None:
    """Then the sums between tiles cannot wait in out: they would overwrite x0."""
    x = torch.randn(10, 20, generator=torch.Generator().manual_seed(0)).to(dtype)
    x0 = x[:3].clone()
    tiles(NO_TILES)
    want = propagate(spread_rows(), x, x0=x0, alpha=0.4)
    tiles(ONE_COLUMN)
    assert torch.equal(propagate(spread_rows(), x, x0=x0, alpha=0.4, out=x0), want)
