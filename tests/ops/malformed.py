"""Generates malformed calls of the operators and judges each outcome. Run as a child process:

    python malformed.py SEED LAST_CASE_FILE OPERATOR:CALLS...

Prints a JSON summary for each operator. LAST_CASE_FILE holds the call under way, so that a crash can be explained.
The verdict: an exception of a documented kind, or exactly what the strict plain-torch twin returns.
"""

from __future__ import annotations

import json
import random
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
import torch
from ops.malforming import change_values, malform
from ops.op_cases import BY_NAME, Arguments, OpCase, Setting, cast
from torch import Tensor

import ltgnn

REFUSALS = (ValueError, TypeError, IndexError, RuntimeError, NotImplementedError)
# The twin costs too much where a list of items is malformed only in ways that the contract leaves
# to the caller (sorted, distinct, in range); the answer must then still be a possible item number.
TRUSTED_LISTS = {"negative_sample", "topk"}
SAMPLERS = {
    "sample_aggregate", "sample_neighbors", "negative_sample", "epoch_pairs", "ltgnn_forward_",
    "ltgnn_bpr_step_", "push_",
}  # fmt: skip
DISTINCT_ROWS = {"ltgnn_forward_", "ltgnn_update_", "adam_"}  # else the result is left open


def as_graph(arguments: Arguments, rng: random.Random) -> Any:
    """The structure as one of the things that ltgnn.ops.propagate takes, unchecked."""
    indptr, indices, weight = (arguments[name] for name in ("indptr", "indices", "weight"))
    cols = (
        len(arguments["x"]) if isinstance(arguments["x"], Tensor) and arguments["x"].dim() else 60
    )
    form = rng.choice(["csr", "torch", "scipy", "scipy", "csc", "coo", "other"])
    if form == "other":
        return rng.choice([None, 3, "graph", np.eye(3), torch.eye(3), indptr])
    if form == "csr" or not all(isinstance(t, Tensor) for t in (indptr, indices)):
        return ltgnn.ops.Csr(
            indptr, indices, cols, weight, arguments["row_scale"], arguments["col_scale"]
        )
    values = weight if isinstance(weight, Tensor) else torch.ones(len(indices))
    if form == "torch":
        with torch.sparse.check_sparse_tensor_invariants(enable=False):
            return torch.sparse_csr_tensor(indptr, indices, values, (60, cols))
    matrix = scipy.sparse.random_array((60, cols), density=0.1, format=form if form != "scipy" else "csr",
                                       rng=np.random.default_rng(0))  # fmt: skip
    if form == "coo":
        matrix.coords = (matrix.coords[0].copy(), matrix.coords[1].copy())
        broken = torch.from_numpy(matrix.coords[rng.randrange(2)])
        broken[:] = change_values(broken, rng)
    elif form == "csc":
        broken = torch.from_numpy(rng.choice([matrix.indptr, matrix.indices]))
        broken[:] = change_values(broken, rng)
    else:
        matrix.indptr, matrix.indices, matrix.data = indptr.numpy(), indices.numpy(), values.numpy()
    return matrix


def describe(arguments: Arguments) -> str:
    def one(value: Any) -> str:
        if isinstance(value, Tensor):
            head = (
                value.reshape(-1)[:200].tolist()
                if value.device.type == "cpu" and not value.is_sparse
                else ""
            )
            return f"{value.dtype} {list(value.shape)} {head}"
        return repr(value)

    with torch.sparse.check_sparse_tensor_invariants(enable=False):
        try:
            return "; ".join(f"{name} = {one(value)}" for name, value in arguments.items())
        except Exception as error:
            return f"not describable: {error}"


def has_huge(arguments: Arguments) -> bool:
    """Whether a float is so large that a sum may overflow in one order and not in another."""
    return any(
        bool((value.abs() >= 1e25).any())
        for value in arguments.values()
        if isinstance(value, Tensor) and value.is_floating_point()
    )


def possible_items(arguments: Arguments, got: list[Tensor]) -> bool:
    """Whether the last result holds item numbers and -1."""
    bound = arguments["num_items"] if "num_items" in arguments else len(arguments["items"])
    return bool(((got[-1] >= -1) & (got[-1] < bound)).all())


def judge(case: OpCase, arguments: Arguments, got: list[Tensor]) -> str:
    """'equal' where the twin agrees, else what is wrong."""
    if any(t.device.type == "meta" for t in got):
        return "equal" if all(t.device.type == "meta" for t in arguments.values() if isinstance(t, Tensor)) \
            else "meta result of real tensors"  # fmt: skip
    rows = arguments.get("rows")
    if case.name in DISTINCT_ROWS and rows is not None and len(rows.unique()) < len(rows):
        return "equal"
    floats = {a.name for a in case.op.default._schema.arguments if str(a.type) == "float"}
    arguments = {k: float(v) if k in floats else v for k, v in arguments.items()}
    try:
        want = case.plain(arguments)
        exact = case.call(case.reference, cast(arguments, torch.float64))
    except Exception as error:
        if case.name in TRUSTED_LISTS and possible_items(arguments, got):
            return "equal"
        return f"the twin refuses: {type(error).__name__}: {error}"
    for result, rough, right in zip(got, want, exact, strict=True):
        if result.shape != right.shape:
            return f"shape {list(result.shape)}, expected {list(right.shape)}"
        if case.name == "ltgnn_bpr_step_" and has_huge(arguments):
            continue  # the loss mixes rows: such values cancel, or not, by the order of adding up
        # Values of 1e30 and inf overflow in one order of adding up and not in another: only where
        # plain torch in this dtype comes near the float64 result is an answer owed.
        sure = right.isfinite() & (right.abs() < 1e25)
        scale = right[sure].abs().max().item() if sure.any() else 0.0
        tolerance = {torch.bfloat16: 0.05, torch.float16: 0.01}.get(result.dtype, 1e-3)
        if arguments.get("allow_bf16"):
            tolerance = 0.05
        tolerance *= max(scale, 1)
        # An element of the table that is lost already may take its own moments with it.
        table = arguments.get("param", arguments.get("e0"))
        if table is not None and table.shape == right.shape:
            sure &= table.abs() < 1e25
        if (
            case.name.endswith("_loss") and right.dim() == 2
        ):  # such values cancel in sums over pairs
            sure &= (arguments["x"].abs() < 1e25).all(0)
        sure &= (rough.double() - right).abs() <= tolerance
        if not ((result.double() - right).abs()[sure] <= tolerance).all():
            if case.name in TRUSTED_LISTS and possible_items(arguments, got):
                return "equal"
            return "another result than the twin's"
    return "equal"


def run(name: str, seed: int, calls: int, log: str) -> dict[str, Any]:
    rng = random.Random(seed)
    public = name == "public"
    case = BY_NAME["propagate" if public else name]
    bases = [case.inputs(Setting("random", 3, dtype, index, full))
             for dtype in case.dtypes for index in (torch.int32, torch.int64)
             for full in (True, False)]  # fmt: skip
    for base in bases if case.name in SAMPLERS else []:  # the twin is slow: few rows will do
        lists = ("rows", "users", "items", "negatives")
        base.update({ids: base[ids][:15] for ids in lists if base.get(ids) is not None})
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    with open(log, "r+b", buffering=0) as last:
        for number in range(calls):
            base = rng.choice(bases)
            changed = malform(base, rng)
            text = f"{name} seed {seed} call {number}: {describe(changed)}".encode()
            last.seek(0)
            last.write(text[:8000].ljust(8000))
            arguments = {**base, **changed}
            if public:
                function, arguments = public_call(arguments, rng)
            try:
                got = function(**arguments) if public else case.call(case.op, arguments)
            except REFUSALS as error:
                outcomes[type(error).__name__] += 1
                continue
            except Exception as error:
                wrong.append(f"{type(error).__name__}: {error} from {text.decode()[:2000]}")
                continue
            verdict = judge_public(arguments, got) if public else judge(case, arguments, got)
            outcomes["equal"] += verdict == "equal"
            if verdict != "equal":
                wrong.append(f"{verdict} from {text.decode()[:2000]}")
    return {"outcomes": dict(outcomes), "wrong": wrong[:5], "num_wrong": len(wrong)}


def public_call(arguments: Arguments, rng: random.Random) -> tuple[Callable[..., Any], Arguments]:
    try:
        graph = as_graph(arguments, rng)
    except Exception:  # torch or scipy would not even make it
        graph = None
    names = ("x", "x0", "alpha", "self_loops")
    return ltgnn.ops.propagate, {"graph": graph, **{name: arguments[name] for name in names}}


def judge_public(arguments: Arguments, got: Tensor) -> str:
    graph, x = arguments["graph"], arguments["x"]
    if isinstance(graph, ltgnn.ops.Csr):
        parts = (graph.indptr, graph.indices, graph.weight, graph.row_scale, graph.col_scale)
    elif isinstance(graph, Tensor):
        parts = (
            graph.crow_indices().clone().to(torch.int64),
            graph.col_indices().clone(),
            graph.values().clone(),
            None,
            None,
        )
    else:
        graph = graph.tocsr()
        parts = (
            *(torch.from_numpy(a) for a in (graph.indptr, graph.indices, graph.data)),
            None,
            None,
        )
    names = ("indptr", "indices", "weight", "row_scale", "col_scale")
    full = {**dict(zip(names, parts, strict=True)), **arguments}
    del full["graph"]
    full |= {"alpha": float(full["alpha"]), "x": x}
    return judge(BY_NAME["propagate"], full, [got])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for part in sys.argv[3:]:
        operator, count = part.split(":")
        print(json.dumps({operator: run(operator, int(sys.argv[1]), int(count), sys.argv[2])}))
