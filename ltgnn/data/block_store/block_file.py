"""Reads arrays out of a block store's file: checked, block by block, and never at the risk of a crash."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ltgnn.data._native import display_name, guarded_map
from ltgnn.data.block_store import layout
from ltgnn.data.block_store.layout import ArrayInfo, StoreError

if TYPE_CHECKING:
    from typing_extensions import Self


class BlockFile:
    """An open block store, as named arrays. Opening reads the header only.

    What is guaranteed, whatever has happened to the file, before it was opened or since:

    - ``read`` and ``blocks`` copy with ``pread``. They return bytes whose digests were right when they
      were first read, or raise ``StoreError`` with the block's name.
    - ``map`` gives a view of the file itself. Its blocks are checked when it is made. If the file is
      truncated (or the disk fails) later, the missing pages read as zeros, nothing crashes, and
      ``check`` raises ``StoreError``: call it when a pass over a map is done. This needs that nobody
      installs another handler for SIGBUS after the first map (``faulthandler`` before it is fine).
      Bytes that another process overwrites in place show through a map; only ``verify`` finds them.
    - A store that is replaced (as ``ltgnn convert`` does it: by rename) stays what it was for those who
      have it open.

    Args:
        path: the file.

    Raises:
        StoreError: not a block store, damaged header, or a file of the wrong size.
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self.header = self._read_header()
        except StoreError as error:
            self.close()
            raise StoreError(f"{display_name(self.path)}: {error}") from None
        except BaseException:
            self.close()
            raise
        self.arrays: dict[str, ArrayInfo] = {info.name: info for info in self.header.arrays}
        size = self.header.block_bytes
        self._checked = {
            info.name: bytearray(layout.num_blocks(info.nbytes, size))
            for info in self.header.arrays
        }
        self._maps: dict[str, Any] = {}

    def read(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """A copy of elements start to stop of an array.

        Blocks that were not read before are checked, and read whole for it.

        Raises:
            KeyError: there is no such array.
            IndexError: start and stop are not within it.
            StoreError: a block is damaged or missing.
        """
        info = self.arrays[name]
        stop = info.length if stop is None else stop
        if not 0 <= start <= stop <= info.length:
            raise IndexError(
                f"{name}: expected a range within 0 to {info.length}, got {start} to {stop}"
            )
        dtype = layout.DTYPES[info.dtype]
        out = np.empty(stop - start, dtype)
        target = out.view(np.uint8).data
        first, last = start * dtype.itemsize, stop * dtype.itemsize
        size = self.header.block_bytes
        for block in range(first // size, layout.num_blocks(last, size)):
            low, high = block * size, min((block + 1) * size, info.nbytes)
            part = target[max(low, first) - first : min(high, last) - first]
            if self._checked[name][block] or len(part) == high - low:
                self._fill(info, block, max(low, first), part)
                self._check_block(info, block, part, whole=len(part) == high - low)
            else:
                buffer = memoryview(bytearray(high - low))
                self._fill(info, block, low, buffer)
                self._check_block(info, block, buffer, whole=True)
                part[:] = buffer[max(low, first) - low : min(high, last) - low]
        return out

    def blocks(self, name: str) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """(first element, copy of the block) for each block of an array; errors as ``read``."""
        info = self.arrays[name]
        step = self.header.block_bytes // layout.DTYPES[info.dtype].itemsize
        for start in range(0, info.length, step):
            yield start, self.read(name, start, min(start + step, info.length))

    def map(self, name: str) -> npt.NDArray[Any]:
        """A read-only view of the file; its blocks are checked first. See the class, and ``check``."""
        info = self.arrays[name]
        dtype = layout.DTYPES[info.dtype]
        if info.length == 0:
            return np.empty(0, dtype)
        if not all(self._checked[name]):
            for _ in self.blocks(name):
                pass
        if name not in self._maps:
            self._maps[name] = guarded_map(self._file, info.offset, info.nbytes)
        return np.frombuffer(self._maps[name], dtype)

    def check(self) -> None:
        """Raises StoreError if the file has become shorter, or a map has met a missing page; O(1)."""
        for name, view in self._maps.items():
            if view.damaged:
                raise StoreError(
                    f"{display_name(self.path)}: {name}: a page could not be read through its map; "
                    "what was computed from it is void"
                )
        self._check_size(self.header, os.fstat(self._file).st_size)

    def verify(self, progress: Callable[[int], object] | None = None) -> None:
        """Reads and checks every byte of the file, those between the arrays too.

        Args:
            progress: called with the number of bytes done since the last call.

        Raises:
            StoreError: something is damaged; names the block.
        """
        self.check()
        end = layout.PREAMBLE.size + len(self._header_text())
        for info in self.header.arrays:
            gap = os.pread(self._file, info.offset - end, end)
            if gap.strip(b"\0") or len(gap) != info.offset - end:
                raise StoreError(
                    f"{display_name(self.path)}: expected zeros before {info.name}, got something else"
                )
            self._checked[info.name] = bytearray(len(self._checked[info.name]))
            for _, block in self.blocks(info.name):
                if progress is not None:
                    progress(block.nbytes)
            end = info.offset + info.nbytes
        self.check()

    def close(self) -> None:
        """Closes the file; arrays made by ``map`` stay usable."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_file", -1) >= 0:
            self.close()

    # ---- internals ----

    def _read_header(self) -> layout.Header:
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode):
            raise StoreError("expected a block store, got something that is no regular file")
        self._preamble = os.pread(self._file, layout.PREAMBLE.size, 0)
        layout.header_bytes_of(self._preamble, status.st_size)
        header = layout.unpack(self._preamble, self._header_text())
        self._check_size(header, status.st_size, prefix="")
        return header

    def _header_text(self) -> bytes:
        size = layout.PREAMBLE.unpack(self._preamble)[3]
        return os.pread(self._file, size, layout.PREAMBLE.size)

    def _check_size(self, header: layout.Header, size: int, prefix: str | None = None) -> None:
        prefix = f"{display_name(self.path)}: " if prefix is None else prefix
        if size > header.file_bytes:
            raise StoreError(f"{prefix}expected {header.file_bytes} bytes, got {size}")
        if size == header.file_bytes:
            return
        for info in header.arrays:
            if info.offset + info.nbytes > size:
                block = max(0, size - info.offset) // header.block_bytes
                raise StoreError(
                    f"{prefix}{info.name}, block {block}: truncated, the file ends at byte {size} "
                    f"of {header.file_bytes}"
                )
        raise StoreError(f"{prefix}truncated at byte {size} of {header.file_bytes}")

    def _fill(self, info: ArrayInfo, block: int, start: int, target: memoryview) -> None:
        """Reads bytes from ``start`` of an array into ``target``."""
        done = 0
        try:
            while done < len(target):
                count = os.preadv(self._file, [target[done:]], info.offset + start + done)
                if count == 0:
                    raise StoreError(
                        f"{display_name(self.path)}: {info.name}, block {block}: truncated, the "
                        f"file ends at byte {os.fstat(self._file).st_size} "
                        f"of {self.header.file_bytes}"
                    )
                done += count
        except OSError as error:
            raise StoreError(
                f"{display_name(self.path)}: {info.name}, block {block}: cannot be read: {error}"
            ) from error

    def _check_block(self, info: ArrayInfo, block: int, data: memoryview, whole: bool) -> None:
        if self._checked[info.name][block] or not whole:
            return
        at = block * layout.DIGEST_BYTES
        if layout.digest(data) != info.digests[at : at + layout.DIGEST_BYTES]:
            raise StoreError(
                f"{display_name(self.path)}: {info.name}, block {block}: damaged, its digest does "
                "not match"
            )
        self._checked[info.name][block] = 1


def is_store(path: str | PathLike[str]) -> bool:
    """Whether a path is a regular file that starts like a block store; False if it cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        regular = stat.S_ISREG(os.fstat(file).st_mode)
        return regular and os.pread(file, len(layout.MAGIC), 0) == layout.MAGIC
    finally:
        os.close(file)
