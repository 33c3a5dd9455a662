"""propagate against everything on the CPU that multiplies a sparse by a dense matrix.

    python -m benchmarks.bench_propagate --graph gowalla --dim 64 --threads 2 --json FILE

Every rival allocates its output, as ours does; `ltgnn fp32 out=` reuses one and is listed apart. GB/s counts the
gathered rows, indices and the output; the share is of `gather`, what random rows of a table of x's size can be
read at on this machine with these threads.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import scipy.sparse
import torch

from benchmarks import graphs, harness
from ltgnn.graph import BipartiteGraph
from ltgnn.ops import propagate

DENSE_LIMIT = 8192  # nodes up to which a dense adjacency is tried


def make_rivals(graph: BipartiteGraph, x: torch.Tensor) -> dict[str, Callable[[], object]]:
    """The same product, in every way there is."""
    scale = graph.scale()
    rows = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.degrees)
    values = scale[rows] * scale[graph.indices.long()]
    size = (graph.num_nodes, graph.num_nodes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that its CSR support is in beta
        csr = torch.sparse_csr_tensor(graph.indptr, graph.indices.long(), values, size=size)
    coo = torch.sparse_coo_tensor(torch.stack([rows, graph.indices.long()]), values, size=size)
    coo = coo.coalesce()
    offsets = graph.indptr[:-1].to(graph.indices.dtype)
    matrix = scipy.sparse.csr_array(
        (values.numpy(), graph.indices.numpy(), graph.indptr.numpy()), shape=size
    )
    half, out, dense_x = x.bfloat16(), torch.empty_like(x), x.numpy()
    rivals: dict[str, Callable[[], object]] = {
        "ltgnn fp32": lambda: propagate(graph, x),
        "ltgnn bf16": lambda: propagate(graph, half),
        "ltgnn fp32 out=": lambda: propagate(graph, x, out=out),
        "embedding_bag": lambda: torch.nn.functional.embedding_bag(
            graph.indices, x, offsets, mode="sum", per_sample_weights=values
        ),
        "torch.sparse.mm CSR": lambda: torch.sparse.mm(csr, x),
        "torch.sparse.mm COO": lambda: torch.sparse.mm(coo, x),
        "scipy CSR": lambda: matrix @ dense_x,
    }
    if graph.num_nodes <= DENSE_LIMIT:
        full = csr.to_dense()
        rivals["torch dense"] = lambda: full @ x
    expected = propagate(graph, x)
    for name, call in rivals.items():
        got = torch.as_tensor(call()).float()
        tolerance = 2e-2 if "bf16" in name else 1e-5
        assert torch.allclose(got, expected, rtol=tolerance, atol=tolerance), name
    return rivals


def main() -> None:
    """Time the rivals and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--graph", choices=["gowalla", "amazon-cds", "synthetic", "small"], default="synthetic"
    )
    parser.add_argument("--edges", type=int, default=20_000_000, help="of the synthetic graph")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.graph == "synthetic":
        graph = graphs.zipf(args.edges)
    elif args.graph == "small":
        graph = graphs.zipf(100_000)
    else:
        graph = graphs.graph_of(graphs.real(args.graph))
    x = torch.randn(graph.num_nodes, args.dim, generator=torch.Generator().manual_seed(0))
    rivals = make_rivals(graph, x)
    times = harness.alternate(rivals, runs=args.runs)
    gather = harness.gather_bandwidth(x.numel() * 4, args.dim * 4)
    base = times["ltgnn fp32"]["median_ms"]
    print(f"{graph}, dim {args.dim}, {args.threads} threads; gather {gather:.0f} GB/s")
    print(f"{'':<22}{'median ms':>10}{'min ms':>9}{'GB/s':>7}{'share':>7}{'x ltgnn':>9}")
    for name, row in times.items():
        element = 2 if "bf16" in name else 4
        index = graph.indices.element_size()
        moved = 2 * graph.num_edges * (args.dim * element + index) + x.numel() * element
        row["gb_per_s"] = moved / row["median_ms"] / 1e6
        row["share_of_gather"] = row["gb_per_s"] / gather
        row["times_ltgnn"] = row["median_ms"] / base
        print(f"{name:<22}{row['median_ms']:>10.2f}{row['min_ms']:>9.2f}{row['gb_per_s']:>7.0f}"
              f"{row['share_of_gather']:>7.2f}{row['times_ltgnn']:>9.2f}")  # fmt: skip
    harness.write(args.json, {
        "graph": args.graph, "num_nodes": graph.num_nodes, "num_edges": graph.num_edges,
        "dim": args.dim, "threads": args.threads, "gather_gb_per_s": gather, "times": times,
    })  # fmt: skip


if __name__ == "__main__":
    main()
