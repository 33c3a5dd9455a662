"""The graphs that operators are tested on, as plain CSR tensors."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor


class Csr(NamedTuple):
    indptr: Tensor
    indices: Tensor
    num_cols: int

    @property
    def num_rows(self) -> int:
        return len(self.indptr) - 1


def from_rows(rows: list[list[int]], num_cols: int, index: torch.dtype = torch.int32) -> Csr:
    """A matrix from the columns of each row; they are sorted, repetitions stay."""
    lengths = torch.tensor([0] + [len(row) for row in rows])
    flat = [column for row in rows for column in sorted(row)]
    return Csr(lengths.cumsum(0), torch.tensor(flat, dtype=index), num_cols)


def random_rows(num_rows: int, num_cols: int, degree: int, seed: int) -> list[list[int]]:
    """Rows of random length up to `degree`, without repetitions."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(min(degree, num_cols) + 1, (num_rows,), generator=random)
    return [torch.randperm(num_cols, generator=random)[:n].tolist() for n in lengths]


@cache
def make_graph(name: str, index: torch.dtype = torch.int32) -> Csr:
    """One of: empty, no_edges, one, isolated, hub, duplicates, random, wide, big."""
    if name == "empty":
        return from_rows([], 0, index)
    if name == "no_edges":
        return from_rows([[]] * 5, 5, index)
    if name == "one":
        return from_rows([[0]], 1, index)
    if name == "isolated":  # odd rows are empty, odd columns are never used
        rows = random_rows(40, 20, 6, 1)
        spread = [[2 * c for c in row] if k % 2 == 0 else [] for k, row in enumerate(rows)]
        return from_rows(spread, 40, index)
    if name == "hub":  # row 3 owns everything, all others own column 3
        return from_rows([[*range(3000)] if r == 3 else [3] for r in range(3000)], 3000, index)
    if name == "duplicates":
        return from_rows([[0, 0, 0], [1, 2, 2], [], [3, 3, 1, 1]], 4, index)
    if name == "random":
        return from_rows(random_rows(60, 60, 15, 2), 60, index)
    if name == "wide":
        return from_rows(random_rows(25, 90, 20, 3), 90, index)
    if name == "big":  # enough work for several tasks of every operator
        return from_rows(random_rows(1500, 1500, 50, 4), 1500, index)
    raise ValueError(f"no graph named {name!r}")
