"""Good arguments of every native operator, by their names in csrc/library.cpp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from ops.graphs import Csr, make_graph
from torch import Tensor

from ltgnn.ops.csr import transpose
from ltgnn.ops.reference_losses import packed

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What the inputs of a case are made from."""

    graph: str = "random"
    dim: int = 8
    dtype: torch.dtype = torch.float32
    index: torch.dtype = torch.int32
    full: bool = True  # every optional argument, or none

    def __str__(self) -> str:
        short = {
            torch.float32: "f32",
            torch.float64: "f64",
            torch.bfloat16: "bf16",
            torch.float16: "f16",
        }
        parts = [self.graph, f"d{self.dim}", short[self.dtype], str(self.index)[6:]]
        return "-".join([*parts, "full" if self.full else "bare"])


class Maker:
    """Draws the tensors of one setting, always the same ones."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.graph: Csr = make_graph(setting.graph, setting.index)
        self.random = torch.Generator().manual_seed(17)
        self.scale_dtype = torch.float64 if setting.dtype == torch.float64 else torch.float32

    def table(self, rows: int) -> Tensor:
        draws = torch.randn(rows, self.setting.dim, generator=self.random, dtype=torch.float64)
        return draws.to(self.setting.dtype)

    def sums(self, rows: int) -> Tensor:
        """A table of what is float32 beside tables of 16 bits."""
        return self.table(rows).to(self.scale_dtype)

    def vector(self, length: int) -> Tensor:
        draws = torch.rand(length, generator=self.random, dtype=torch.float64)
        return (0.5 + draws).to(self.scale_dtype)

    def ids(self, count: int, below: int) -> Tensor:
        return torch.randint(max(below, 1), (count if below else 0,), generator=self.random)

    def distinct(self, below: int) -> Tensor:
        return torch.randperm(below, generator=self.random)[: min(max(below * 2 // 3, 1), 80)]

    def row_fanout(self, most: int) -> Tensor:
        """Some rows draw nothing, some as many as they may."""
        rows = self.graph.num_rows
        return torch.randint(most + 1, (rows,), generator=self.random).to(torch.int16)

    def edge_starts(self) -> Tensor:
        """Random parts of [0, 2^31) for the edges of each row, from 1 to very unequal ones."""
        starts = []
        for degree in self.graph.indptr.diff().tolist():
            cuts = torch.randint(1, 2**31, (max(degree, 1) - 1,), generator=self.random)
            cuts[::3] = cuts[::3] >> 20
            starts.append(torch.cat([torch.zeros(min(degree, 1)).long(), cuts.sort()[0]]))
        return torch.cat([torch.zeros(0).long(), *starts]).to(torch.int32)

    def optional(self, tensor: Tensor) -> Tensor | None:
        return tensor if self.setting.full else None


def propagate_inputs(setting: Setting) -> Arguments:
    make, full = Maker(setting), setting.full
    graph = make.graph
    rows, cols, edges = graph.num_rows, graph.num_cols, len(graph.indices)
    arguments: Arguments = {"indptr": graph.indptr, "indices": graph.indices}
    arguments["weight"] = make.optional(make.vector(edges))
    arguments["row_scale"] = make.optional(make.vector(rows))
    arguments["col_scale"] = make.optional(make.vector(cols))
    arguments["x"] = make.table(cols)
    arguments["x0"] = make.optional(make.table(rows))
    arguments["alpha"] = 0.3 if full else 0.0
    arguments["self_loops"] = full and rows == cols
    return arguments


def propagate_with_transpose(setting: Setting) -> Arguments:
    arguments = propagate_inputs(setting)
    transposed = transpose(arguments["indptr"], arguments["indices"], len(arguments["x"]))
    names = ("t_indptr", "t_indices", "t_perm")
    return {
        **arguments,
        **dict(zip(names, transposed if setting.full else [None] * 3, strict=True)),
        "rows": None,
        "t_rows": None,
    }


def ordered_inputs(setting: Setting) -> Arguments:
    """Rows listed in another order, and those of the transpose in a third."""
    given = propagate_with_transpose(setting)
    generator = torch.Generator().manual_seed(11)
    rows, cols = len(given["indptr"]) - 1, len(given["x"])
    orders = {"": torch.randperm(rows, generator=generator)}
    if setting.full:
        orders["t_"] = torch.randperm(cols, generator=generator)
    for prefix, order in orders.items():
        lists = given[f"{prefix}indices"].split(given[f"{prefix}indptr"].diff().tolist())
        listed = [lists[row] for row in order.tolist()]
        given[f"{prefix}indptr"] = torch.tensor([0, *(len(row) for row in listed)]).cumsum(0)
        given[f"{prefix}indices"] = torch.cat([*listed, given[f"{prefix}indices"][:0]])
        given[f"{prefix}rows"] = order
    return {**given, "weight": None, "t_perm": None}


def ordered_out_inputs(setting: Setting) -> Arguments:
    names = ("indptr", "indices", "weight", "rows")
    given = ordered_inputs(setting)
    return {**propagate_out_inputs(setting), **{name: given[name] for name in names}}


def propagate_out_inputs(setting: Setting) -> Arguments:
    arguments = propagate_inputs(setting)
    rows = len(arguments["indptr"]) - 1
    out = torch.full((rows, setting.dim), torch.nan, dtype=setting.dtype)
    return {**arguments, "out": out, "rows": None}


def cusparse_inputs(setting: Setting) -> Arguments:
    arguments = propagate_inputs(setting)
    make = Maker(setting)
    indptr, indices = arguments["indptr"], arguments["indices"]
    weight = make.vector(len(indices)).to(setting.dtype)
    transposed = transpose(indptr, indices, len(arguments["x"]))
    t_weight = weight[transposed[2]]
    return {
        "indptr": indptr, "indices": indices, "weight": weight,
        "x": arguments["x"], "x0": arguments["x0"], "alpha": arguments["alpha"],
        "t_indptr": make.optional(transposed[0]), "t_indices": make.optional(transposed[1]),
        "t_weight": make.optional(t_weight), "plan": 0, "t_plan": 0,
    }  # fmt: skip


def edge_dot_inputs(setting: Setting) -> Arguments:
    make = Maker(setting)
    graph = make.graph
    return {
        "indptr": graph.indptr,
        "indices": graph.indices,
        "row_scale": make.optional(make.vector(graph.num_rows)),
        "col_scale": make.optional(make.vector(graph.num_cols)),
        "g": make.table(graph.num_rows),
        "x": make.table(graph.num_cols),
        "factor": 0.7,
    }


def sample_aggregate_inputs(setting: Setting) -> Arguments:
    make = Maker(setting)
    graph = make.graph
    return {
        "indptr": graph.indptr,
        "indices": graph.indices,
        "row_scale": make.optional(make.vector(graph.num_rows)),
        "col_scale": make.optional(make.vector(graph.num_cols)),
        "rows": make.ids(80, graph.num_rows),
        "x": make.table(graph.num_cols),
        "history": make.optional(make.table(graph.num_cols)),
        "history_sum": make.optional(make.table(graph.num_rows)),
        "second": make.optional(make.table(graph.num_cols)),
        "fanout": 5,
        "seed": 2**63 - 5,
        "self_loops": setting.full and graph.num_rows == graph.num_cols,
        "row_fanout": make.optional(make.row_fanout(5)),
        "edge_starts": make.optional(make.edge_starts()),
    }


def sample_neighbors_inputs(setting: Setting) -> Arguments:
    make = Maker(setting)
    graph = make.graph
    return {
        "indptr": graph.indptr, "indices": graph.indices, "rows": make.ids(80, graph.num_rows),
        "num_cols": graph.num_cols, "fanout": 5, "seed": -3,
        "row_fanout": make.optional(make.row_fanout(5)),
        "edge_starts": make.optional(make.edge_starts()),
    }  # fmt: skip


def negative_sample_inputs(setting: Setting) -> Arguments:
    make = Maker(setting)
    graph = make.graph
    return {
        "indptr": graph.indptr, "indices": graph.indices + 7, "users": make.ids(80, graph.num_rows),
        "num_items": graph.num_cols, "seed": 12345678901234567, "first_item": 7,
    }  # fmt: skip


def accidental_hits_inputs(setting: Setting) -> Arguments:
    """Some items twice; without `full` a batch so small that long rows are searched, not walked."""
    make = Maker(setting)
    graph = make.graph
    batch = 130 if setting.full else 3
    return {
        "indptr": graph.indptr, "indices": graph.indices + 7, "users": make.ids(batch, graph.num_rows),
        "items": make.ids(batch, graph.num_cols), "num_items": graph.num_cols, "first_item": 7,
    }  # fmt: skip


def epoch_pairs_inputs(setting: Setting) -> Arguments:
    """From a list of rows, with `full`; else in the order of the permutation."""
    make = Maker(setting)
    graph = make.graph
    edges = len(graph.indices)
    begin = edges // 5
    return {
        "indptr": graph.indptr, "indices": graph.indices,
        "rows": make.optional(torch.randperm(graph.num_rows, generator=make.random)),
        "num_cols": graph.num_cols,
        "begin": begin, "count": min(200 if edges < 5000 else 3000, edges - begin), "seed": -(2**63) + 5,
    }  # fmt: skip


def bpr_inputs(setting: Setting) -> Arguments:
    make = Maker(setting)
    nodes = make.graph.num_rows
    ids = {name: make.ids(130, nodes) for name in ("users", "items", "negatives")}
    return {"x": make.table(nodes), **ids}


def softmax_inputs(setting: Setting) -> Arguments:
    make = Maker(setting)
    arguments = bpr_inputs(setting)
    del arguments["negatives"]
    batch = len(arguments["users"])
    exponent = 1.3 if setting.full else 1.0
    pairs = torch.rand(130, 130, generator=make.random) < 0.3
    pairs[5] = True  # a user without a denominator
    return {
        **arguments, "tau": 0.2, "exponent": exponent, "allow_bf16": False,
        "skip": make.optional(packed(pairs[:batch, :batch])),
    }  # fmt: skip


def topk_inputs(setting: Setting) -> Arguments:
    """Small integers: every score is exact, so that ties are real and ids well-defined."""
    make = Maker(setting)
    graph = make.graph
    rows = min(graph.num_rows, 80)
    indptr = graph.indptr[: rows + 1]
    return {
        "queries": (2 * make.table(rows)).round(),
        "items": (2 * make.table(graph.num_cols)).round(),
        "k": 20,
        "indptr": make.optional(indptr),
        "indices": make.optional(graph.indices[: int(indptr[-1])]),
    }


def pair_scores_inputs(setting: Setting) -> Arguments:
    make = Maker(setting)
    rows, items = min(make.graph.num_rows, 80), make.graph.num_cols
    ids = torch.randint(-1, items + 1, (rows, 9), generator=make.random)
    return {"queries": make.table(rows), "items": make.table(items), "ids": ids}


def weighted_softplus_inputs(setting: Setting) -> Arguments:
    make = Maker(setting)
    rows = make.graph.num_rows
    return {
        "scores": 3 * make.table(rows), "of_row": make.vector(rows), "of_column": make.vector(setting.dim),
        "of_all": make.vector(setting.dim),
    }  # fmt: skip
