"""One case per native operator; test_generic.py drives every generic test from them.

An operator is called by keyword, with the argument names of csrc/library.cpp. Its results, then the
tensors that it wrote, are compared with those of its twin in ltgnn.ops.reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from ops import op_inputs as inputs
from ops import op_inputs_step as step_inputs
from ops.op_inputs import Arguments, Setting
from torch import Tensor

from ltgnn.ops import (
    reference,
    reference_losses,
    reference_pairs,
    reference_push,
    reference_rank,
    reference_step,
)

FLOATS = (torch.float32, torch.float64)
FLOATS_AND_BFLOAT16 = (*FLOATS, torch.bfloat16)
FLOATS_AND_16_BITS = (*FLOATS, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class OpCase:
    """An operator: how to call it and what must come of it."""

    name: str
    inputs: Callable[[Setting], Arguments]
    reference: Callable[..., Any]
    dtypes: tuple[torch.dtype, ...] = FLOATS
    graphs: tuple[str, ...] = (
        "empty",
        "no_edges",
        "one",
        "isolated",
        "hub",
        "duplicates",
        "random",
    )
    differentiable: tuple[str, ...] = ()
    twice_differentiable: bool = False
    mutates: tuple[str, ...] = ()
    rows_may_be_strided: tuple[str, ...] = ()
    has_dim: bool = True  # the result depends on dim and dtype
    backends: tuple[str, ...] = ("cpu", "emu", "cuda")
    variant: str = ""  # what sets the case apart from the operator's first one

    @property
    def label(self) -> str:
        return f"{self.name}-{self.variant}" if self.variant else self.name

    @property
    def op(self) -> Any:
        return getattr(torch.ops.ltgnn, self.name)

    def call(self, function: Callable[..., Any], arguments: Arguments) -> list[Tensor]:
        """Results, then mutated tensors; the arguments given are left alone."""
        own = {k: v.clone() if k in self.mutates and isinstance(v, Tensor) else v
               for k, v in arguments.items()}  # fmt: skip
        result = function(**own)
        results = [] if result is None else [result] if isinstance(result, Tensor) else [*result]
        return results + [own[name] for name in self.mutates if own[name] is not None]

    def plain(self, arguments: Arguments, dtype: torch.dtype | None = None) -> list[Tensor]:
        """The twin's answer, computed in `dtype`."""
        return self.call(self.reference, cast(arguments, dtype) if dtype else arguments)


def cast(arguments: Arguments, dtype: torch.dtype) -> Arguments:
    return {k: v.to(dtype) if isinstance(v, Tensor) and v.is_floating_point() else v
            for k, v in arguments.items()}  # fmt: skip


def _propagate_out(out: Tensor, **others: Any) -> None:
    out.copy_(reference.propagate(**others))


def _with_gradient(loss: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, Tensor]]:
    """A loss and its gradient in x, as the native operator returns them."""

    def both(x: Tensor, **others: Any) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            value = loss(leaf, **others)
            (gradient,) = torch.autograd.grad(value, leaf)
        return value.detach(), gradient

    return both


def _without(case: OpCase, variant: str, *names: str) -> OpCase:
    """The case with some optional arguments never given."""

    def inputs_without(setting: Setting) -> Arguments:
        return {k: None if k in names else v for k, v in case.inputs(setting).items()}

    return replace(case, variant=variant, inputs=inputs_without)


_EVERY = OpCase.graphs + ("wide",)
_DISTINCT = tuple(name for name in _EVERY if name != "duplicates")
_PROPAGATE = OpCase(
    "propagate",
    inputs.propagate_with_transpose,
    reference.propagate,
    dtypes=FLOATS_AND_16_BITS,
    graphs=_EVERY,
    differentiable=("weight", "x", "x0"),
    twice_differentiable=True,
    rows_may_be_strided=("x", "x0"),
)
_OPERATORS = (
    _PROPAGATE,
    replace(
        _PROPAGATE, name="propagate_out", inputs=inputs.propagate_out_inputs, reference=_propagate_out,
        differentiable=(), twice_differentiable=False, mutates=("out",),
    ),
    OpCase(
        "edge_dot", inputs.edge_dot_inputs, reference.edge_dot, FLOATS_AND_16_BITS, _EVERY, ("g", "x"), True,
        rows_may_be_strided=("g", "x"),
    ),
    OpCase(
        "propagate_cusparse", inputs.cusparse_inputs, reference.propagate_cusparse, FLOATS_AND_16_BITS,
        _EVERY, ("x", "x0"), True, rows_may_be_strided=("x", "x0"), backends=("emu", "cuda"),
    ),
    OpCase("sample_aggregate", inputs.sample_aggregate_inputs, reference.sample_aggregate, graphs=_EVERY),
    OpCase(
        "sample_neighbors", inputs.sample_neighbors_inputs, reference.sample_neighbors, graphs=_EVERY,
        has_dim=False,
    ),
    OpCase(
        "negative_sample", inputs.negative_sample_inputs, reference.negative_sample, graphs=_DISTINCT,
        has_dim=False,
    ),
    OpCase(
        "accidental_hits", inputs.accidental_hits_inputs, reference_losses.accidental_hits, graphs=_EVERY,
        has_dim=False,
    ),
    OpCase(
        "epoch_pairs", inputs.epoch_pairs_inputs, reference_pairs.epoch_pairs, graphs=_EVERY, has_dim=False
    ),
    OpCase(
        "ltgnn_forward_", step_inputs.forward_inputs, reference_step.ltgnn_forward_, FLOATS_AND_BFLOAT16,
        mutates=("z", "delta"),
    ),
    OpCase(
        "ltgnn_update_", step_inputs.update_inputs, reference_step.ltgnn_update_, FLOATS_AND_BFLOAT16,
        mutates=("e0", "m", "v", "g", "delta"),
    ),
    OpCase(
        "ltgnn_bpr_step_", step_inputs.bpr_step_inputs, reference_step.ltgnn_bpr_step_, FLOATS_AND_BFLOAT16,
        mutates=("e0", "z", "delta", "g", "m", "v", "counter"),
    ),
    OpCase(
        "adam_", step_inputs.adam_inputs, reference_step.adam_, FLOATS_AND_BFLOAT16,
        mutates=("param", "m", "v"),
    ),
    OpCase(
        "push_residual_", step_inputs.push_residual_inputs, reference_push.push_residual_, mutates=("residual",)
    ),
    OpCase("push_", step_inputs.push_inputs, reference_push.push_, mutates=("y", "residual")),
    OpCase("bpr_loss", inputs.bpr_inputs, _with_gradient(reference_losses.bpr_loss), differentiable=("x",)),
    OpCase(
        "in_batch_softmax_loss", inputs.softmax_inputs,
        _with_gradient(reference_losses.in_batch_softmax_loss), differentiable=("x",),
    ),
    OpCase(
        "weighted_softplus_", inputs.weighted_softplus_inputs, reference_losses.weighted_softplus_,
        graphs=_EVERY, mutates=("scores",),
    ),
    OpCase("pair_scores", inputs.pair_scores_inputs, reference_rank.pair_scores, graphs=_EVERY),
    OpCase("topk", inputs.topk_inputs, reference_rank.topk, graphs=_EVERY),
)  # fmt: skip
BY_NAME = {case.name: case for case in _OPERATORS}
_ORDERED = (
    replace(
        _PROPAGATE, variant="ordered", inputs=inputs.ordered_inputs, differentiable=("x", "x0")
    ),
    replace(BY_NAME["propagate_out"], variant="ordered", inputs=inputs.ordered_out_inputs),
)  # rows in another order, so without weight
# The first case of those that draw neighbours is by importance; these draw uniformly, with and without row_fanout.
_DRAWING = ("sample_aggregate", "sample_neighbors", "ltgnn_forward_", "ltgnn_bpr_step_")
CASES = (
    *_OPERATORS,
    *_ORDERED,
    *(_without(BY_NAME[name], "uniform", "row_fanout", "edge_starts") for name in _DRAWING),
    *(_without(BY_NAME[name], "row_fanout", "edge_starts") for name in _DRAWING),
)
