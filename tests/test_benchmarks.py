"""Benchmarks of hot paths run at a small size, where rivals agree, and tell what share of a roof each reaches."""

from __future__ import annotations

import json
import sys
from importlib import import_module

import pytest
import torch

from benchmarks import bench_adam, bench_ltgnn_step, bench_propagate_backward, harness, torch_rivals
from benchmarks.bench_in_batch_softmax import Problem as SoftmaxProblem
from benchmarks.bench_sampling import Problem as SamplingProblem
from ltgnn.graph import BipartiteGraph
from ltgnn.ops.reference_losses import packed

ROOFS = {"gather": 20.0, "copy": 10.0, "product": 100.0}
SMALL = ["--graph", "small"]
CASES = [
    ("bench_adam", ["--rows", "300", "--touched", "50", "--dim", "33"], {"gather", "copy"}),
    ("bench_in_batch_softmax", ["--batch", "70", "--dim", "33", "--block", "32"], {"product"}),
    ("bench_ltgnn_step", [*SMALL, "--batch", "64", "--steps", "3"], {"gather"}),
    ("bench_ltgnn_step", [*SMALL, "--batch", "64", "--steps", "3", "--depth", "fixed_point",
                          "--table_dtype", "bfloat16"], {"gather"}),
    ("bench_propagate_backward", [*SMALL, "--dim", "8"], {"gather"}),
    ("bench_sample_aggregate", [*SMALL, "--batch", "64", "--dim", "8"], {"gather"}),
    ("bench_sampling", SMALL, {"copy"}),
    ("bench_topk", ["--graph", "synthetic", "--items", "500", "--queries", "30", "--dim", "8",
                    "--blocks", "7", "100"], {"product"}),
]  # fmt: skip


@pytest.fixture
def threads_as_before():
    """Benchmarks set the number of threads for the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("module", "arguments", "roofs"), CASES, ids=[f"{c[0]}-{c[1][-1]}" for c in CASES]
)
def test_a_small_one_runs_and_tells_shares(
    module, arguments, roofs, threads_as_before, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(harness, "gather_bandwidth", lambda *_: ROOFS["gather"])
    monkeypatch.setattr(harness, "copy_bandwidth", lambda *_: ROOFS["copy"])
    monkeypatch.setattr(harness, "matmul_rate", lambda *_: ROOFS["product"])
    path = tmp_path / "result.json"
    run = ["--threads", "1", "--runs", "1", "--json", str(path)]
    monkeypatch.setattr(sys, "argv", [f"benchmarks/{module}.py", *arguments, *run])
    import_module(f"benchmarks.{module}").main()
    result = json.loads(path.read_text())
    times = result.get("times") or result["rivals"]
    told = {roof for row in times.values() for roof in ROOFS if f"share_of_{roof}" in row}
    assert told == roofs
    printed = capsys.readouterr().out
    for name, row in times.items():
        assert name in printed
        for roof in roofs:
            if f"share_of_{roof}" in row:
                rate = "gflop_per_s" if roof == "product" else "gb_per_s"
                assert row[f"share_of_{roof}"] == pytest.approx(row[rate] / ROOFS[roof])
        if "bytes" in row:
            assert row["gb_per_s"] == pytest.approx(row["bytes"] / row["median_ms"] / 1e6)


def test_rates_are_of_what_was_done(monkeypatch):
    """On a clock by which every call takes 2 ms."""
    monkeypatch.setattr(harness, "_clock_of", lambda device: lambda call: 2.0)
    assert harness.matmul_rate(runs=0) == pytest.approx(2 * 2048**3 / 2e-3 / 1e9)
    row = {"median_ms": 2.0}
    harness.add_bandwidth(row, 4_000_000, 8.0)
    harness.add_arithmetic(row, 6_000_000, 12.0)
    assert row == {
        "median_ms": 2.0, "bytes": 4_000_000, "gb_per_s": 2.0, "share_of_gather": 0.25,
        "gflop_per_s": 3.0, "share_of_product": 0.25,
    }  # fmt: skip


def test_bytes_are_those_of_the_formulas():
    # User 0 has items 0 and 1, user 1 has item 1: 4 nodes, 6 edges of 4 bytes, degrees 2, 1, 1, 2.
    graph = BipartiteGraph.from_edges([0, 0, 1], [0, 1, 1])
    assert graph.indices.element_size() == 4
    needed = SamplingProblem(graph, fanout=1).bytes_needed()
    assert needed == {"negatives": 16 * 3 + 8 * 3 + 4 * 3, "neighbours": 4 * 24 + 4 * 6}
    assert bench_propagate_backward.bytes_needed(graph, 8) == 6 * (32 + 4 + 4) + 4 * (32 + 12)
    problem = bench_adam.Problem(4, 2, 3, "cpu")
    tables = (problem.fp32, problem.mixed, problem.bf16)
    assert [t.element_bytes() for t in tables] == [28, 20, 16]


def test_pairs_left_out_are_the_same_for_both():
    problem = SoftmaxProblem(70, 8, hits=0.2, tau=0.1, exponent=1.0, device="cpu")
    assert 0 < problem.hits.sum() < 0.2 * 70**2 and not problem.hits.diagonal().any()
    assert torch.equal(problem.skip, packed(problem.hits))


def test_an_adam_that_does_something_else_is_noticed(monkeypatch):
    real = torch_rivals.adam_rows
    monkeypatch.setattr(bench_adam, "adam_rows", lambda *a, **named: real(*a, **named, beta2=0.99))
    with pytest.raises(AssertionError, match="rows, torch by hand differs"):
        bench_adam.check(8, "cpu")


def test_a_step_that_does_something_else_is_noticed(threads_as_before, monkeypatch):
    real = torch_rivals.TorchStep._weighted

    def twice(self, rows, neighbors):
        nodes, weights = real(self, rows, neighbors)
        return nodes, 2 * weights

    monkeypatch.setattr(torch_rivals.TorchStep, "_weighted", twice)
    arguments = [*SMALL, "--batch", "64", "--steps", "3", "--depth", "fixed_point", "--runs", "1"]
    monkeypatch.setattr(sys, "argv", ["benchmarks/bench_ltgnn_step.py", *arguments])
    with pytest.raises(AssertionError, match="not close"):
        bench_ltgnn_step.main()
