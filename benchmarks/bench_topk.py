"""Full, masked ranking of all items for all users, against other exact ways to do it.

    python -m benchmarks.bench_topk --graph gowalla --dim 64 --k 20 --threads 2 --json FILE
    python -m benchmarks.bench_topk --graph synthetic --items 4000000 --queries 400 --blocks 25 100

Embeddings are normal random numbers; what a user has in train is masked. `ltgnn topk` is `ltgnn.ops.topk`, whose
scores are exact to the last bit; `ltgnn operator` is the native operator alone, in float32 like its rivals. The
torch rivals find their masks ready, and take `--blocks` users at a time. faiss cannot mask: it is timed without.

Arithmetic is what bounds it: 2 users items dim operations over 4 (users + items) dim bytes. So G/s are of those
operations, the same for all, and `of product` is their share of the rate of torch's own large matrix product. The
floor is the product at that rate, plus inputs and results at the bandwidth of a large copy. On `synthetic` the item
table fits in no cache.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import Any

import scipy.sparse
import torch
from torch import Tensor

from benchmarks import graphs, harness
from ltgnn.graph import BipartiteGraph
from ltgnn.ops import topk

Ranking = Callable[[], Any]


def torch_blocks(
    queries: Tensor, items: Tensor, seen: tuple[Tensor, Tensor], k: int, size: int
) -> Ranking:
    """Product, mask and topk of `size` queries at a time; the pairs to mask are made beforehand."""
    indptr, indices = seen[0].cpu(), seen[1].cpu().long()
    masks = []
    for start in range(0, len(queries), size):
        degrees = indptr[start : start + size + 1].diff()
        rows = torch.repeat_interleave(torch.arange(len(degrees)), degrees)
        mine = indices[int(indptr[start]) : int(indptr[start + len(degrees)])]
        masks.append((rows.to(queries.device), mine.to(queries.device)))
    transposed = items.t()

    def rank() -> tuple[Tensor, Tensor]:
        found = []
        for mask, block in zip(masks, torch.split(queries, size), strict=True):
            scores = block @ transposed
            scores[mask] = -torch.inf
            found.append(scores.topk(k, dim=1))
        return torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])

    return rank


def optional_rivals(
    queries: Tensor, items: Tensor, seen: tuple[Tensor, Tensor], k: int, threads: int
) -> dict[str, Ranking]:
    """What else is installed, on the CPU."""
    rivals: dict[str, Ranking] = {}
    q, x = queries.numpy(), items.numpy()
    try:
        implicit = importlib.import_module("implicit.cpu.topk")
        values = torch.ones(len(seen[1])).numpy()
        matrix = scipy.sparse.csr_matrix(
            (values, seen[1].numpy(), seen[0].numpy()), shape=(len(q), len(x))
        )
        rivals["implicit"] = lambda: implicit.topk(
            x, q, k, filter_query_items=matrix, num_threads=threads
        )[::-1]
    except ImportError:
        pass
    try:
        faiss = importlib.import_module("faiss")
        faiss.omp_set_num_threads(threads)
        index = faiss.IndexFlatIP(x.shape[1])
        index.add(x)
        rivals["faiss, no mask"] = lambda: index.search(q, k)
    except ImportError:
        pass
    return rivals


def agreement(got: Any, want: tuple[Tensor, Tensor]) -> float:
    """Share of the wanted ids that are among those found."""
    first, second = (torch.as_tensor(part).cpu() for part in got)
    ids = second if second.dtype in (torch.int64, torch.int32) else first
    return float((ids[:, :, None] == want[1].cpu()[:, None, :]).any(1).float().mean())


def synchronize(device: torch.device) -> None:
    """Wait for what was queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def finished(call: Ranking, device: torch.device) -> Ranking:
    """The call, waited for."""

    def run() -> None:
        call()
        synchronize(device)

    return run


def load(name: str, users: int, items: int) -> BipartiteGraph:
    """A real data set's training graph, or a synthetic one: of these sizes, or a small one."""
    if name == "synthetic":
        return graphs.zipf(50 * users, users=users, items=items)
    if name == "small":
        return graphs.zipf(100_000)
    return graphs.graph_of(graphs.real(name))


def main() -> None:
    """Time the rivals and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--graph", choices=["gowalla", "amazon-cds", "synthetic", "small"], default="gowalla"
    )
    parser.add_argument("--items", type=int, default=4_000_000, help="of the synthetic graph")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--queries", type=int, help="only the first so many users; of the synthetic graph 400"
    )
    parser.add_argument(
        "--blocks",
        type=int,
        nargs="+",
        default=[100, 1000],
        help="users that torch takes at a time",
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    graph = load(args.graph, args.queries or 400, args.items)
    num_queries = min(args.queries or graph.num_users, graph.num_users)
    random = torch.Generator().manual_seed(0)
    queries = torch.randn(num_queries, args.dim, generator=random).to(device)
    items = torch.randn(graph.num_items, args.dim, generator=random).to(device)
    indptr = graph.user_indptr[: num_queries + 1]
    seen = (indptr.to(device), graph.user_items[: int(indptr[-1])].to(device))
    calls: dict[str, Ranking] = {
        "ltgnn topk": lambda: topk(queries, items, args.k, seen=seen),
        "ltgnn operator": lambda: torch.ops.ltgnn.topk(queries, items, args.k, *seen),
    }
    for size in args.blocks:
        calls[f"torch, {size} users"] = torch_blocks(queries, items, seen, args.k, size)
    if device.type == "cpu":
        calls |= optional_rivals(queries, items, seen, args.k, args.threads)
    want = topk(queries, items, args.k, seen=seen)
    for name, call in calls.items():
        if "no mask" not in name:  # float32 may swap near-ties
            assert agreement(call(), want) >= 0.9999, name
    product, copy = harness.matmul_rate(args.device), harness.copy_bandwidth(args.device)
    work = 2 * num_queries * graph.num_items * args.dim
    moved = 4 * (queries.numel() + items.numel() + len(seen[1])) + 12 * num_queries * args.k
    floor_ms = (work / product + moved / copy) / 1e6
    times = harness.alternate(
        {name: finished(call, device) for name, call in calls.items()}, runs=args.runs, warmup=1
    )
    base = times["ltgnn topk"]["median_ms"]
    print(f"{num_queries} x {graph.num_items}, dim {args.dim}, k {args.k}, {args.device}, {args.threads} threads; "
          f"product {product:.0f} G/s, copies {copy:.0f} GB/s, floor {floor_ms:.1f} ms")  # fmt: skip
    for row in times.values():
        harness.add_arithmetic(row, work, product)
        row["times_floor"] = row["median_ms"] / floor_ms
        row["times_ltgnn"] = row["median_ms"] / base
    harness.print_table(times, {"gflop_per_s": "G/s", "share_of_product": "of product",
                                "times_floor": "x floor", "times_ltgnn": "x ltgnn"})  # fmt: skip
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    harness.write(args.json, {
        "graph": args.graph, "num_queries": num_queries, "num_items": graph.num_items, "dim": args.dim,
        "k": args.k, "threads": args.threads, "device": name, "product_gflop_per_s": product,
        "copy_gb_per_s": copy, "floor_ms": floor_ms, "times": times,
    })  # fmt: skip


if __name__ == "__main__":
    main()
