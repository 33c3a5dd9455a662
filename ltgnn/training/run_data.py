"""What a run learns from and is scored on: a data set in memory, or a block store that is never loaded whole."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse
from tqdm import tqdm

from ltgnn.data import BlockStore, Dataset, StoreError
from ltgnn.graph import BipartiteGraph, MappedStorage, TableStorage, graph_from_blocks
from ltgnn.training.run_dir import load_dataset, read_json, save_dataset, write_json

Csr: TypeAlias = Any  # scipy.sparse.csr_array, which comes without types


class RunData(ABC):
    """The data of a run.

    Attributes:
        name: of the data set.
        num_users, num_items: sizes of the two sides.
        sizes: interactions of each part there is, 'train' first.
    """

    name: str
    num_users: int
    num_items: int
    sizes: dict[str, int]

    def describe(self) -> str:
        """One line: name, counts and the density of all parts together."""
        cells = self.num_users * self.num_items
        density = 100 * sum(self.sizes.values()) / cells if cells else 0.0
        counts = ", ".join(f"{part} {size:,}" for part, size in self.sizes.items())
        return (
            f"{self.name}: {self.num_users:,} users, {self.num_items:,} items; {counts}; "
            f"density {density:.4f} %"
        )

    @property
    def has_validation(self) -> bool:
        """Whether there is a part to choose an epoch by."""
        return "valid" in self.sizes

    @abstractmethod
    def build_graph(self, storage: TableStorage, *, progress: bool = False) -> BipartiteGraph:
        """The graph of the train part."""

    @abstractmethod
    def degrees(self, part: str) -> npt.NDArray[np.int64]:
        """[num_users]: interactions of each user in a part."""

    @abstractmethod
    def rows(self, part: str, users: npt.NDArray[np.int64]) -> Csr:
        """[len(users), num_items], of ones: what these users have in a part other than train."""

    @abstractmethod
    def ids(self, side: str) -> Any:
        """External ids of 'user' or 'item', int64 or str; None where they are the numbers."""

    @abstractmethod
    def keep(self, folder: Path) -> None:
        """Write to a run folder what `load_run_data` needs to find the same data again."""


class DatasetInMemory(RunData):
    """A `Dataset`."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.name = dataset.name
        self.num_users, self.num_items = dataset.num_users, dataset.num_items
        self.sizes = {part: len(pairs) for part, pairs in dataset.parts().items()}
        self._rows: dict[str, Csr] = {}

    @property
    def held_bytes(self) -> int:
        """Of the interactions and their external ids (of text, the characters)."""
        train, parts = self.dataset.train, self.dataset.parts().values()
        arrays = [
            array
            for pairs in parts
            for array in (pairs.users, pairs.items, pairs.values, pairs.times)
        ]
        return sum(
            array.nbytes for array in (*arrays, train.user_ids, train.item_ids) if array is not None
        )

    def build_graph(self, storage: TableStorage, *, progress: bool = False) -> BipartiteGraph:
        """See the base class."""
        train = self.dataset.train
        graph = BipartiteGraph.from_edges(
            train.users, train.items, num_users=self.num_users, num_items=self.num_items
        )
        if not isinstance(storage, MappedStorage):
            return graph
        indices = storage.empty(len(graph.indices), dtype=graph.indices.dtype)
        indices.copy_(graph.indices)
        return BipartiteGraph(self.num_users, self.num_items, graph.indptr, indices)

    def degrees(self, part: str) -> npt.NDArray[np.int64]:
        """See the base class."""
        lengths: npt.NDArray[np.int64] = np.diff(self._csr(part).indptr).astype(np.int64)
        return lengths

    def rows(self, part: str, users: npt.NDArray[np.int64]) -> Csr:
        """See the base class."""
        return self._csr(part)[users]

    def ids(self, side: str) -> Any:
        """See the base class."""
        return getattr(self.dataset.train, f"{side}_ids")

    def keep(self, folder: Path) -> None:
        """Keep the interactions themselves: the run needs the original files no more."""
        save_dataset(folder, self.dataset)

    def _csr(self, part: str) -> Csr:
        if part not in self._rows:
            rows = scipy.sparse.csr_array(self.dataset.parts()[part].to_scipy())
            rows.data[:] = 1  # a rating of 0 is an interaction, too, and sums must not cancel
            self._rows[part] = rows
        return self._rows[part]


class DatasetInStore(RunData):
    """A block store, read block by block. The run keeps its path and a digest, not its content.

    Args:
        path: what `ltgnn convert` wrote.
        digest: of the header, where it must be the store that it once was.

    Raises:
        StoreError: it is no store, is damaged, or is another one than the digest says.
    """

    def __init__(self, path: str | os.PathLike[str], digest: str | None = None) -> None:
        self.store = BlockStore(path)
        self.path = os.path.abspath(path)
        if digest is not None and digest != self.store.header_digest:
            raise StoreError(f"{path}: the store is not the one that the run was started with")
        self.name = self.store.name
        self.num_users, self.num_items = self.store.num_users, self.store.num_items
        self.sizes = dict(self.store.parts)
        self._indptr: dict[str, npt.NDArray[np.int64]] = {}

    def build_graph(self, storage: TableStorage, *, progress: bool = False) -> BipartiteGraph:
        """See the base class. Memory for the graph and a few blocks; every block is checked as it is read."""
        sides = ("train/by_user", "train/by_item")
        user_indptr, item_indptr = (self.store.indptr("train", side) for side in ("user", "item"))
        with tqdm(
            total=2 * self.sizes["train"], desc="graph", unit=" edges", unit_scale=True, leave=False,
            disable=None if progress else True,
        ) as bar:  # fmt: skip

            def blocks(rows: str) -> Iterator[tuple[int, npt.NDArray[Any]]]:
                for start, block in self.store.blocks(f"{rows}/indices"):
                    yield start, block
                    bar.update(len(block))

            try:
                return graph_from_blocks(
                    user_indptr, item_indptr, blocks(sides[0]), blocks(sides[1]), storage
                )
            except StoreError:
                raise
            except ValueError as error:
                raise StoreError(f"{self.path}: train: {error}") from None

    def degrees(self, part: str) -> npt.NDArray[np.int64]:
        """See the base class."""
        return np.diff(self._rows_of(part))

    def rows(self, part: str, users: npt.NDArray[np.int64]) -> Csr:
        """See the base class. Reads the blocks in which these users' items lie."""
        indptr = self._rows_of(part)
        name, pieces = f"{part}/by_user/indices", []
        begin, end = indptr[users], indptr[users + 1]
        # Neighbours are read together: users come sorted, and rows follow each other.
        breaks = np.flatnonzero(begin[1:] != end[:-1]) + 1
        for run in np.split(np.arange(len(users)), breaks):
            if len(run) and end[run[-1]] > begin[run[0]]:
                pieces.append(self.store.read(name, int(begin[run[0]]), int(end[run[-1]])))
        indices = np.concatenate(pieces) if pieces else np.empty(0, np.int32)
        if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < self.num_items:
            raise StoreError(
                f"{self.path}: {name}: expected indices from 0 to {self.num_items - 1}"
            )
        starts = np.concatenate([[0], np.cumsum(end - begin)])
        ones = np.ones(len(indices), np.float32)
        return scipy.sparse.csr_array((ones, indices, starts), shape=(len(users), self.num_items))

    def ids(self, side: str) -> Any:
        """See the base class."""
        return self.store.ids("user" if side == "user" else "item")

    def keep(self, folder: Path) -> None:
        """Keep path and digest."""
        write_json(folder / "data.json", {"store": self.path, "digest": self.store.header_digest})

    def _rows_of(self, part: str) -> npt.NDArray[np.int64]:
        if part not in self._indptr:
            self._indptr[part] = self.store.indptr(part, "user")
        return self._indptr[part]


def load_run_data(folder: Path) -> RunData:
    """The data of a run folder, as `keep` has left them.

    Raises:
        StoreError: the block store has changed since.
        CheckpointError: the folder's own copy is damaged.
    """
    if (folder / "data.json").exists():
        where = read_json(folder / "data.json")
        return DatasetInStore(where["store"], where["digest"])
    return DatasetInMemory(load_dataset(folder))
