"""A data set in a block store: CSR both ways, external ids, and the split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import PathLike
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ltgnn.data._native import IdArray, display_name
from ltgnn.data.block_store.block_file import BlockFile
from ltgnn.data.block_store.layout import StoreError
from ltgnn.data.dataset import Dataset
from ltgnn.data.interactions import Interactions

PARTS = ("train", "valid", "test")
Side = Literal["user", "item"]
_FRACTIONS = ("test_fraction", "valid_fraction")
_INT32_MAX = np.iinfo(np.int32).max


class BlockStore(BlockFile):
    """An open data set: what `ltgnn convert` writes and `write_blocks` makes of arrays.

    Its arrays, for U users, I items and E interactions of a part:

    - ``PART/by_user/indptr`` int64 [U + 1] and ``PART/by_user/indices`` int32 [E] for train and, where
      there are any, valid and test: each user's items, ascending, none twice;
    - ``train/by_item/indptr`` int64 [I + 1] and ``train/by_item/indices`` int32 [E]: each item's users;
    - ``PART/values`` float32 [E] and ``PART/times`` float64 [E], in the order of by_user, or absent;
    - ``user_ids`` and ``item_ids``: int64, or ``user_ids/offsets`` int64 [U + 1] and
      ``user_ids/bytes`` uint8 in UTF-8; absent where the ids are the indices.

    See ``BlockFile`` for what is checked when, and what is guaranteed about damage.

    Args:
        path: the file.

    Raises:
        StoreError: not a block store, or one whose arrays do not fit together.
        OSError: it cannot be opened.

    Example:
        >>> import pathlib, tempfile
        >>> from ltgnn.data import convert
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     source, target = pathlib.Path(folder) / "a.txt", pathlib.Path(folder) / "a.store"
        ...     _ = source.write_text("0 2 1" + chr(10) + "1 2" + chr(10))
        ...     _ = convert(source, target, split="none")
        ...     with BlockStore(target) as store:
        ...         indptr, users = store.csr("train", by="item")
        >>> indptr.tolist(), users.tolist()
        ([0, 0, 1, 3], [0, 0, 1])
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        super().__init__(path)
        try:
            self._read_meta(self.header.meta)
            self._check_arrays()
        except StoreError as error:
            self.close()
            raise StoreError(f"{display_name(self.path)}: {error}") from None

    def _read_meta(self, meta: dict[str, Any]) -> None:
        counts = [meta.get("num_users"), meta.get("num_items")]
        if any(type(count) is not int or not 0 <= count <= _INT32_MAX for count in counts):
            raise StoreError(f"meta: expected num_users and num_items as int32, got {counts!r:.60}")
        name, split = meta.get("name"), meta.get("split")
        if not isinstance(name, str) or not isinstance(split, str):
            raise StoreError("meta: expected a name and a split")
        self.name: str = name
        self.split: str = split  # how the parts came about; "given" by the source's files
        drawn = meta.get("drawn", {})
        known = isinstance(drawn, dict) and drawn.keys() <= {*_FRACTIONS, "seed"}
        if not known or any(type(value) not in (int, float) for value in drawn.values()):
            raise StoreError(f"meta: expected drawn as numbers by name, got {drawn!r:.60}")
        self.drawn: dict[str, float] = drawn  # fractions and seed of the draws, where it was told
        self.num_users: int = meta["num_users"]
        self.num_items: int = meta["num_items"]
        self.parts: dict[str, int] = {  # number of interactions of each
            part: self.arrays[f"{part}/by_user/indices"].length
            for part in PARTS
            if f"{part}/by_user/indices" in self.arrays
        }

    def _check_arrays(self) -> None:
        if "train" not in self.parts:
            raise StoreError("expected an array train/by_user/indices, got none")
        expected: dict[str, tuple[str, int | None]] = {
            "user_ids": ("<i8", self.num_users),
            "item_ids": ("<i8", self.num_items),
            "user_ids/offsets": ("<i8", self.num_users + 1),
            "item_ids/offsets": ("<i8", self.num_items + 1),
            "user_ids/bytes": ("|u1", None),
            "item_ids/bytes": ("|u1", None),
            "train/by_item/indptr": ("<i8", self.num_items + 1),
            "train/by_item/indices": ("<i4", self.parts["train"]),
        }
        needed = ["train/by_item/indptr", "train/by_item/indices"]
        for part, length in self.parts.items():
            expected[f"{part}/by_user/indptr"] = ("<i8", self.num_users + 1)
            expected[f"{part}/by_user/indices"] = ("<i4", length)
            expected[f"{part}/values"] = ("<f4", length)
            expected[f"{part}/times"] = ("<f8", length)
            needed.append(f"{part}/by_user/indptr")
        for name, info in self.arrays.items():
            dtype, size = expected.get(name, ("", None))
            if info.dtype != dtype or (size is not None and size != info.length):
                wanted = f"{dtype} [{size}]" if dtype else "no array of this name"
                raise StoreError(f"{name}: expected {wanted}, got {info.dtype} [{info.length}]")
        for side in ("user_ids", "item_ids"):
            kinds = [name in self.arrays for name in (side, f"{side}/offsets", f"{side}/bytes")]
            if kinds not in ([False] * 3, [True, False, False], [False, True, True]):
                raise StoreError(f"{side}: expected integers, or offsets and bytes, got a mixture")
        for name in needed:
            if name not in self.arrays:
                raise StoreError(f"expected an array {name}, got none")

    @property
    def header_digest(self) -> str:
        """The digest of the header, which holds those of all blocks: two stores with the same one are the same."""
        return self._preamble[32:64].hex()

    def indptr(self, part: str = "train", by: Side = "user") -> npt.NDArray[np.int64]:
        """Where each user's or item's row begins; a copy, checked. Errors as `csr`."""
        return self._indptr(f"{part}/by_{by}")

    def csr(
        self, part: str = "train", by: Side = "user", *, mapped: bool = False
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Each user's items, or each item's users.

        Args:
            part: "train", "valid" or "test"; by item there is train only.
            by: whose rows.
            mapped: indices as a view of the file rather than a copy, see ``BlockFile.map``; indptr is
                a copy, and checked, always.

        Returns:
            ``(indptr int64 [rows + 1], indices int32 [E])``. A copy of indices is within range; of a
            view only the digests were checked.

        Raises:
            KeyError: there is no such part.
            StoreError: damage, or content that is no CSR.
        """
        indptr = self._indptr(f"{part}/by_{by}")
        name = f"{part}/by_{by}/indices"
        if mapped:
            return indptr, self.map(name)
        indices = self.read(name)
        self._check_indices(name, indices, self.num_items if by == "user" else self.num_users)
        return indptr, indices

    def ids(self, side: Side) -> IdArray | None:
        """External ids, int64 or text; None where they are the indices.

        Raises:
            StoreError: damage, or bytes that are no UTF-8.
        """
        name = f"{side}_ids"
        if name in self.arrays:
            return self.read(name)
        if f"{name}/bytes" not in self.arrays:
            return None
        offsets, data = self.read(f"{name}/offsets"), self.read(f"{name}/bytes").tobytes()
        self._check_steps(f"{name}/offsets", offsets, len(data))
        ends = offsets.tolist()
        try:
            texts = [data[a:b].decode() for a, b in zip(ends[:-1], ends[1:], strict=True)]
        except UnicodeDecodeError as error:
            raise self._error(f"{name}/bytes", f"expected UTF-8: {error}") from None
        longest = max(map(len, texts), default=1)
        if longest > 256 or any("\0" in text for text in texts):
            raise self._error(f"{name}/bytes", "expected ids of at most 256 characters without NUL")
        return np.array(texts, dtype=f"U{max(1, longest)}")

    def interactions(self, part: str) -> Interactions:
        """A part, whole, in memory: 8 bytes an interaction and 4 and 8 more for values and times."""
        return self._interactions(part, self.ids("user"), self.ids("item"))

    def dataset(self) -> Dataset:
        """All parts, whole, in memory, sharing their ids."""
        ids = self.ids("user"), self.ids("item")
        parts = {part: self._interactions(part, *ids) for part in self.parts}
        return Dataset(self.name, parts["train"], parts.get("valid"), parts.get("test"))

    def degrees(self, part: str = "train", by: Side = "user") -> npt.NDArray[np.int64]:
        """Number of interactions of each user or item in a part."""
        if f"{part}/by_{by}/indptr" in self.arrays:
            return np.diff(self._indptr(f"{part}/by_{by}"))
        counts = np.zeros(self.num_items, np.int64)
        for _, block in self._index_blocks(f"{part}/by_user/indices", self.num_items):
            counts += np.bincount(block, minlength=self.num_items)
        return counts

    def verify(self, progress: Callable[[int], object] | None = None) -> None:
        """As ``BlockFile.verify``, and that every array means something: CSR in order, ids, numbers."""
        super().verify(progress)
        for name in [name for name in self.arrays if name.endswith("/indptr")]:
            rows = name.removesuffix("/indptr")
            indptr = self._indptr(rows)
            bound = self.num_items if rows.endswith("by_user") else self.num_users
            previous = -1
            for start, block in self._index_blocks(f"{rows}/indices", bound):
                falls = np.flatnonzero(np.diff(block, prepend=previous) <= 0) + start
                first = indptr[np.searchsorted(indptr, falls)] == falls  # a row may start lower
                if not first.all():
                    at = int(falls[~first][0])
                    raise self._error(f"{rows}/indices", f"expected ascending rows at element {at}")
                previous = int(block[-1])
        for name in [name for name in self.arrays if name.endswith(("/values", "/times"))]:
            for _, block in self.blocks(name):
                if not np.isfinite(block).all():
                    raise self._error(name, "expected finite numbers")
        self.ids("user")
        self.ids("item")

    # ---- internals ----

    def _interactions(
        self, part: str, user_ids: IdArray | None, item_ids: IdArray | None
    ) -> Interactions:
        indptr, items = self.csr(part)
        users = np.repeat(np.arange(self.num_users, dtype=np.int32), np.diff(indptr))
        values, times = (
            self.read(name) if name in self.arrays else None
            for name in (f"{part}/values", f"{part}/times")
        )
        try:
            return Interactions(
                users, items, self.num_users, self.num_items, values, times, user_ids, item_ids
            )
        except ValueError as error:
            raise self._error(part, str(error)) from None

    def _indptr(self, rows: str) -> npt.NDArray[np.int64]:
        indptr = self.read(f"{rows}/indptr")
        self._check_steps(f"{rows}/indptr", indptr, self.arrays[f"{rows}/indices"].length)
        return indptr

    def _index_blocks(self, name: str, bound: int) -> Iterator[tuple[int, npt.NDArray[np.int32]]]:
        for start, block in self.blocks(name):
            self._check_indices(name, block, bound)
            yield start, block

    def _check_steps(self, name: str, steps: npt.NDArray[np.int64], last: int) -> None:
        if steps[0] != 0 or steps[-1] != last or (steps[1:] < steps[:-1]).any():
            raise self._error(name, f"expected to ascend from 0 to {last}")

    def _check_indices(self, name: str, indices: npt.NDArray[np.int32], bound: int) -> None:
        if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < bound:
            raise self._error(name, f"expected indices from 0 to {bound - 1}")

    def _error(self, name: str, text: str) -> StoreError:
        return StoreError(f"{display_name(self.path)}: {name}: {text}")
