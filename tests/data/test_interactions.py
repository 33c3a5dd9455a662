"""Interactions and Dataset: conversion, checks, scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from ltgnn.data import Dataset, Interactions


def test_converts_to_the_stated_layout() -> None:
    pairs = Interactions(
        np.arange(6, dtype=np.uint8)[::2], [0, 1, 2], 5, 3, values=[1, 2, 3], times=[1, 2, 3]
    )
    assert pairs.users.dtype == pairs.items.dtype == np.int32
    assert pairs.users.flags.c_contiguous
    assert pairs.values is not None and pairs.values.dtype == np.float32
    assert pairs.times is not None and pairs.times.dtype == np.float64


def test_int64_where_needed() -> None:
    pairs = Interactions([2**33], [1], 2**33 + 1, 2)
    assert pairs.users.dtype == pairs.items.dtype == np.int64


def test_empty() -> None:
    pairs = Interactions([], [], 0, 0, values=[], times=[], user_ids=[], item_ids=[])
    assert len(pairs) == 0 and pairs.users.dtype == np.int32
    assert pairs.to_scipy().shape == (0, 0)
    assert len(pairs.select([])) == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"users": [0, 3]}, ValueError, "users must lie from 0 to 1, got 3 at position 1"),
        ({"items": [-1, 0]}, ValueError, "items must lie from 0 to 2, got -1 at position 0"),
        ({"items": [0]}, ValueError, "must be equally long, got 2 and 1"),
        ({"users": [0.0, 1.0]}, TypeError, "users must be integers, got float64"),
        ({"users": [[0, 1]]}, ValueError, "users must be 1-D, got 2-D"),
        ({"num_users": -1}, ValueError, "num_users must not be negative, got -1"),
        ({"num_items": 2.0}, TypeError, "num_items must be an integer, got float"),
        ({"values": [1.0]}, ValueError, "one entry per interaction .2., got 1"),
        ({"values": [1.0, np.nan]}, ValueError, "finite in float32, got nan at position 1"),
        ({"values": [1e39, 1.0]}, ValueError, "finite in float32, got inf at position 0"),
        ({"times": [0.0, np.inf]}, ValueError, "finite in float64, got inf at position 1"),
        ({"times": ["a", "b"]}, TypeError, "times must be real numbers"),
        ({"user_ids": [1, 2, 3]}, ValueError, "user_ids must have 2 entries, got 3"),
        (
            {"user_ids": np.array([1, 2**63], np.uint64)},
            ValueError,
            "user_ids must fit int64, got 9223372036854775808 at position 1",
        ),
        ({"item_ids": [1.0, 2.0, 3.0]}, TypeError, "item_ids must be integers or text"),
    ],
)
def test_refuses(change: dict[str, Any], error: type[Exception], message: str) -> None:
    fields: dict[str, Any] = {"users": [0, 1], "items": [2, 0], "num_users": 2, "num_items": 3}
    with pytest.raises(error, match=message):
        Interactions(**(fields | change))


def test_select_keeps_everything_aligned() -> None:
    pairs = Interactions(
        [0, 1, 1], [2, 0, 1], 2, 3, [1.0, 2.0, 3.0], [7, 8, 9], ["a", "b"], [5, 6, 7]
    )
    for which in ([2, 0], np.array([2, 0])):
        chosen = pairs.select(which)
        assert chosen.users.tolist() == [1, 0] and chosen.items.tolist() == [1, 2]
        assert chosen.values is not None and chosen.values.tolist() == [3.0, 1.0]
        assert chosen.times is not None and chosen.times.tolist() == [9.0, 7.0]
        assert chosen.user_ids is pairs.user_ids
    assert pairs.select(pairs.users == 1).items.tolist() == [0, 1]
    with pytest.raises(IndexError):
        pairs.select([True])


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=20))
def test_scipy_round_trip(cells: set[tuple[int, int]]) -> None:
    ordered = sorted(cells)
    users, items = [u for u, _ in ordered], [i for _, i in ordered]
    values = np.arange(1, len(cells) + 1, dtype=np.float32)
    pairs = Interactions(users, items, 7, 5, values)
    back = Interactions.from_scipy(pairs.to_scipy())
    assert back.users.tolist() == users and back.items.tolist() == items
    assert back.values is not None and back.values.tolist() == values.tolist()
    assert (back.num_users, back.num_items) == (7, 5)
    assert Interactions.from_scipy(pairs.to_scipy(), keep_values=False).values is None


def test_from_scipy_refuses_dense() -> None:
    with pytest.raises(TypeError, match="expected a sparse matrix, got ndarray"):
        Interactions.from_scipy(np.eye(2))
    assert Interactions.from_scipy(sparse.eye(2, dtype=bool)).values is None


def test_dataset_parts_must_agree() -> None:
    train = Interactions([0], [0], 1, 2, item_ids=["a", "b"])
    same = Interactions([], [], 1, 2, item_ids=["a", "b"])
    data = Dataset("d", train, test=same)
    assert (data.num_users, data.num_items, list(data.parts())) == (1, 2, ["train", "test"])
    with pytest.raises(ValueError, match="test.num_items must equal train's 2, got 3"):
        Dataset("d", train, test=Interactions([], [], 1, 3))
    with pytest.raises(ValueError, match="valid.item_ids must equal train's"):
        Dataset("d", train, valid=Interactions([], [], 1, 2, item_ids=["a", "c"]))


def test_describe_of_nothing() -> None:
    assert Dataset("none", Interactions([], [], 0, 0)).describe() == (
        "none: 0 users, 0 items; train 0; density 0.0000 %"
    )
