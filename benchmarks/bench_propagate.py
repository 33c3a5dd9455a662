"""propagate against everything that multiplies a sparse by a dense matrix, on the CPU or on a GPU.

    python -m benchmarks.bench_propagate --graph gowalla --dim 64 --threads 2 --json FILE
    python -m benchmarks.bench_propagate --graph synthetic --device cuda

Every rival allocates its output, as ours does; `ltgnn fp32 out=` reuses one and is listed apart. `ordered` is ours
on a graph whose rows are in the order of `ltgnn.graph.order_rows`, which takes `order_ms` once.

`floor` is the time that a rival's bytes take at the bandwidth of a large copy on this device: each gathered row
once for each edge, and indices, values, scales, row pointers and output once. Its share may exceed 1 where caches
hold part of x; `least_ms` in the JSON is the same with each row of x read once. `edge_dot` is the gradient of the
weights.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import scipy.sparse
import torch
from torch import Tensor

from benchmarks import graphs, harness
from ltgnn.graph import BipartiteGraph, order_rows
from ltgnn.ops import propagate

DENSE_LIMIT = 8192  # nodes up to which a dense adjacency is tried
GATHER_LIMIT = 1 << 30  # bytes of gathered rows up to which torch's own edge_dot is tried


@dataclass(frozen=True)
class Rival:
    """One way to do it."""

    call: Callable[[], Any]
    element: int = 4  # bytes of an element of x
    per_edge: int = 8  # bytes read beside the row of x: index, value or scale
    per_row: int = 12  # bytes read beside x and the output: row pointer, scale
    edge_output: bool = False  # one number for each edge, not a row for each row
    tolerance: float = 1e-5
    whole: int | None = None  # bytes, where they are not those of a sparse product


class Problem:
    """One graph and one x, on one device."""

    def __init__(self, graph: BipartiteGraph, dim: int, device: str) -> None:
        self.device, self.dim = device, dim
        x = torch.randn(graph.num_nodes, dim, generator=torch.Generator().manual_seed(0))
        self.x, self.graph = x.to(device), graph.to(device)
        begin = time.perf_counter()
        self.ordered = order_rows(self.graph)
        propagate(self.ordered, self.x[:, :1])  # lists the rows
        self.order_ms = 1e3 * (time.perf_counter() - begin)
        self.nodes, self.edges = graph.num_nodes, graph.indices.numel()
        self.index = graph.indices.element_size()
        self.rows = torch.repeat_interleave(
            torch.arange(self.nodes, device=device), self.graph.degrees
        )
        scale = self.graph.scale()
        self.columns = self.graph.indices.long()
        self.values = scale[self.rows] * scale[self.columns]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says that its CSR support is in beta
            self.csr = torch.sparse_csr_tensor(
                self.graph.indptr, self.columns, self.values, size=(self.nodes, self.nodes)
            )

    def bytes_moved(self, rival: Rival, *, each_row_once: bool = False) -> int:
        """What a rival reads and writes."""
        if rival.whole is not None:
            return rival.whole
        row = self.dim * rival.element
        gathered = min(self.nodes, self.edges) if each_row_once else self.edges
        # Of edge_dot the rows of g are read once, and a number is written for each edge.
        others = self.nodes * row + (self.edges * 4 if rival.edge_output else 0)
        return gathered * row + self.edges * rival.per_edge + self.nodes * rival.per_row + others

    def products(self) -> dict[str, Rival]:
        """Every way to multiply that is installed here."""
        graph, ordered, x, index = self.graph, self.ordered, self.x, self.index
        out, bf16, fp16 = torch.empty_like(x), x.bfloat16(), x.half()
        ours = index + 4  # index and col_scale
        rivals = {
            "ltgnn fp32": Rival(lambda: propagate(graph, x), per_edge=ours),
            "ltgnn bf16": Rival(lambda: propagate(graph, bf16), 2, ours, tolerance=2e-2),
            "ltgnn fp16": Rival(lambda: propagate(graph, fp16), 2, ours, tolerance=2e-3),
            "ltgnn fp32 ordered": Rival(lambda: propagate(ordered, x), per_edge=ours, per_row=20),
            "ltgnn bf16 ordered": Rival(
                lambda: propagate(ordered, bf16), 2, ours, per_row=20, tolerance=2e-2
            ),
            "ltgnn fp32 out=": Rival(lambda: propagate(graph, x, out=out), per_edge=ours),
        }
        if self.device == "cuda":
            rivals |= {
                "cuSPARSE fp32": Rival(
                    lambda: propagate(graph, x, backend="cusparse"), 4, index + 4, index
                ),
                "cuSPARSE fp16": Rival(
                    lambda: propagate(graph, fp16, backend="cusparse"), 2, index + 2, index, tolerance=4e-3
                ),
            }  # fmt: skip
        rivals |= dict(self._torch())
        for make in (self._torch_sparse, self._dgl):
            try:
                rivals |= dict(make())
            except (ImportError, OSError) as problem:  # not installed, or built for another torch
                print(f"without {make.__name__[1:]}: {problem}")
        if self.device == "cpu":
            rivals["scipy CSR"] = self._scipy()
        expected = propagate(graph, x)
        for name, rival in rivals.items():
            got = torch.as_tensor(rival.call()).to(expected)
            # As a whole: in a row of a million edges, the order of summation moves single entries by more.
            off = ((got - expected).norm() / expected.norm()).item()
            assert off <= rival.tolerance, f"{name} differs: {off}"
        return rivals

    def _torch(self) -> Iterator[tuple[str, Rival]]:
        graph, x, csr, values = self.graph, self.x, self.csr, self.values
        offsets = graph.indptr[:-1].to(graph.indices.dtype)
        yield "embedding_bag", Rival(
            lambda: torch.nn.functional.embedding_bag(
                graph.indices, x, offsets, mode="sum", per_sample_weights=values
            ),
            per_edge=self.index + 4, per_row=self.index,
        )  # fmt: skip
        yield "torch.sparse.mm CSR", Rival(lambda: torch.sparse.mm(csr, x), 4, 12, 8)
        pairs = torch.stack([self.rows, self.columns])
        coo = torch.sparse_coo_tensor(pairs, values, size=(self.nodes, self.nodes)).coalesce()
        yield "torch.sparse.mm COO", Rival(lambda: torch.sparse.mm(coo, x), 4, 20, 0)
        if self.nodes <= DENSE_LIMIT:
            full = csr.to_dense()
            whole = (full.numel() + 2 * x.numel()) * 4
            yield "torch dense", Rival(lambda: full @ x, whole=whole, tolerance=1e-2)

    def _torch_sparse(self) -> Iterator[tuple[str, Rival]]:
        library = import_module("torch_sparse")
        matrix = library.SparseTensor(
            rowptr=self.graph.indptr, col=self.columns, value=self.values,
            sparse_sizes=(self.nodes, self.nodes), is_sorted=True,
        )  # fmt: skip
        yield "torch_sparse", Rival(lambda: library.matmul(matrix, self.x), 4, 12, 8)

    def _dgl(self) -> Iterator[tuple[str, Rival]]:
        library = import_module("dgl")
        arrays = (self.graph.indptr.to(self.graph.indices.dtype), self.graph.indices, [])
        graph = library.graph(("csc", arrays), num_nodes=self.nodes)
        yield "dgl u_mul_e_sum", Rival(
            lambda: library.ops.u_mul_e_sum(graph, self.x, self.values[:, None]), 4, self.index + 4, self.index
        )  # fmt: skip

    def _scipy(self) -> Rival:
        graph, x = self.graph, self.x.numpy()
        matrix = scipy.sparse.csr_array(
            (self.values.numpy(), graph.indices.numpy(), graph.indptr.numpy()),
            shape=(self.nodes, self.nodes),
        )
        return Rival(lambda: matrix @ x, per_edge=self.index + 4, per_row=8)

    def edge_dots(self) -> dict[str, Rival]:
        """The inner products of the edges, and torch's way where its gathered rows fit."""
        graph, x = self.graph, self.x
        scale = graph.scale()

        def ours(table: Tensor) -> Callable[[], Tensor]:
            return lambda: torch.ops.ltgnn.edge_dot(
                graph.indptr, graph.indices, scale, scale, table, table, 1.0
            )

        per_edge = self.index + 4 + (4 if self.device == "cuda" else 0)  # there it is written twice
        rivals = {
            "ltgnn edge_dot fp32": Rival(ours(x), per_edge=per_edge, edge_output=True),
            "ltgnn edge_dot fp16": Rival(ours(x.half()), 2, per_edge, edge_output=True),
        }
        if 2 * self.edges * self.dim * 4 <= GATHER_LIMIT:
            rivals["torch gather, edge_dot"] = Rival(
                lambda: self.values * (x[self.rows] * x[self.columns]).sum(1),
                per_edge=20 + 2 * self.dim * 4, edge_output=True,
            )  # fmt: skip
        return rivals


def chosen(rivals: dict[str, Rival], only: str) -> dict[str, Rival]:
    """Those whose names begin with one of the words of `only`, and what all are compared with; all for ''."""
    words = [word.strip() for word in only.split(",")] if only else [""]
    for word in words:
        if not any(name.startswith(word) for name in rivals):
            raise SystemExit(f"--only {word!r} is none of {', '.join(rivals)}")
    kept = ("ltgnn fp32", *words)
    return {name: rival for name, rival in rivals.items() if name.startswith(kept)}


def main() -> None:
    """Time the rivals and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--graph", choices=["gowalla", "amazon-cds", "synthetic", "small"], default="synthetic"
    )
    parser.add_argument("--edges", type=int, default=20_000_000, help="of the synthetic graph")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--only", default="", help="rivals whose names begin so, a comma between")
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    graph = graphs.named(args.graph, args.edges)
    problem = Problem(graph, args.dim, args.device)
    rivals = chosen({**problem.products(), **problem.edge_dots()}, args.only)
    calls = {name: rival.call for name, rival in rivals.items()}
    times: dict[str, dict[str, float]] = harness.alternate(
        calls, runs=args.runs, device=args.device
    )
    copy = harness.copy_bandwidth(args.device)
    gather = harness.gather_bandwidth(problem.x.numel() * 4, args.dim * 4, args.device)
    base = times["ltgnn fp32"]["median_ms"]
    print(f"{graph}, dim {args.dim}, {args.device}, {args.threads} threads; "
          f"copy {copy:.0f} GB/s, gather {gather:.0f} GB/s, order {problem.order_ms:.0f} ms")  # fmt: skip
    print(f"{'':<23}{'median ms':>10}{'min ms':>9}{'floor ms':>10}{'share':>7}{'GB/s':>7}"
          f"{'of gather':>10}{'x ltgnn':>9}")  # fmt: skip
    for name, row in times.items():
        moved = problem.bytes_moved(rivals[name])
        harness.add_bandwidth(row, moved, gather)
        row["floor_ms"] = moved / copy / 1e6
        row["least_ms"] = problem.bytes_moved(rivals[name], each_row_once=True) / copy / 1e6
        row["share_of_floor"] = row["floor_ms"] / row["median_ms"]
        row["times_ltgnn"] = row["median_ms"] / base
        print(f"{name:<23}{row['median_ms']:>10.3f}{row['min_ms']:>9.3f}{row['floor_ms']:>10.3f}"
              f"{row['share_of_floor']:>7.2f}{row['gb_per_s']:>7.0f}{row['share_of_gather']:>10.2f}"
              f"{row['times_ltgnn']:>9.2f}")  # fmt: skip
    harness.write(args.json, {
        "graph": args.graph, "num_nodes": graph.num_nodes, "num_edges": graph.num_edges,
        "dim": args.dim, "device": args.device, "threads": args.threads,
        "copy_gb_per_s": copy, "gather_gb_per_s": gather, "order_ms": problem.order_ms,
        "times": times,
    })  # fmt: skip


if __name__ == "__main__":
    main()
