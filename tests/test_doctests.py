"""The examples in the docstrings of every module run and give what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import ltgnn
import ltgnn.ops

BINARIES = {"_C", "_C_cuda", "_io"}


def module_names() -> list[str]:
    found = pkgutil.walk_packages(ltgnn.__path__, "ltgnn.")
    names = {info.name for info in found if info.name.rpartition(".")[2] not in BINARIES}
    return sorted({"ltgnn", *names} - {"ltgnn.__main__", "ltgnn.cli.__main__"})


def examples(module: ModuleType) -> list[doctest.DocTest]:
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


@pytest.mark.parametrize("name", module_names())
def test_examples(name: str) -> None:
    """A module without examples passes: it is at least imported."""
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    report: list[str] = []
    for test in examples(module):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_every_public_operator_has_an_example() -> None:
    functions = [getattr(ltgnn.ops, name) for name in ltgnn.ops.__all__]
    functions = [function for function in functions if inspect.isfunction(function)]
    assert len(functions) >= 10
    without = [f.__name__ for f in functions if ">>>" not in (f.__doc__ or "")]
    assert without == []
