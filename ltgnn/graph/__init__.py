"""Graphs: bipartite user-item graphs in CSR form, immutable, or changing edge by edge."""

from ltgnn.graph.assembly import graph_from_blocks
from ltgnn.graph.bipartite import BipartiteGraph
from ltgnn.graph.dynamic import DynamicGraph
from ltgnn.graph.row_order import order_rows
from ltgnn.graph.storage import MappedStorage, TableStorage

__all__ = [
    "BipartiteGraph",
    "DynamicGraph",
    "MappedStorage",
    "TableStorage",
    "graph_from_blocks",
    "order_rows",
]
