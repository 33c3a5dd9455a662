"""Every operator, from its case: right values, the same bits always, layouts, opcheck, derivatives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ops.backends import everywhere, native, operator, parameters, placed, same_bits
from ops.compare import check_against_reference, settings_of
from ops.op_cases import BY_NAME, CASES, Arguments, OpCase, Setting
from torch import Tensor

LIBRARY = Path(__file__).parents[2] / "csrc" / "library.cpp"
WITHOUT_CASE = {"cusparse_plan", "cusparse_plan_free"}  # state, not values: test_cusparse.py
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
each_case_everywhere = pytest.mark.parametrize(("backend", "case"), everywhere())


@pytest.fixture
def threads() -> Iterator[None]:
    """Restores the number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_every_operator_has_a_case() -> None:
    declared = re.findall(r'm\.def\(\s*"(\w+)\(', LIBRARY.read_text())
    assert declared
    assert sorted(set(declared) - WITHOUT_CASE) == sorted(BY_NAME)


@each_case
def test_twin_has_the_operators_arguments(case: OpCase) -> None:
    names = [argument.name for argument in case.op.default._schema.arguments]
    assert [name for name in names if name in case.inputs(Setting())] == list(
        case.inputs(Setting())
    )
    assert {name for name in names if name not in case.inputs(Setting())} == set()


@pytest.mark.parametrize(
    ("backend", "case", "setting"),
    [
        p
        for c in CASES
        for s in settings_of(c)
        for p in parameters(s, case=c, name=f"{c.label}-{s}")
    ],
)
def test_equals_reference(backend: str, case: OpCase, setting: Setting) -> None:
    check_against_reference(case, setting, case.inputs(setting), backend)


@pytest.mark.parametrize("case", [c for c in CASES if "cpu" in c.backends], ids=lambda c: c.label)
@pytest.mark.parametrize("graph", ["hub", "big"])
@pytest.mark.parametrize("dim", [33, 64])
def test_same_bits_for_any_number_of_threads(
    case: OpCase, graph: str, dim: int, threads: None
) -> None:
    arguments = case.inputs(Setting(graph, dim))
    results = []
    for count in (1, 1, 2, 5):
        torch.set_num_threads(count)
        results.append(native(case, arguments, "cpu"))
    assert all(same_bits(results[0], other) for other in results[1:])


def embedded(tensor: Tensor) -> Tensor:
    """The same values in the middle of a larger tensor: row stride above dim, storage offset."""
    rows, dim = tensor.shape
    strange = torch.nan if tensor.is_floating_point() else -9
    outer = torch.full((rows + 2, dim + 3), strange, dtype=tensor.dtype)
    outer[1:-1, 2:-1] = tensor
    return outer[1:-1, 2:-1]


LAYOUTS = {
    "sliced": embedded,
    "transposed": lambda tensor: tensor.t().contiguous().t(),
    "every_second_row": lambda tensor: tensor.repeat_interleave(2, 0)[::2],
    "every_second_column": lambda tensor: tensor.repeat_interleave(2, 1)[:, ::2],
    "offset": lambda tensor: torch.cat([tensor[:1], tensor])[1:],
}


@each_case_everywhere
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dim", [1, 33])
def test_layout_does_not_matter_or_is_refused(
    backend: str, case: OpCase, layout: str, dim: int
) -> None:
    arguments = case.inputs(Setting(dim=dim))
    want = native(case, arguments, backend)
    for name, value in arguments.items():
        if not isinstance(value, Tensor) or value.dim() != 2 or name in case.mutates:
            continue
        changed = {**arguments, name: LAYOUTS[layout](value)}
        if changed[name].is_contiguous() or name in case.rows_may_be_strided:
            assert same_bits(native(case, changed, backend), want)
        else:
            with pytest.raises(ValueError, match=rf"{case.name}: {name} must be contiguous"):
                native(case, changed, backend)


@pytest.mark.parametrize(("backend", "case"), everywhere([BY_NAME["propagate"]]))
@pytest.mark.parametrize("name", ["x", "x0"])
def test_propagate_of_one_repeated_row(backend: str, case: OpCase, name: str) -> None:
    arguments = case.inputs(Setting())
    repeated = arguments[name][:1].expand_as(arguments[name])
    want = native(case, {**arguments, name: repeated.contiguous()}, backend)
    assert same_bits(native(case, {**arguments, name: repeated}, backend), want)


def needing_grad(case: OpCase, arguments: Arguments, names: tuple[str, ...]) -> Arguments:
    return {
        k: v.clone().requires_grad_() if k in names and v is not None else v
        for k, v in arguments.items()
    }


@each_case_everywhere
@pytest.mark.parametrize(("graph", "grad"), [("no_edges", False), ("random", True)])
@pytest.mark.filterwarnings("ignore:.*autograd kernel was not registered")
def test_opcheck(backend: str, case: OpCase, graph: str, grad: bool) -> None:
    arguments = placed(case.inputs(Setting(graph, 4)), backend)
    if grad:
        arguments = needing_grad(
            case, arguments, case.differentiable or _read_floats(case, arguments)
        )
    torch.library.opcheck(operator(case, backend).default, (), arguments)


def _read_floats(case: OpCase, arguments: Arguments) -> tuple[str, ...]:
    return tuple(
        k for k, v in arguments.items()
        if isinstance(v, Tensor) and v.is_floating_point() and k not in case.mutates
    )  # fmt: skip


each_differentiable = pytest.mark.parametrize(
    ("backend", "case"), everywhere(case for case in CASES if case.differentiable)
)


def function_of(case: OpCase, arguments: Arguments, backend: str) -> tuple[Any, list[Tensor]]:
    """The operator as a function of its differentiable arguments, and their values."""
    names = [name for name in case.differentiable if arguments[name] is not None]
    call, arguments = operator(case, backend), placed(arguments, backend)

    def function(*values: Tensor) -> Tensor:
        result = call(**{**arguments, **dict(zip(names, values, strict=True))})
        return result if isinstance(result, Tensor) else result[0]

    return function, [arguments[name].clone().requires_grad_() for name in names]


@each_differentiable
@pytest.mark.parametrize("full", [True, False], ids=["full", "bare"])
@pytest.mark.parametrize("graph", ["one", "duplicates"])
def test_gradients(backend: str, case: OpCase, graph: str, full: bool) -> None:
    setting = Setting(graph, 3, torch.float64, full=full)
    function, values = function_of(case, case.inputs(setting), backend)
    assert torch.autograd.gradcheck(function, values)
    if case.twice_differentiable:
        assert torch.autograd.gradgradcheck(function, values)


@pytest.mark.parametrize(
    ("backend", "case"), everywhere([BY_NAME["propagate"], BY_NAME["edge_dot"]])
)
def test_gradients_of_a_rectangular_matrix_without_its_transpose(
    backend: str, case: OpCase
) -> None:
    arguments = case.inputs(Setting("wide", 2, torch.float64, torch.int64))
    if case.name == "propagate":
        arguments |= {"t_indptr": None, "t_indices": None, "t_perm": None}
    function, values = function_of(case, arguments, backend)
    assert torch.autograd.gradcheck(function, values, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, values, fast_mode=True)


@each_differentiable
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gradients_in_low_precision(backend: str, case: OpCase, dtype: torch.dtype) -> None:
    if dtype not in case.dtypes:
        dtype = torch.float64
    arguments = case.inputs(Setting("random", 16, dtype))
    exact = {k: v.double() if isinstance(v, Tensor) and v.is_floating_point() else v
             for k, v in arguments.items()}  # fmt: skip
    gradients = []
    for given in (arguments, exact):
        function, values = function_of(case, given, backend)
        result = function(*values)
        gradients.append([g.cpu() for g in torch.autograd.grad(result.sum(), values)])
    for rough, right in zip(*gradients, strict=True):
        tolerance = 8 * torch.finfo(dtype).eps
        torch.testing.assert_close(
            rough.double(), right, rtol=tolerance, atol=tolerance * right.abs().max().item()
        )
