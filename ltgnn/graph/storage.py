"""Where large tensors live: in memory, or in files that are mapped."""

from __future__ import annotations

import errno
import math
import mmap
import os
import tempfile
from pathlib import Path

import torch
from torch import Tensor

# A table of fewer bytes has too few pages for them to matter.
HUGE_PAGE, LEAST_BYTES = 2 << 20, 4 << 20


class TableStorage:
    """Makes the tables of a model and the indices of a graph, in the process's own memory.

    Large ones on the CPU ask for huge pages (Linux): their rows are read in random order, and each row of a small
    page costs a walk through the page table first.

    Example:
        >>> TableStorage().zeros(2, 3).shape
        torch.Size([2, 3])
    """

    def empty(
        self,
        *shape: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """A tensor of any content."""
        large = _on_huge_pages(shape, dtype, device)
        return torch.empty(shape, dtype=dtype, device=device) if large is None else large

    def zeros(
        self,
        *shape: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """A tensor of zeros."""
        large = _on_huge_pages(shape, dtype, device)
        return torch.zeros(shape, dtype=dtype, device=device) if large is None else large


def _on_huge_pages(
    shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str
) -> Tensor | None:
    """Zeros in fresh memory that asks for huge pages; None where that is of no use, or not to be had."""
    count = math.prod(shape)
    size = count * dtype.itemsize
    if (
        size < LEAST_BYTES
        or torch.device(device).type != "cpu"
        or not hasattr(mmap, "MADV_HUGEPAGE")
    ):
        return None
    try:
        # One page more, so that a whole one can be where the table starts.
        memory = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # no room, or a kernel without them: torch's own words then
        return None
    start = torch.frombuffer(memory, dtype=torch.uint8, count=1).data_ptr()
    return torch.frombuffer(memory, dtype=dtype, count=count, offset=-start % HUGE_PAGE).view(shape)


class MappedStorage(TableStorage):
    """Tables in files of a folder: the system keeps of them in memory what fits, and writes back the rest.

    Each file is allocated in full before it is mapped, so that a full disk is an error here and not a crash later,
    and unlinked at once, so that nothing is left behind however the process ends: the space is free again when the
    tensor is. Tensors for other devices than the CPU are made there, as they are in memory.

    Args:
        folder: on a disk with room for all tables; None: where `tempfile` puts things (TMPDIR says).

    Raises:
        OSError: there is no such folder, or no file can be made in it.

    Example:
        >>> MappedStorage().zeros(2, 3).sum().item()
        0.0
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = Path(tempfile.gettempdir() if folder is None else folder)
        if not self.folder.is_dir():
            raise NotADirectoryError(f"tables: {self.folder} is no folder")

    def empty(
        self,
        *shape: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """A tensor of zeros, which cost nothing here.

        Raises:
            OSError: the disk has no room for it; names the size and what is free.
        """
        count = math.prod(shape)
        if torch.device(device).type != "cpu" or count == 0:
            return torch.zeros(shape, dtype=dtype, device=device)
        handle, path = tempfile.mkstemp(prefix="ltgnn-table-", dir=self.folder)
        try:
            try:
                os.posix_fallocate(handle, 0, count * dtype.itemsize)
            finally:
                os.close(handle)
            flat = torch.from_file(path, shared=True, size=count, dtype=dtype)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            status = os.statvfs(self.folder)
            raise OSError(
                error.errno,
                f"tables: disk full: a table of {count * dtype.itemsize:,} bytes does not fit in {self.folder}, "
                f"which has {status.f_bavail * status.f_frsize:,} free",
            ) from error
        finally:
            os.unlink(path)
        return flat.view(shape)

    def zeros(
        self,
        *shape: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """A tensor of zeros."""
        return self.empty(*shape, dtype=dtype, device=device)
