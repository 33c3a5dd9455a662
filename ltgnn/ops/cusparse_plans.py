"""Matrices as cuSPARSE takes them, with its plans: made once for a graph, kept beside it, and freed with it."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ltgnn import _library as _library
from ltgnn.ops.csr import Csr, transpose

MAX_PLANS = 8  # of one graph: for each dtype and direction, and for each set of weights that it was used with


@dataclass(frozen=True)
class PlannedMatrix:
    """A matrix with explicit values, and the number of its plan.

    `indptr` is a tensor of its own over the graph's memory: the plan is freed when nobody holds it any more,
    neither the graph's cache nor a backward pass that is still to come.
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor
    plan: int
    sources: tuple[Tensor | None, ...]  # held, so that their addresses stay theirs


_cache: dict[int, OrderedDict[Any, PlannedMatrix]] = {}  # by id of the graph object
_lock = threading.RLock()
_ops: Any = torch.ops.ltgnn


def _version(tensor: Tensor | None) -> tuple[int, int] | None:
    """What changes when the tensor, or what is in it, is another."""
    if tensor is None:
        return None
    return tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version


@torch.compiler.disable  # state outside of the compiled function
def planned(csr: Csr, dtype: torch.dtype, owner: object, *, transposed: bool) -> PlannedMatrix:
    """The matrix with its plan, from the cache of `owner` where it was used before."""
    sources = (csr.indptr, csr.indices, csr.weight, csr.row_scale, csr.col_scale)
    key = (dtype, transposed, *map(_version, sources))
    with _lock:
        kept = _cache.get(id(owner))
        if kept is None:
            try:
                weakref.finalize(owner, _cache.pop, id(owner), None).atexit = False
            except TypeError:  # nothing tells when such an object is gone
                return _make(csr, dtype, sources, transposed)
            kept = _cache[id(owner)] = OrderedDict()
        if key not in kept:
            kept[key] = _make(csr, dtype, sources, transposed)
        kept.move_to_end(key)
        while len(kept) > MAX_PLANS:
            kept.popitem(last=False)
        return kept[key]


def _make(
    csr: Csr, dtype: torch.dtype, sources: tuple[Tensor | None, ...], transposed: bool
) -> PlannedMatrix:
    with torch.no_grad():
        indptr, indices, num_cols = csr.indptr.data, csr.indices.data, csr.num_cols
        values = explicit_values(csr).to(dtype)
        if transposed:
            t_indptr, t_indices, t_perm = csr.t_indptr, csr.t_indices, csr.t_perm
            if t_indptr is None or t_indices is None or t_perm is None:
                t_indptr, t_indices, t_perm = transpose(indptr, indices, num_cols)
            num_cols = csr.num_rows
            indptr, indices, values = t_indptr, t_indices, values[t_perm]
    plan = int(_ops.cusparse_plan(indptr, indices, values, num_cols))
    own = indptr.data
    weakref.finalize(own, _ops.cusparse_plan_free, plan).atexit = False
    # `.data` throughout: a view would hold the sparse tensor that it is a view of, so the graph never went.
    return PlannedMatrix(
        own, indices, values, plan, tuple(t if t is None else t.data for t in sources)
    )


def explicit_values(csr: Csr) -> Tensor:
    """[num_edges]: weight, row_scale and col_scale as one value for each edge.

    The scales are gathered by an operator of ours: torch's own would trust the indices.
    """
    scale = csr.row_scale if csr.row_scale is not None else csr.col_scale
    if scale is None:
        if csr.weight is not None:
            return csr.weight.data
        return torch.ones(len(csr.indices), device=csr.indices.device)
    values: Tensor = _ops.edge_dot(
        csr.indptr, csr.indices, csr.row_scale, csr.col_scale,
        scale.new_ones(csr.num_rows, 1), scale.new_ones(csr.num_cols, 1), 1.0,
    )  # fmt: skip
    return values if csr.weight is None else values * csr.weight.data
