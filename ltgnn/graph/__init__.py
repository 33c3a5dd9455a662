"""Graphs: bipartite user-item graphs in CSR form, immutable, or changing edge by edge."""

from ltgnn.graph.bipartite import BipartiteGraph
from ltgnn.graph.dynamic import DynamicGraph

__all__ = ["BipartiteGraph", "DynamicGraph"]
