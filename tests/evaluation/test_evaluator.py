"""evaluate against a loop over users in plain Python, splits over ranks, and each error."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import Tensor

from ltgnn.evaluation import EvaluationSums, evaluate, evaluate_sums

NUM_USERS, NUM_ITEMS, DIM = 60, 90, 5
KS = (1, 5, 20, 100)  # the last exceeds the number of items


def csr(lists: list[list[int]]) -> tuple[Tensor, Tensor]:
    indptr = torch.tensor([0, *np.cumsum([len(row) for row in lists])])
    return indptr, torch.tensor([item for row in lists for item in row], dtype=torch.int64)


@pytest.fixture
def problem() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    train, test = [], []
    for user in range(NUM_USERS):
        order = rng.permutation(NUM_ITEMS).tolist()
        cut = int(rng.integers(0, 30)) if user != 7 else 85  # user 7 has few items left
        train.append(order[:cut])
        test.append(order[cut : cut + int(rng.integers(0, 6))])
    # Integers, so that ties are common.
    users = torch.from_numpy(rng.integers(-2, 3, (NUM_USERS, DIM))).float()
    items = torch.from_numpy(rng.integers(-2, 3, (NUM_ITEMS, DIM))).float()
    return {"users": users, "items": items, "train": train, "test": test}


def by_hand(problem: dict[str, Any], users: list[int]) -> dict[str, float]:
    sums: dict[str, list[float]] = {}
    for user in users:
        relevant = set(problem["test"][user])
        if not relevant:
            continue
        scores = (problem["items"] @ problem["users"][user]).tolist()
        left = [item for item in range(NUM_ITEMS) if item not in problem["train"][user]]
        left.sort(key=lambda item: (-scores[item], item))
        for k in KS:
            hits = [item in relevant for item in left[:k]]
            ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
            gain = sum(1 / math.log2(rank + 1) for rank in ranks)
            ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
            values = {
                "recall": len(ranks) / len(relevant),
                "precision": len(ranks) / k,
                "hit_rate": float(bool(ranks)),
                "mrr": 1 / ranks[0] if ranks else 0.0,
                "ndcg": gain / ideal,
            }
            for name, value in values.items():
                sums.setdefault(f"{name}@{k}", []).append(value)
    means = {name: math.fsum(values) / len(values) for name, values in sums.items()}
    return {"num_users": float(len(next(iter(sums.values())))), **means}


def run(problem: dict[str, Any], **more: Any) -> dict[str, float]:
    truth, seen = csr(problem["test"]), csr(problem["train"])
    return evaluate(
        problem["users"], problem["items"], **{"truth": truth, "seen": seen, "ks": KS, **more}
    )


def test_equals_a_loop_over_users(problem: dict[str, Any]) -> None:
    got, want = run(problem), by_hand(problem, list(range(NUM_USERS)))
    assert 0 < got["num_users"] < NUM_USERS  # some users have no test item
    assert got.keys() == want.keys()
    assert got == pytest.approx(want, rel=1e-13)


def test_without_seen(problem: dict[str, Any]) -> None:
    want = by_hand({**problem, "train": [[]] * NUM_USERS}, list(range(NUM_USERS)))
    assert run(problem, seen=None) == pytest.approx(want, rel=1e-13)


def test_a_subset_of_users_in_any_order(problem: dict[str, Any]) -> None:
    want = by_hand(problem, [3, 50, 8, 21])
    for users in ([50, 3, 21, 8], np.array([3, 8, 21, 50]), torch.tensor([8, 21, 50, 3]).int()):
        assert run(problem, users=users) == pytest.approx(want, rel=1e-13)


@pytest.mark.parametrize("block_bytes", [1, 20_000])
def test_blocks_do_not_matter(problem: dict[str, Any], block_bytes: int) -> None:
    assert run(problem, block_bytes=block_bytes) == run(problem)


@pytest.mark.parametrize("num_ranks", [2, 3, 7, NUM_USERS + 5])
def test_ranks_add_up_to_the_last_bit(problem: dict[str, Any], num_ranks: int) -> None:
    truth, seen = csr(problem["test"]), csr(problem["train"])
    problem["users"] += 0.1 * torch.randn(NUM_USERS, DIM, generator=torch.manual_seed(1))
    parts = [
        evaluate_sums(
            problem["users"], problem["items"], truth=truth, seen=seen, ks=KS, users=users
        )
        for users in (range(rank, NUM_USERS, num_ranks) for rank in range(num_ranks))
    ]
    want = run(problem)
    merged = EvaluationSums(parts[0].names)
    for part in reversed(parts):
        merged.merge(part)
    assert merged.result() == want
    reduced = torch.stack([part.to_tensor() for part in parts]).sum(0)
    assert EvaluationSums.from_tensor(merged.names, reduced).result() == want


def test_sparse_matrices_arrays_and_repeats(problem: dict[str, Any]) -> None:
    want = run(problem)
    pairs = {}
    for name in ("test", "train"):
        indptr, indices = (part.numpy() for part in csr(problem[name]))
        pairs[name] = scipy.sparse.csr_array(
            (np.ones(len(indices)), indices, indptr), shape=(NUM_USERS, NUM_ITEMS)
        )
    assert run(problem, truth=pairs["test"], seen=pairs["train"].tocoo()) == want
    test, train = pairs["test"], pairs["train"]
    for array in (train.indptr, train.indices):
        array.flags.writeable = False
    assert (
        run(problem, truth=(test.indptr, test.indices), seen=(train.indptr, train.indices)) == want
    )
    assert run(problem, truth=csr([row + row for row in problem["test"]])) == want


def test_half_precision_and_double(problem: dict[str, Any]) -> None:
    want = run(problem)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):  # small integers are exact
        users, items = problem["users"].to(dtype), problem["items"].to(dtype)
        assert run({**problem, "users": users, "items": items}) == want


def test_a_row_with_nothing_left_does_not_hit_its_neighbour() -> None:
    # User 1 has seen everything; read as a key, its id -1 is the last item of user 0.
    truth, seen = csr([[2], [0]]), csr([[], [0, 1, 2]])
    got = evaluate(torch.ones(2, 1), torch.ones(3, 1), truth=truth, seen=seen, ks=[3])
    assert got["recall@3"] == 0.5


def test_nothing_to_evaluate() -> None:
    nothing = csr([[], []])
    part = evaluate_sums(torch.ones(2, 1), torch.ones(3, 1), truth=nothing)
    assert part.num_users == 0
    with pytest.raises(ValueError, match="expected a user with an item in truth, got none"):
        evaluate(torch.ones(2, 1), torch.ones(3, 1), truth=nothing)
    with pytest.raises(ValueError, match="expected a user with an item in truth, got none"):
        evaluate(torch.ones(2, 1), torch.ones(3, 1), truth=csr([[0], [0]]), users=[])


def test_lists_without_entries() -> None:
    got = evaluate(
        torch.eye(2), torch.eye(2), truth=([0, 1, 2], [0, 1]), seen=([0, 0, 0], []), ks=[1]
    )
    assert got["recall@1"] == 1.0


def test_sums_refuse_what_they_cannot_add() -> None:
    sums = EvaluationSums(("mrr@1",))
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
        sums.add({"mrr@1": torch.tensor([float("nan")])})
    with pytest.raises(ValueError, match="expected .*mrr@1.*, got"):
        sums.add({"mrr@2": torch.tensor([1.0])})
    with pytest.raises(ValueError, match="expected .*mrr@1.*, got"):
        sums.merge(EvaluationSums(("mrr@2",)))
    with pytest.raises(ValueError, match="differ in length"):
        EvaluationSums(("a", "b")).add({"a": torch.ones(1), "b": torch.ones(2)})
    with pytest.raises(ValueError, match=r"expected int64 \[3\], got torch.int64 \[5\]"):
        EvaluationSums.from_tensor(("mrr@1",), torch.zeros(5, dtype=torch.int64))
    with pytest.raises(ValueError, match="expected 1 totals, got 2"):
        EvaluationSums(("mrr@1",), 3, [1, 2])
    assert sums.num_users == 0


def test_sums_do_not_overflow() -> None:
    sums = EvaluationSums(("a",))
    for _ in range(3):
        sums.add({"a": torch.ones(100_000)})
    assert sums.result() == {"num_users": 300_000.0, "a": 1.0}
    assert EvaluationSums.from_tensor(sums.names, sums.to_tensor()) == sums


EMPTY = csr([[], []])
BAD_ITEM = csr([[0], [3]])


@pytest.mark.parametrize(
    ("error", "pattern", "change"),
    [
        (ValueError, "metrics must be among .*, got 'auc'", {"metrics": ["auc"]}),
        (ValueError, "each once", {"metrics": []}),
        (ValueError, "each once", {"ks": [5, 5]}),
        (ValueError, "ks must be at least 1, got 0", {"ks": [0]}),
        (TypeError, "ks must be ints, got float", {"ks": [5.0]}),
        (TypeError, "truth must be a pair .*, got str", {"truth": "train.txt"}),
        (
            TypeError,
            "seen indptr must be int32 or int64",
            {"seen": (torch.zeros(3), torch.zeros(0))},
        ),
        (ValueError, "seen indices must be 1-D", {"seen": (EMPTY[0], EMPTY[1][None])}),
        (ValueError, "truth indptr must have 3 entries, got 2", {"truth": csr([[0]])}),
        (ValueError, "truth indptr must rise from 0 to 0", {"truth": (BAD_ITEM[0], EMPTY[1])}),
        (IndexError, r"truth items must be in \[0, 3\), got 3", {"truth": BAD_ITEM}),
        (IndexError, r"seen items must be in \[0, 3\), got 3", {"seen": BAD_ITEM}),
        (
            ValueError,
            r"truth must be \[2, 3\], got \[2, 4\]",
            {"truth": scipy.sparse.csr_array((2, 4))},
        ),
        (IndexError, r"users must be in \[0, 2\), got 2", {"users": [0, 2]}),
        (IndexError, r"users must be in \[0, 2\), got -1", {"users": [-1]}),
        (ValueError, "users must be distinct", {"users": [1, 1]}),
        (ValueError, "users must be 1-D ids, got 1-D torch.float32", {"users": [0.5]}),
        (
            ValueError,
            "users_emb must be a 2-D tensor .*, got 1-D",
            {"users_emb": torch.ones(2)},
        ),
        (ValueError, "items_emb must be a 2-D tensor .*, got list", {"items_emb": [[1.0]]}),
    ],
)
def test_errors(error: type[Exception], pattern: str, change: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "users_emb": torch.ones(2, 1),
        "items_emb": torch.ones(3, 1),
        "truth": csr([[0], [1]]),
    }
    arguments = {**good, **change}
    with pytest.raises(error, match=pattern):
        evaluate(arguments.pop("users_emb"), arguments.pop("items_emb"), **arguments)
