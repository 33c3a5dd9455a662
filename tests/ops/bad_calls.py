"""Calls that each operator must refuse: a change to a good call, the kind of exception and its text."""

from __future__ import annotations

import torch
from ops.bad_changes import (
    ADAM,
    ALPHA,
    C0,
    EMBEDDINGS,
    NOT_SQUARE,
    PROPAGATE,
    SAMPLING,
    SLACK_ROWS,
    X_DTYPE,
    X_FLOATS,
    Bad,
    bad_graph,
    bad_ids,
    bad_number,
    bad_table,
    bad_vector,
    in_order,
    strided,
    to,
)
from ops.op_cases import Arguments


def overlapping(arguments: Arguments) -> Arguments:
    """out begins one row after x in the same memory."""
    outer = torch.cat([arguments["x"], arguments["x"][:1]])
    return {"x": outer[:-1], "out": outer[1:]}


BAD: dict[str, list[Bad]] = {
    "propagate": PROPAGATE,
    "propagate_out": [
        *PROPAGATE, *bad_table("out", "60 "),
        (to("out", lambda t: t.t().contiguous().t()), ValueError, "out must be contiguous"),
        (lambda a: {"x": a["x"], "out": a["x"]}, ValueError, "out must not share memory with x"),
        (overlapping, ValueError, "out must not"),
    ],
    "edge_dot": [
        *bad_graph(), *bad_vector("row_scale", "60"), *bad_vector("col_scale", "60"),
        *bad_table("g", "60 "), *X_DTYPE,
        (to("x", lambda t: t[0]), ValueError, "x must be 2-D .*got 1-D"),
    ],
    "propagate_cusparse": [
        *bad_graph(), *bad_vector("weight", r"\d+"), *bad_table("x0", "60 "), *ALPHA, *X_DTYPE,
        (to("x", lambda t: t[0]), ValueError, r"x must be 2-D \[num_cols, dim\], got 1-D \[8\]"),
        *bad_number("plan", [10**9, -1], "there is no plan (1000000000|-1): it was freed, or never made"),
    ],
    "sample_aggregate": [
        *bad_graph(), *bad_vector("row_scale", "60"), *bad_vector("col_scale", "60"),
        *bad_ids("rows"), *bad_table("history", "60 "), *bad_table("history_sum", "60 "),
        *bad_table("second", "60 "), *SAMPLING, *X_FLOATS, NOT_SQUARE,
    ],
    "sample_neighbors": [*bad_graph(), *bad_ids("rows"), *SAMPLING],
    "negative_sample": [
        *bad_graph(indices_checked=False), *bad_ids("users"),
        *bad_number("num_items", [-1, 2**31], r"num_items must be in \[0, 2147483647\], got"),
        *bad_number("first_item", [-1, 2**31], r"first_item must be in \[0, 2147483647\], got"),
    ],
    "accidental_hits": [
        *bad_graph(indices_checked=False), *bad_ids("users"), *bad_ids("items"),
        (to("items", lambda t: t[:-1]), ValueError, "items must have 130 elements in axis 0"),
        *bad_number("num_items", [-1, 2**31], r"num_items must be in \[0, 2147483647\], got"),
        *bad_number("first_item", [-1, 2**31], r"first_item must be in \[0, 2147483647\], got"),
    ],
    "epoch_pairs": [
        *bad_graph(), *in_order(bad_graph()), *bad_ids("rows"),
        (to("rows", lambda t: t[:0]), ValueError, r"rows must have 1 to 2\^32 elements, got 0"),
        *bad_number("num_cols", [-1], "num_cols must not be negative, got -1"),
        *bad_number("begin", [-1, 10**6], r"begin must be in \[0, \d+\], got (-1|1000000)"),
        *bad_number("count", [-1, 10**6], r"count must be in \[0, \d+\], got (-1|1000000)"),
    ],
    "ltgnn_forward_": [
        *bad_graph(), *bad_vector("scale", "60")[1:2], *bad_ids("rows"), *bad_table("e0", "60 "),
        *bad_table("z", "60 "), *bad_table("history_sum", "60 "), *bad_table("g", "60 "),
        *SAMPLING, *ALPHA, *C0,
        (to("delta", lambda t: t[0]), ValueError, r"delta must be 2-D \[num_cols, dim\], got 1-D \[8\]"),
        (to("delta", lambda t: t.half()), ValueError, "delta must be float32, float64 or bfloat16, got float16"),
        (to("delta", strided), ValueError, "delta must be contiguous"),
    ],
    "ltgnn_update_": [
        *bad_ids("rows"), *bad_table("grad", "40 "), *bad_table("h", "40 "),
        *bad_table("m", "60 "), *bad_table("v", "60 "), *bad_table("g", "60 "),
        *bad_table("delta", "60 "), *bad_vector("l2", "40"), *ALPHA, *C0, *ADAM,
        (to("e0", lambda t: t[0]), ValueError, r"e0 must be 2-D \[num_rows, dim\], got 1-D \[8\]"),
        (to("e0", lambda t: t.half()), ValueError, "e0 must be float32, float64 or bfloat16, got float16"),
        (to("e0", strided), ValueError, "e0 must be contiguous"),
    ],
    "ltgnn_bpr_step_": [
        *bad_graph(), *bad_vector("scale", "60")[1:2], *bad_ids("users"), *bad_ids("items"),
        *bad_ids("negatives"), *bad_table("z", "60 "), *bad_table("delta", "60 "),
        *bad_table("history_sum", "60 "), *bad_table("g", "60 "), *bad_table("m", "60 "),
        *bad_table("v", "60 "), *SAMPLING, *ALPHA, *C0, *ADAM[2:],
        (to("e0", lambda t: t.half()), ValueError, "e0 must be float32, float64 or bfloat16, got float16"),
        (to("e0", lambda t: t.bfloat16()), ValueError, "delta must be bfloat16, got float32"),
        (to("e0", lambda t: t.t().contiguous().t()), ValueError, "e0 must be contiguous"),
        (to("items", lambda t: t[:-1]), ValueError, "items must have 40 elements in axis 0"),
        (to("negatives", lambda t: t[:-1]), ValueError, "negatives must have 40 elements in axis 0"),
        (to("counter", lambda t: t[0]), ValueError, r"counter must be 1-D \[1\], got 0-D"),
        (to("counter", lambda t: t.int()), ValueError, "counter must be int64, got int32"),
        (to("counter", lambda t: t.repeat(2)), ValueError, "counter must have 1 elements in axis 0, got"),
        (to("counter", lambda t: -t), ValueError, r"counter must be in \[0, 2\^62\), got -3"),
        *bad_number("l2", [-1.0, float("nan")], "l2 must not be negative, got"),
    ],
    "adam_": [
        *bad_ids("rows"), *bad_table("grad", "40 "), *bad_table("m", "60 "),
        *bad_table("v", "60 "), *bad_vector("l2", "40"), *ADAM,
        (to("param", lambda t: t.half()), ValueError, "param must be float32, float64 or bfloat16, got float16"),
    ],
    "push_residual_": [
        *SLACK_ROWS, *bad_ids("rows"), *bad_table("e0", "60 "), *bad_table("residual", "60 "), *ALPHA,
    ],
    "push_": [
        *SLACK_ROWS, *bad_ids("rows"), *bad_table("residual", "60 "), *ALPHA,
        *bad_number("tol", [0.0, -1.0, float("nan"), float("inf")], "tol must be positive and finite"),
        *bad_number("max_rounds", [-1], "max_rounds must not be negative, got -1"),
        *bad_number("max_pushes", [-1], "max_pushes must not be negative, got -1"),
        (to("indices", lambda t: t.flip(0)), ValueError,
         r"indices must be sorted in each row, got indices\[\d+\] = \d+ after \d+ in row \d+"),
    ],
    "bpr_loss": [
        *bad_ids("users"), *bad_ids("items"), *bad_ids("negatives"), *X_FLOATS,
        (to("items", lambda t: t[:-1]), ValueError, "items must have 130 elements in axis 0"),
        (to("negatives", lambda t: t[:-1]), ValueError, "negatives must have 130 elements in axis 0"),
    ],
    "in_batch_softmax_loss": [
        *bad_ids("users"), *bad_ids("items"), *X_FLOATS,
        (to("items", lambda t: t[:-1]), ValueError, "items must have 130 elements in axis 0"),
        *bad_number("tau", [0.0, -1.0, float("nan")], "tau must be positive"),
        *bad_number("exponent", [float("nan"), float("inf")], "exponent must be"),
        (to("skip", lambda t: t.long()), ValueError, "skip must be int32, got int64"),
        (to("skip", lambda t: t[0]), ValueError, r"skip must be 2-D \[batch, ceil\(batch / 32\)\], got 1-D"),
        (to("skip", lambda t: t[:-1]), ValueError, "skip must have 130 elements in axis 0"),
        (to("skip", lambda t: t[:, :-1].contiguous()), ValueError, "skip must have 5 elements in axis 1"),
        (to("skip", strided), ValueError, "skip must be contiguous"),
    ],
    "weighted_softplus_": [
        *bad_vector("of_row", "60"), *bad_vector("of_column", "8"), *bad_vector("of_all", "8"),
        (to("scores", lambda t: t[0]), ValueError, r"scores must be 2-D \[num_rows, num_columns\], got 1-D \[8\]"),
        (to("scores", lambda t: t.half()), ValueError, "scores must be float32 or float64, got float16"),
        (to("scores", strided), ValueError, "scores must be contiguous"),
    ],
    "pair_scores": [
        *EMBEDDINGS, *bad_table("ids", "60 ")[:2],
        (to("ids", lambda t: t.int()), ValueError, "ids must be int64, got int32"),
        (to("ids", strided), ValueError, "ids must be contiguous"),
    ],
    "topk": [
        *bad_graph(indices_checked=False), *EMBEDDINGS,
        (to("queries", lambda t: t[:-1]), ValueError, "indptr must have 60 elements in axis 0"),
        *bad_number("k", [0, -1], "k must be at least 1, got (0|-1)"),
        (to("indptr", lambda _: None), ValueError, "indptr and indices must be given together, got indices"),
        (to("indices", lambda _: None), ValueError, "indptr and indices must be given together, got indptr"),
    ],
}  # fmt: skip
