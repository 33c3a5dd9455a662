"""Tables in memory and in files: the same content, nothing left behind, a full disk is an error."""

from __future__ import annotations

import errno
import mmap
import os

import pytest
import torch

from ltgnn.graph import MappedStorage, TableStorage
from ltgnn.graph.storage import HUGE_PAGE, LEAST_BYTES


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.int64])
def test_mapped_tables_are_ordinary_ones(tmp_path, dtype):
    storage = MappedStorage(tmp_path)
    table = storage.zeros(300, 7, dtype=dtype)
    assert not table.any() and table.shape == (300, 7) and table.is_contiguous()
    table += torch.arange(7).to(dtype)
    assert torch.equal(table, TableStorage().zeros(300, 7, dtype=dtype) + torch.arange(7).to(dtype))
    assert storage.empty(0, 4).shape == (0, 4)


def test_nothing_is_left_in_the_folder_and_the_mapping_is_of_a_file_there(tmp_path):
    table = MappedStorage(tmp_path).zeros(1 << 20)
    assert os.listdir(tmp_path) == []
    with open("/proc/self/maps") as maps:
        assert any(str(tmp_path) in line and "(deleted)" in line for line in maps)
    del table


def test_a_full_disk_is_an_error_before_the_table_is_used(tmp_path, monkeypatch):
    def full(handle, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"disk full: a table of 4,000 bytes does not fit in .* free"):
        MappedStorage(tmp_path).zeros(1000)
    assert os.listdir(tmp_path) == []


def test_every_byte_of_a_table_is_allocated(tmp_path, monkeypatch):
    asked = []
    real = os.posix_fallocate
    monkeypatch.setattr(os, "posix_fallocate", lambda *a: asked.append(a[1:]) or real(*a))
    MappedStorage(tmp_path).zeros(3, 5, dtype=torch.float64)
    assert asked == [(0, 120)]


def test_there_must_be_a_folder(tmp_path):
    with pytest.raises(NotADirectoryError, match="is no folder"):
        MappedStorage(tmp_path / "none")


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="no huge pages on this system")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64])
def test_large_tables_begin_on_a_huge_page_and_go_when_they_are_dropped(dtype):
    size = 16 * LEAST_BYTES  # so large that what else comes and goes in the process does not matter
    # But for what torch keeps once such a table was looked at: stacks and heaps of threads, a mask of its size.
    assert not (torch.zeros(size // dtype.itemsize // 4, 4, dtype=dtype) == 3).any()
    bytes_before = _mapped_bytes()
    storage = TableStorage()
    table = storage.zeros(size // dtype.itemsize // 4, 4, dtype=dtype)
    assert table.data_ptr() % HUGE_PAGE == 0 and table.is_contiguous() and table.dtype == dtype
    assert not table.any()
    view = table[1:].fill_(3)
    del table
    assert (view == 3).all()  # the memory lives as long as anything looks at it
    assert _mapped_bytes() >= bytes_before + size
    del view
    assert _mapped_bytes() < bytes_before + size // 2
    assert storage.empty(3, 0).shape == (3, 0)


def _mapped_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
