"""Graphs: immutable bipartite user-item graphs in CSR form."""

from ltgnn.graph.bipartite import BipartiteGraph

__all__ = ["BipartiteGraph"]
