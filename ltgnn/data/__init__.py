"""Data sets: files to numpy arrays, splits, and a synthetic set. Needs no torch."""

from ltgnn.data.block_store import BlockStore, StoreError, is_store
from ltgnn.data.conversion import convert
from ltgnn.data.dataset import Dataset
from ltgnn.data.formats import FORMATS, detect
from ltgnn.data.interactions import Interactions
from ltgnn.data.reading import has_given_split, load, read
from ltgnn.data.splits import hold_out, leave_last_out, random_per_user
from ltgnn.data.synthetic import synthetic

__all__ = [
    "FORMATS",
    "BlockStore",
    "Dataset",
    "Interactions",
    "StoreError",
    "convert",
    "detect",
    "has_given_split",
    "hold_out",
    "is_store",
    "leave_last_out",
    "load",
    "random_per_user",
    "read",
    "synthetic",
]
