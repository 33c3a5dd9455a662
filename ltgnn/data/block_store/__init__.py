"""Data sets of any size in one file: mapped or read block by block, each block with a digest."""

from ltgnn.data.block_store.block_file import BlockFile, is_store
from ltgnn.data.block_store.layout import StoreError
from ltgnn.data.block_store.store import PARTS, BlockStore
from ltgnn.data.block_store.writing import ArraySource, write_blocks

__all__ = [
    "PARTS",
    "ArraySource",
    "BlockFile",
    "BlockStore",
    "StoreError",
    "is_store",
    "write_blocks",
]
