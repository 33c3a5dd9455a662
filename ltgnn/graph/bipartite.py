"""BipartiteGraph: users and items as one symmetric adjacency in CSR form, validated once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.sparse
import torch
from torch import Tensor

from ltgnn.graph.ids import checked_ids
from ltgnn.graph.row_order import list_rows
from ltgnn.ops.csr import Csr, check_compressed, scipy_to_csr

INT32_MAX = 2**31 - 1
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class BipartiteGraph:
    """An immutable bipartite graph of users and items.

    Nodes are numbered users first: user u is node u, item i is node `num_users + i`. One CSR over all nodes
    holds both directions: its first `num_users` rows list each user's items, the rest each item's users. Make
    one with `from_edges`, `from_scipy` or `from_torch`: they check everything, so that operators need not.

    Attributes:
        num_users, num_items: sizes of the two sides; nodes without edges are allowed.
        indptr: [num_nodes + 1], int64.
        indices: [2 * num_edges], node numbers, sorted in each row, no repetition; int32 where they fit.
        row_order: [num_nodes], int64, in which `propagate` visits the rows, or None; see `order_rows`.
    """

    num_users: int
    num_items: int
    indptr: Tensor
    indices: Tensor
    row_order: Tensor | None = None
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False)

    # ---- making one ----

    @classmethod
    def from_edges(
        cls,
        users: npt.ArrayLike | Tensor,
        items: npt.ArrayLike | Tensor,
        *,
        num_users: int | None = None,
        num_items: int | None = None,
        duplicates: str = "merge",
    ) -> BipartiteGraph:
        """Build a graph from pairs (users[k], items[k]).

        Args:
            users, items: [num_interactions], integers from 0; numpy, torch or a list.
            num_users, num_items: sizes; where not given, one more than the largest id.
            duplicates: 'merge' repeated pairs into one edge, or 'error'.

        Raises:
            TypeError: ids are not integers.
            ValueError: lengths differ, ids are not 1-D, or a pair is repeated under 'error'.
            IndexError: an id is negative or not below its size.

        Complexity: O(num_interactions log(largest degree)) time.

        Example:
            >>> import ltgnn
            >>> ltgnn.graph.BipartiteGraph.from_edges([0, 0, 1], [2, 0, 0], num_items=4)
            BipartiteGraph(num_users=2, num_items=4, num_edges=3)
        """
        if duplicates not in ("merge", "error"):
            raise ValueError(f"duplicates must be 'merge' or 'error', got {duplicates!r}")
        user_ids, num_users = checked_ids("users", users, num_users)
        item_ids, num_items = checked_ids("items", items, num_items)
        if len(user_ids) != len(item_ids):
            raise ValueError(
                f"users and items must have equal length, got {len(user_ids)} and {len(item_ids)}"
            )
        matrix = scipy.sparse.coo_array(
            (np.ones(len(user_ids), dtype=np.int8), (user_ids, item_ids)),
            shape=(num_users, num_items),
        ).tocsr()
        if duplicates == "error" and matrix.nnz != len(user_ids):
            raise ValueError(
                f"{len(user_ids) - matrix.nnz} of {len(user_ids)} pairs are repeated; "
                "pass duplicates='merge' to keep one of each"
            )
        return cls.from_scipy(matrix)

    @classmethod
    def from_scipy(cls, matrix: Any) -> BipartiteGraph:
        """Build a graph from a scipy sparse matrix [num_users, num_items]; each stored entry is an edge.

        Raises:
            TypeError: not a scipy sparse matrix.
            ValueError, IndexError: its arrays are malformed.
        """
        if not scipy.sparse.issparse(matrix):
            raise TypeError(
                f"from_scipy: expected a scipy sparse matrix, got {type(matrix).__name__}"
            )
        matrix = scipy_to_csr(matrix, "from_scipy")
        num_users, num_items = (int(size) for size in matrix.shape)
        check_compressed("from_scipy", matrix.indptr, matrix.indices, num_users, num_items)
        forward = scipy.sparse.csr_array(matrix, copy=True)
        forward.data = np.ones(len(forward.indices), dtype=np.int8)
        forward.sum_duplicates()  # also sorts each row
        backward = forward.tocsc()
        num_nodes = num_users + num_items
        dtype = np.int32 if num_nodes <= INT32_MAX else np.int64
        num_edges = forward.nnz
        indptr = np.empty(num_nodes + 1, dtype=np.int64)
        indptr[: num_users + 1] = forward.indptr
        indptr[num_users + 1 :] = backward.indptr[1:].astype(np.int64) + num_edges
        indices = np.empty(2 * num_edges, dtype=dtype)
        np.add(forward.indices, num_users, out=indices[:num_edges], dtype=dtype, casting="unsafe")
        indices[num_edges:] = backward.indices
        return cls(num_users, num_items, torch.from_numpy(indptr), torch.from_numpy(indices))

    @classmethod
    def from_torch(cls, matrix: Tensor) -> BipartiteGraph:
        """Build a graph from a sparse torch tensor (COO or CSR) [num_users, num_items].

        Raises:
            TypeError: not a sparse tensor of these layouts.
            ValueError, IndexError: it is not 2-D, or its indices are malformed.
        """
        if not isinstance(matrix, Tensor) or matrix.layout not in (
            torch.sparse_coo,
            torch.sparse_csr,
        ):
            kind = matrix.layout if isinstance(matrix, Tensor) else type(matrix).__name__
            raise TypeError(f"from_torch: expected a sparse COO or CSR tensor, got {kind}")
        if matrix.dim() != 2:
            raise ValueError(f"from_torch: expected a 2-D tensor, got {matrix.dim()}-D")
        if matrix.layout == torch.sparse_coo:
            if matrix.sparse_dim() != 2:
                raise ValueError(
                    f"from_torch: expected two sparse dimensions, got {matrix.sparse_dim()}"
                )
            # Not coalesced: merging is done here, and torch's own would trust the indices.
            users, items = matrix._indices().cpu()
            return cls.from_edges(
                users, items, num_users=matrix.shape[0], num_items=matrix.shape[1]
            )
        indptr = matrix.crow_indices().cpu().numpy()
        indices = matrix.col_indices().cpu().numpy()
        check_compressed("from_torch", indptr, indices, matrix.shape[0], matrix.shape[1])
        values = np.ones(len(indices), dtype=np.int8)
        shape = (matrix.shape[0], matrix.shape[1])
        return cls.from_scipy(scipy.sparse.csr_array((values, indices, indptr), shape=shape))

    # ---- reading it ----

    @property
    def num_nodes(self) -> int:
        """Users and items together."""
        return self.num_users + self.num_items

    @property
    def num_edges(self) -> int:
        """Distinct user-item pairs."""
        return self.indices.numel() // 2

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.indptr.device

    @property
    def degrees(self) -> Tensor:
        """[num_nodes], int64."""
        return self._cached("degrees", lambda: self.indptr.diff())

    @property
    def user_indptr(self) -> Tensor:
        """[num_users + 1], int64: where each user's items begin in `user_items`."""
        return self.indptr[: self.num_users + 1]

    @property
    def user_items(self) -> Tensor:
        """[num_edges]: item numbers from 0, user by user, sorted."""
        return self._cached("user_items", lambda: self.indices[: self.num_edges] - self.num_users)

    def scale(self, *, dtype: torch.dtype = torch.float32, self_loops: bool = False) -> Tensor:
        """[num_nodes]: 1/sqrt(degree), of degree + 1 with `self_loops`; 0 for a node without edges."""

        def compute() -> Tensor:
            degrees = self.degrees.to(torch.float64) + float(self_loops)
            return degrees.clamp(min=1.0).rsqrt().mul_(degrees > 0).to(dtype)

        return self._cached(("scale", dtype, self_loops), compute)

    def csr(
        self,
        *,
        dtype: torch.dtype = torch.float32,
        self_loops: bool = False,
        normalized: bool = True,
        ordered: bool = False,
    ) -> Csr:
        """The square adjacency [num_nodes, num_nodes] for operators (the CSR protocol)."""
        scale = self.scale(dtype=dtype, self_loops=self_loops) if normalized else None
        if ordered and self.row_order is not None:
            rows = self.row_order
            indptr, indices = self._cached(
                "ordered", lambda: list_rows(self.indptr, self.indices, rows)
            )
            return Csr(
                indptr, indices, self.num_nodes, None, scale, scale, indptr, indices,
                rows=rows, t_rows=rows,
            )  # fmt: skip
        # Symmetric: the transpose has the same structure. Which edge is whose mirror matters only where
        # edges have weights, and those come without normalisation.
        perm = None if normalized else self.mirror
        return Csr(
            self.indptr, self.indices, self.num_nodes, None, scale, scale,
            self.indptr, self.indices, perm,
        )  # fmt: skip

    def biadjacency(self, *, dtype: torch.dtype = torch.float32) -> tuple[Csr, Csr]:
        """`R~ = D_u^-1/2 R D_i^-1/2` [num_users, num_items] and its transpose, for operators.

        Both hold the graph's own indices, the first one a copy that counts from item 0.
        """
        users, edges = self.num_users, self.num_edges
        scale = self.scale(dtype=dtype)
        row, column = scale[:users].contiguous(), scale[users:].contiguous()
        forward = Csr(
            self.user_indptr.contiguous(), self.user_items, self.num_items, None, row, column
        )
        backward = Csr(
            (self.indptr[users:] - edges).contiguous(), self.indices[edges:].contiguous(),
            users, None, column, row,
        )  # fmt: skip
        return forward, backward

    @property
    def mirror(self) -> Tensor:
        """[2 * num_edges], int64: the edge in the other direction; its own inverse."""
        return self._cached(
            "mirror", lambda: torch.argsort(self.indices.to(torch.int64), stable=True)
        )

    def to(self, device: torch.device | str) -> BipartiteGraph:
        """The same graph on another device; itself where it is there already."""
        indptr, indices = self.indptr.to(device), self.indices.to(device)
        if indptr is self.indptr and indices is self.indices:
            return self
        order = None if self.row_order is None else self.row_order.to(device)
        return BipartiteGraph(self.num_users, self.num_items, indptr, indices, order)

    def user_rows(self, users: Tensor) -> scipy.sparse.csr_array:
        """The rows of some users [len(users), num_items], of ones (float32), in their order; users int64.

        Raises:
            IndexError: a user is out of range.
        """
        users = users.to(self.device)
        if len(users) and not 0 <= int(users.min()) <= int(users.max()) < self.num_users:
            wrong = int(users.min()) if int(users.min()) < 0 else int(users.max())
            raise IndexError(f"user_rows: users must be in [0, {self.num_users}), got {wrong}")
        begin, degrees = self.indptr[users], self.degrees[users]
        indptr = torch.cat([degrees.new_zeros(1), degrees.cumsum(0)])
        places = torch.arange(int(indptr[-1]), device=self.device)
        places += (begin - indptr[:-1]).repeat_interleave(degrees)
        items = self.indices[places] - self.num_users
        data = np.ones(len(items), dtype=np.float32)
        return scipy.sparse.csr_array(
            (data, items.cpu().numpy(), indptr.cpu().numpy()), shape=(len(users), self.num_items)
        )

    def to_scipy(self) -> scipy.sparse.csr_array:
        """The user-item matrix [num_users, num_items] of ones (float32)."""
        data = np.ones(self.num_edges, dtype=np.float32)
        return scipy.sparse.csr_array(
            (data, self.user_items.cpu().numpy(), self.user_indptr.cpu().numpy()),
            shape=(self.num_users, self.num_items),
        )

    def _cached(self, key: Any, compute: Callable[[], _T]) -> _T:
        if key not in self._cache:
            self._cache[key] = compute()
        result: _T = self._cache[key]
        return result

    def __repr__(self) -> str:
        return (
            f"BipartiteGraph(num_users={self.num_users}, num_items={self.num_items}, "
            f"num_edges={self.num_edges})"
        )
