"""The gradients of propagate, against autograd through torch's sparse products, on the CPU or on a GPU.

    python -m benchmarks.bench_propagate_backward --graph gowalla --dim 64 --threads 2 --json FILE

Each call is one backward pass of a product that is there already: for x, and for x and the edges' weights together.
`ordered` is ours on a graph whose rows are in the order of `ltgnn.graph.order_rows`.
torch's gradient of the values of a sparse product is tried where the graph is small: it may pass through a dense
nodes x nodes matrix.
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
        got = call()[0]
        assert torch.allclose(got, want, rtol=1e-4, atol=1e-4), f"{name} differs"
    return rivals


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
    print(f"{args.graph}, {graph.num_edges:,} interactions, dim {args.dim}, {args.threads} threads")
    for name, row in times.items():
        against = times["ltgnn, x and weight" if "weight" in name else "ltgnn, x"]["median_ms"]
        print(f"{name:>26} {row['median_ms']:>9.2f} ms  {row['median_ms'] / against:>6.2f}x ours")
    settings = {name: getattr(args, name) for name in ("graph", "dim", "threads", "device")}
    harness.write(args.json, {**settings, "num_edges": graph.num_edges, "rivals": times})


if __name__ == "__main__":
    main()
