"""DynamicGraph: a bipartite graph to which edges are added, and from which they are taken, in place."""

from __future__ import annotations

from typing import Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt
import scipy.sparse
import torch
from torch import Tensor

from ltgnn.graph.bipartite import INT32_MAX, BipartiteGraph
from ltgnn.graph.ids import checked_ids
from ltgnn.graph.slack_pool import Ids, SlackPool
from ltgnn.ops.csr import Csr, SlackRows

# Batches up to this many edges go in one by one: below it that is faster than work on whole arrays.
_FEW = 16


class DynamicGraph:
    """A bipartite graph that changes edge by edge: O(degree) moved bytes each, in both directions.

    Nodes are numbered as in `BipartiteGraph`, users first. So the number of either cannot grow without
    renumbering the items; reserve what will be needed instead (`num_users`, `num_items` above those in use): a
    node without edges costs a row of each table and 24 bytes here.

    `ltgnn.ops.incremental_update` follows its rows where they lie. Every other operator takes it too, through an
    immutable copy that is made anew, in O(num_edges), after a change (`to_bipartite`).

    Attributes:
        num_users, num_items: sizes of the two sides.

    Example:
        >>> import ltgnn
        >>> graph = ltgnn.graph.DynamicGraph(num_users=2, num_items=3)
        >>> graph.insert([0, 1], [2, 2])
        tensor([0, 1, 4])
        >>> graph.delete([0], [2])
        tensor([0, 4])
        >>> graph
        DynamicGraph(num_users=2, num_items=3, num_edges=1)
    """

    def __init__(self, num_users: int, num_items: int) -> None:
        """An empty graph.

        Raises:
            ValueError: a size is negative.
        """
        for name, size in (("num_users", num_users), ("num_items", num_items)):
            if size < 0:
                raise ValueError(f"{name} must not be negative, got {size}")
        self.num_users, self.num_items = num_users, num_items
        self._fill(np.zeros(num_users + num_items, dtype=np.int64), np.zeros(0, dtype=np.int64))

    @classmethod
    def from_bipartite(
        cls, graph: BipartiteGraph, *, num_users: int | None = None, num_items: int | None = None
    ) -> DynamicGraph:
        """Copy a graph, with room for `num_users` and `num_items` where they are given.

        Raises:
            ValueError: a size is below the graph's.

        Complexity: O(num_nodes + num_edges).

        Example:
            >>> import ltgnn
            >>> fixed = ltgnn.graph.BipartiteGraph.from_edges([0], [0])
            >>> graph = ltgnn.graph.DynamicGraph.from_bipartite(fixed, num_users=3)
            >>> graph.insert([2], [0])
            tensor([2, 3])
        """
        sizes = []
        for name, given, own in (
            ("num_users", num_users, graph.num_users),
            ("num_items", num_items, graph.num_items),
        ):
            if given is not None and given < own:
                raise ValueError(f"{name} must be at least the graph's {own}, got {given}")
            sizes.append(own if given is None else given)
        result = cls.__new__(cls)
        result.num_users, result.num_items = sizes
        degree = np.zeros(sum(sizes), dtype=np.int64)
        degrees = graph.degrees.cpu().numpy()
        degree[: graph.num_users] = degrees[: graph.num_users]
        degree[sizes[0] : sizes[0] + graph.num_items] = degrees[graph.num_users :]
        indices = graph.indices.cpu().numpy().astype(np.int64)
        indices[: graph.num_edges] += sizes[0] - graph.num_users
        result._fill(degree, indices)
        return result

    def _fill(self, degree: Ids, indices: Ids) -> None:
        dtype = np.int32 if len(degree) <= INT32_MAX else np.int64
        self._rows = SlackPool(degree, indices, dtype)
        self._num_edges = len(indices) // 2
        self._fixed: BipartiteGraph | None = None

    # ---- changing ----

    def insert(
        self,
        users: npt.ArrayLike | Tensor,
        items: npt.ArrayLike | Tensor,
        *,
        existing: Literal["error", "ignore"] = "error",
    ) -> Tensor:
        """Add the edges (users[k], items[k]).

        Args:
            users, items: [num_edges], integers from 0; numpy, torch or a list.
            existing: an edge that is there already, or twice in the list, is an 'error', or left as it is.

        Returns:
            The nodes whose neighbours changed: sorted, distinct, int64; what `incremental_update` takes.

        Raises:
            ValueError: lengths differ, ids are not 1-D, or an edge exists; the graph is then unchanged.
            IndexError: an id is out of range; the graph is then unchanged.
            TypeError: ids are not integers.

        Complexity: O(degrees of the nodes) for each of a few edges, all in moved memory; for many
        O(num_edges log + degrees of the nodes), in whole-array steps.
        """
        if existing not in ("error", "ignore"):
            raise ValueError(f"existing must be 'error' or 'ignore', got {existing!r}")
        return self._change(users, items, present=False, strict=existing == "error")

    def delete(
        self,
        users: npt.ArrayLike | Tensor,
        items: npt.ArrayLike | Tensor,
        *,
        missing: Literal["error", "ignore"] = "error",
    ) -> Tensor:
        """Take away the edges (users[k], items[k]).

        Args:
            users, items: as for `insert`.
            missing: an edge that is not there, or twice in the list, is an 'error', or passed over.

        Returns, Raises, Complexity: as for `insert`.
        """
        if missing not in ("error", "ignore"):
            raise ValueError(f"missing must be 'error' or 'ignore', got {missing!r}")
        return self._change(users, items, present=True, strict=missing == "error")

    def _change(self, users: Any, items: Any, *, present: bool, strict: bool) -> Tensor:
        """Toggle the edges whose presence is as given; all checks come before the first change."""
        u, i = (
            checked_ids(name, ids, size)[0].astype(np.int64)
            for name, ids, size in (
                ("users", users, self.num_users),
                ("items", items, self.num_items),
            )
        )
        if len(u) != len(i):
            raise ValueError(f"users and items must have equal length, got {len(u)} and {len(i)}")
        u, i = self._usable(u, i + self.num_users, present, strict)
        if not len(u):
            return torch.empty(0, dtype=torch.int64)
        self._fixed = None
        if len(u) <= _FEW:
            one = self._rows.delete_one if present else self._rows.insert_one
            for a, b in zip(u.tolist(), i.tolist(), strict=True):
                one(a, b)
                one(b, a)
        else:
            # Users come first: the pairs in both directions are sorted by row, then column.
            turned = np.lexsort((u, i))
            many = self._rows.delete if present else self._rows.insert
            many(np.concatenate([u, i[turned]]), np.concatenate([i, u[turned]]))
        self._num_edges += -len(u) if present else len(u)
        nodes = np.concatenate([u, i])
        if len(u) > 1:
            nodes = np.unique(nodes)
        self._rows.changed(nodes)
        return torch.from_numpy(nodes)

    def _usable(self, u: Ids, i: Ids, present: bool, strict: bool) -> tuple[Ids, Ids]:
        """The distinct edges that are (not) there, sorted; raises for the others where `strict`."""
        if len(u) > 1:
            order = np.lexsort((i, u))
            u, i = u[order], i[order]
            again = np.zeros(len(u), dtype=np.bool_)
            again[1:] = (u[1:] == u[:-1]) & (i[1:] == i[:-1])
            if again.any():
                if strict:
                    self._refuse(u, i, again, "is twice in the list", present)
                u, i = u[~again], i[~again]
        if len(u) <= _FEW:
            pairs = zip(u.tolist(), i.tolist(), strict=True)
            found = np.array([self._rows.has(a, b) for a, b in pairs], dtype=np.bool_)
        else:
            found = self._rows.find(u, i)[1]
        wrong = found != present
        if wrong.any():
            if strict:
                what = "is not there" if present else "exists already"
                self._refuse(u, i, wrong, what, present)
            u, i = u[~wrong], i[~wrong]
        return u, i

    def _refuse(
        self, u: Ids, i: Ids, wrong: npt.NDArray[np.bool_], what: str, present: bool
    ) -> NoReturn:
        first = int(wrong.argmax())
        more = f" ({wrong.sum()} such edges)" if wrong.sum() > 1 else ""
        raise ValueError(
            f"edge (user {u[first]}, item {i[first] - self.num_users}) {what}{more}; "
            f"pass {'missing' if present else 'existing'}='ignore' to leave such edges alone"
        )

    # ---- reading ----

    @property
    def num_nodes(self) -> int:
        """Users and items together."""
        return self.num_users + self.num_items

    @property
    def num_edges(self) -> int:
        """User-item pairs."""
        return self._num_edges

    @property
    def degrees(self) -> Tensor:
        """[num_nodes], int64: a copy."""
        return torch.from_numpy(self._rows.degree.copy())

    def has_edge(self, user: int, item: int) -> bool:
        """Whether the edge is there; O(log(degree)).

        Raises:
            IndexError: an id is out of range.
        """
        for name, number, size in (("user", user, self.num_users), ("item", item, self.num_items)):
            if not 0 <= number < size:
                raise IndexError(f"{name} must be in [0, {size}), got {number}")
        return self._rows.has(user, item + self.num_users)

    def neighbors(self, node: int) -> Tensor:
        """[degree], int64: the neighbours of a node, as node numbers, sorted; a copy.

        Raises:
            IndexError: there is no such node.
        """
        if not 0 <= node < self.num_nodes:
            raise IndexError(f"node must be in [0, {self.num_nodes}), got {node}")
        return torch.from_numpy(self._rows.row(node).astype(np.int64))

    def slack_rows(self, device: torch.device) -> SlackRows:
        """The rows for operators that follow single ones; valid until the next change.

        On a device other than the CPU a copy is kept, to which changed rows are sent when they are asked for.
        """
        return self._rows.slack_rows(device)

    def to_bipartite(self) -> BipartiteGraph:
        """The graph as it stands, immutable. O(num_nodes + num_edges), once after a change."""
        if self._fixed is None:
            indptr = np.zeros(self.num_nodes + 1, dtype=np.int64)
            np.cumsum(self._rows.degree, out=indptr[1:])
            self._fixed = BipartiteGraph(
                self.num_users,
                self.num_items,
                torch.from_numpy(indptr),
                torch.from_numpy(self._rows.flat()),
            )
        return self._fixed

    def csr(
        self,
        *,
        dtype: torch.dtype = torch.float32,
        self_loops: bool = False,
        normalized: bool = True,
        ordered: bool = False,
    ) -> Csr:
        """The square adjacency for operators (the CSR protocol), from `to_bipartite`: its rows in order."""
        return self.to_bipartite().csr(dtype=dtype, self_loops=self_loops, normalized=normalized)

    def biadjacency(self, *, dtype: torch.dtype = torch.float32) -> tuple[Csr, Csr]:
        """The normalised user-item block and its transpose, from `to_bipartite`."""
        return self.to_bipartite().biadjacency(dtype=dtype)

    def to_scipy(self) -> scipy.sparse.csr_array:
        """The user-item matrix [num_users, num_items] of ones (float32)."""
        return self.to_bipartite().to_scipy()

    def __repr__(self) -> str:
        return (
            f"DynamicGraph(num_users={self.num_users}, num_items={self.num_items}, "
            f"num_edges={self.num_edges})"
        )
