"""What each operator refuses: the kind of exception, and a text that names op, argument and value."""

from __future__ import annotations

import re

import pytest
from ops.backends import everywhere, operator, placed
from ops.bad_calls import BAD
from ops.op_cases import BY_NAME, OpCase, Setting
from torch import Tensor


def test_every_operator_has_bad_calls() -> None:
    assert sorted(BAD) == sorted(BY_NAME)


@pytest.mark.parametrize(("backend", "case"), everywhere(BY_NAME.values()))
def test_errors(backend: str, case: OpCase) -> None:
    good = case.inputs(Setting())
    call = operator(case, backend)
    call(**placed(case.inputs(Setting()), backend))
    # propagate_out is the same operator with a place for its result, and says so.
    front = "propagate" if case.name == "propagate_out" else case.name
    wrong = []
    for change, error, pattern in BAD[case.name]:
        changed = change(good)
        what = f"{sorted(changed)} -> {error.__name__} {pattern!r}"
        try:
            call(**placed({**case.inputs(Setting()), **changed}, backend))
        except error as raised:
            if not re.search(f"^{front}: .*{pattern}", str(raised), re.DOTALL):
                wrong.append(f"{what}, got text {raised}")
        except Exception as raised:
            wrong.append(f"{what}, got {type(raised).__name__}: {raised}")
        else:
            wrong.append(f"{what}, got a result")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("backend", "case"), everywhere())
def test_tensors_on_another_device(backend: str, case: OpCase) -> None:
    """A meta tensor among real ones would otherwise be answered with memory that nobody wrote."""
    good = placed(case.inputs(Setting()), backend)
    call = operator(case, backend)
    for name, value in good.items():
        if isinstance(value, Tensor):
            with pytest.raises(ValueError, match="same device, got (cpu|cuda:0) and meta"):
                call(**{**good, name: value.to("meta")})
