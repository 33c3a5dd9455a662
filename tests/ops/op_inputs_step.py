"""Good arguments of the operators that change tables: the training step, Adam and the incremental update."""

from __future__ import annotations

import torch
from ops.graphs import Csr
from ops.op_inputs import Arguments, Maker, Setting

_ADAM: Arguments = {"step": 3, "lr": 0.05, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}


def forward_inputs(setting: Setting) -> Arguments:
    make = Maker(setting)
    graph = make.graph
    nodes = graph.num_rows
    return {
        "indptr": graph.indptr,
        "indices": graph.indices,
        "scale": make.optional(make.vector(nodes)),
        "rows": make.distinct(nodes),
        "e0": make.table(nodes),
        "z": make.optional(make.table(nodes)),
        "delta": make.table(nodes),
        "history_sum": make.table(nodes),
        "g": make.optional(make.table(nodes)),
        "alpha": 0.4,
        "c0": 0.25 if setting.full else 0.0,
        "fanout": 5,
        "seed": 7,
        "self_loops": setting.full,
        "row_fanout": make.optional(make.row_fanout(5)),
        "edge_starts": make.optional(make.edge_starts()),
    }


def update_inputs(setting: Setting) -> Arguments:
    make = Maker(setting)
    nodes, rows = make.graph.num_rows, make.distinct(make.graph.num_rows)
    return {
        "rows": rows,
        "grad": make.sums(len(rows)),
        "h": make.optional(make.sums(len(rows))),
        "e0": make.table(nodes),
        "m": make.table(nodes),
        "v": make.table(nodes).abs(),
        "g": make.optional(make.table(nodes)),
        "delta": make.optional(make.table(nodes)),
        "l2": make.optional(make.vector(len(rows))),
        "alpha": 0.4,
        "c0": 0.25,
        "faithful": setting.full,
        **_ADAM,
    }


def bpr_step_inputs(setting: Setting) -> Arguments:
    make = Maker(setting)
    nodes = make.graph.num_rows
    forward = forward_inputs(setting)
    ids = {name: make.ids(40, nodes) for name in ("users", "items", "negatives")}
    adam = {name: value for name, value in _ADAM.items() if name != "step"}
    return {
        **{name: forward[name] for name in ("indptr", "indices", "scale")}, **ids,
        **{name: forward[name] for name in ("e0", "z", "delta", "history_sum", "g")},
        "m": make.table(nodes), "v": make.table(nodes).abs(), "counter": torch.tensor([3]),
        **{name: forward[name] for name in ("alpha", "c0", "fanout", "seed", "self_loops")},
        "l2": 0.1 if setting.full else 0.0, "faithful": setting.full, **adam,
        **{name: forward[name] for name in ("row_fanout", "edge_starts")},
    }  # fmt: skip


def adam_inputs(setting: Setting) -> Arguments:
    make = Maker(setting)
    nodes = make.graph.num_rows
    rows = make.distinct(nodes) if setting.full else None
    touched = nodes if rows is None else len(rows)
    return {
        "param": make.table(nodes),
        "m": make.table(nodes),
        "v": make.table(nodes).abs(),
        "grad": make.sums(touched),
        "rows": rows,
        "l2": make.optional(make.vector(touched)),
        **_ADAM,
    }


def _slack_rows(graph: Csr) -> Arguments:
    """The same rows, each two places behind the one before, with nonsense between them."""
    degree = graph.indptr.diff()
    places = torch.arange(len(degree)).repeat_interleave(degree) * 2 + torch.arange(
        len(graph.indices)
    )
    indices = graph.indices.new_full((len(graph.indices) + 2 * len(degree),), -1)
    indices[places] = graph.indices
    row_begin = graph.indptr[:-1] + 2 * torch.arange(len(degree))
    return {"row_begin": row_begin, "degree": degree, "indices": indices}


def push_residual_inputs(setting: Setting) -> Arguments:
    make = Maker(setting)
    nodes = make.graph.num_rows
    return {
        **_slack_rows(make.graph),
        "e0": make.table(nodes),
        "y": make.table(nodes),
        "residual": make.table(nodes),
        "rows": make.optional(make.ids(40, nodes)),
        "alpha": 0.4,
        "self_loops": setting.full,
    }


def push_inputs(setting: Setting) -> Arguments:
    make = Maker(setting)
    nodes = make.graph.num_rows
    return {
        **_slack_rows(make.graph),
        "y": make.table(nodes),
        "residual": make.table(nodes),
        "rows": make.ids(40, nodes),
        "alpha": 0.4,
        "tol": 1.3,
        "max_rounds": 3,
        "max_pushes": 10**6 if setting.full else nodes,
        "self_loops": setting.full,
    }
