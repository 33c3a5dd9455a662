"""Columns of interactions in scratch files: written in order, read back in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ltgnn.data.interactions import Interactions

Columns = tuple[npt.NDArray[Any], ...]

PIECE = 1 << 20  # elements of a piece when a file is only copied


class ArrayFile:
    """An array that grows at its end, in a file of its own.

    Args:
        path: its scratch file, which need not exist.
        dtype: of its elements.
    """

    def __init__(self, path: Path, dtype: str) -> None:
        self.path, self.dtype, self.length = path, np.dtype(dtype), 0

    def append(self, array: npt.NDArray[Any]) -> None:
        """Writes behind what is there; the file is open only meanwhile, so that there may be many."""
        if len(array):
            try:
                with open(self.path, "ab", buffering=0) as file:
                    data = np.ascontiguousarray(array, self.dtype).view(np.uint8).data
                    while len(data):
                        data = data[file.write(data) :]
            except OSError as error:
                why = f"{error.strerror} (a scratch file; scratch= chooses another folder)"
                raise type(error)(error.errno, why, str(self.path)) from None
            self.length += len(array)

    def read(self, start: int, count: int) -> npt.NDArray[Any]:
        """Elements from ``start``."""
        if count == 0:
            return np.empty(0, self.dtype)
        array = np.fromfile(self.path, self.dtype, count, offset=start * self.dtype.itemsize)
        if len(array) != count:
            raise OSError(f"{self.path}: a scratch file was cut short by somebody else")
        return array

    def pieces(self, step: int = PIECE) -> Iterator[npt.NDArray[Any]]:
        """The whole array, piece by piece."""
        for start in range(0, self.length, step):
            yield self.read(start, min(step, self.length - start))

    def remove(self) -> None:
        """Deletes the file."""
        self.path.unlink(missing_ok=True)
        self.length = 0


class Degrees:
    """Number of interactions of each user, or item, while more of them turn up."""

    def __init__(self) -> None:
        self.counts = np.zeros(0, np.int64)

    def add(self, codes: npt.NDArray[Any], size: int) -> None:
        """Counts codes, all below ``size``; O(codes), or O(size) where that is less than four times it."""
        if size > len(self.counts):
            grown = np.zeros(max(size, min(2 * len(self.counts), 2**31)), np.int64)
            grown[: len(self.counts)] = self.counts
            self.counts = grown
        if 4 * len(codes) < len(self.counts):
            np.add.at(self.counts, codes, 1)
        elif len(codes):
            fresh = np.bincount(codes)
            self.counts[: len(fresh)] += fresh

    def of(self, size: int) -> npt.NDArray[np.int64]:
        """The counts of the first ``size``."""
        return np.concatenate(
            [self.counts[:size], np.zeros(max(0, size - len(self.counts)), np.int64)]
        )


class Spool:
    """Interactions of one part, by numbers, in the order in which they were read.

    Values and times are kept if every piece has them.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.users = ArrayFile(folder / f"{name}.users", "<i4")
        self.items = ArrayFile(folder / f"{name}.items", "<i4")
        self._extra = {
            "values": ArrayFile(folder / f"{name}.values", "<f4"),
            "times": ArrayFile(folder / f"{name}.times", "<f8"),
        }
        self.degrees = Degrees()

    def __len__(self) -> int:
        return self.users.length

    def append(
        self, users: npt.NDArray[Any], items: npt.NDArray[Any], num_users: int, piece: Interactions
    ) -> None:
        """Adds a piece, numbered as ``users`` and ``items`` say."""
        if not len(piece):
            return
        for name, file in list(self._extra.items()):
            array = getattr(piece, name)
            if array is None or file.length != len(self):
                file.remove()
                del self._extra[name]
            else:
                file.append(array)
        self.users.append(users)
        self.items.append(items)
        self.degrees.add(users, num_users)

    @property
    def extra(self) -> dict[str, ArrayFile]:
        """The columns there are beside users and items."""
        return self._extra if len(self) else {}

    def pieces(self, step: int) -> Iterator[Columns]:
        """(users, items, and the extra columns) piece by piece."""
        files = [self.users, self.items, *self.extra.values()]
        for start in range(0, len(self), step):
            count = min(step, len(self) - start)
            yield tuple(file.read(start, count) for file in files)

    def remove(self) -> None:
        """Deletes the files."""
        for file in [self.users, self.items, *self._extra.values()]:
            file.remove()
