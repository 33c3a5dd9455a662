"""The gradients of propagate, against autograd through torch's sparse products, on the CPU or on a GPU.

    python -m benchmarks.bench_propagate_backward --graph gowalla --dim 64 --threads 2 --json FILE

Each call is one backward pass of a product that is there already: for x, and for x and the edges' weights together.
`ordered` is ours on a graph whose rows are in the order of `ltgnn.graph.order_rows`. torch's gradient of the values
of a sparse product is tried where the graph is small: it may pass through a dense nodes x nodes matrix.

GB/s are of the bytes that the task needs, the same for all. For the gradient of x: for each edge a row of the given
gradient, an index and a scale (4 dim + 4 + index), for each node its pointer, scale and result (4 dim + 12). The
gradient of the weights needs as much again: rows of x are gathered, those of the given gradient read once, and a
number written for each edge. `of gather` is their share of the rate at which random rows of a table of x's size can
be read here.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks import graphs, harness
from ltgnn.graph import BipartiteGraph, order_rows
from ltgnn.ops import propagate

DENSE_LIMIT = 4096  # nodes up to which torch's gradient of the values is tried


def backward(out: Tensor, leaves: list[Tensor], grad: Tensor) -> Callable[[], Any]:
    """One backward pass, which can be repeated."""
    return lambda: torch.autograd.grad(out, leaves, grad, retain_graph=True)


def rivals_of(graph: BipartiteGraph, dim: int, device: str) -> dict[str, Callable[[], Any]]:
    """Every way, checked against ours."""
    generator = torch.Generator().manual_seed(0)
    graph = graph.to(device)
    x = torch.randn(graph.num_nodes, dim, generator=generator).to(device).requires_grad_()
    grad = torch.randn(graph.num_nodes, dim, generator=generator).to(device)
    rows = torch.repeat_interleave(torch.arange(graph.num_nodes, device=device), graph.degrees)
    columns = graph.indices.long()
    values = graph.scale()[rows] * graph.scale()[columns]
    weight = values.clone().requires_grad_()
    shape = (graph.num_nodes, graph.num_nodes)
    csr = torch.sparse_csr_tensor(graph.indptr, columns, values, size=shape)
    coo = torch.sparse_coo_tensor(torch.stack([rows, columns]), values, size=shape).coalesce()
    rivals = {
        "ltgnn, x": backward(propagate(graph, x), [x], grad),
        "ltgnn ordered, x": backward(propagate(order_rows(graph), x), [x], grad),
        "ltgnn, x and weight": backward(propagate(graph, x, weight=weight), [x, weight], grad),
        "torch CSR, x": backward(torch.sparse.mm(csr, x), [x], grad),
        "torch COO, x": backward(torch.sparse.mm(coo, x), [x], grad),
    }
    if graph.num_nodes <= DENSE_LIMIT:
        leaf = csr.detach().clone().requires_grad_()
        rivals["torch CSR, x and weight"] = backward(torch.sparse.mm(leaf, x), [x, leaf], grad)
    want = rivals["ltgnn, x"]()[0]
    for name, call in rivals.items():
        # As a whole: in a row of a million edges, the order of summation moves single entries by more.
        off = ((call()[0] - want).norm() / want.norm()).item()
        assert off <= 1e-5, f"{name} differs: {off}"
    return rivals


def bytes_needed(graph: BipartiteGraph, dim: int) -> int:
    """Of the gradient of x, or of that of the weights."""
    of_edge = 4 * dim + graph.indices.element_size() + 4
    return graph.indices.numel() * of_edge + graph.num_nodes * (4 * dim + 12)


def main() -> None:
    """Time the rivals and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--graph", choices=["gowalla", "amazon-cds", "synthetic", "small"], default="small"
    )
    parser.add_argument("--edges", type=int, default=1_000_000, help="of the synthetic graph")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that its CSR support is in beta
        graph = graphs.named(args.graph, args.edges)
        times = harness.alternate(
            rivals_of(graph, args.dim, args.device), runs=args.runs, device=args.device
        )
    row_bytes = 4 * args.dim
    gather = harness.gather_bandwidth(graph.num_nodes * row_bytes, row_bytes, args.device)
    print(f"{args.graph}, {graph.num_edges:,} interactions, dim {args.dim}, {args.device}, {args.threads} threads; "
          f"gather {gather:.0f} GB/s")  # fmt: skip
    for name, row in times.items():
        both = "weight" in name
        harness.add_bandwidth(row, bytes_needed(graph, args.dim) * (1 + both), gather)
        ours = times["ltgnn, x and weight" if both else "ltgnn, x"]["median_ms"]
        row["times_ltgnn"] = row["median_ms"] / ours
    harness.print_table(
        times, {"gb_per_s": "GB/s", "share_of_gather": "of gather", "times_ltgnn": "x ltgnn"}
    )
    settings = {name: getattr(args, name) for name in ("graph", "dim", "threads", "device")}
    harness.write(args.json, {
        **settings, "num_edges": graph.num_edges, "gather_gb_per_s": gather, "rivals": times
    })  # fmt: skip


if __name__ == "__main__":
    main()
