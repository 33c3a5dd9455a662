"""Memory that operators keep for their next results."""

from __future__ import annotations

from ltgnn import _library


def release_memory() -> int:
    """Give memory that operators keep for their next results back to the system.

    On the CPU a large result (8 MB or more) takes the memory of one that is gone: new pages would cost a third
    of the time of a product with a large graph. What is kept and what is in use are together never more than was
    in use at once since the last release, and Linux may take what is kept when it needs memory. Training releases
    it after every epoch and every evaluation. (Linux, torch 2.11 or later. On a GPU it is torch that keeps memory,
    see `torch.cuda.empty_cache`.)

    A result on such memory cannot be resized in place: `resize_`, or an `out=` that has to grow, is a RuntimeError.

    Returns:
        The bytes that were kept.

    Example:
        >>> import torch, ltgnn
        >>> graph = ltgnn.graph.BipartiteGraph.from_edges([0, 1], [0, 0])
        >>> shape = ltgnn.ops.propagate(graph, torch.ones(3, 1 << 22)).shape  # 48 MB, gone at once
        >>> kept = ltgnn.ops.release_memory()  # 48 MB or a little more
        >>> ltgnn.ops.release_memory()
        0
    """
    return _library.release_blocks()
