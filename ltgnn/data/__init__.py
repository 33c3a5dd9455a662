"""Data sets: files to numpy arrays, splits, and a synthetic set. Needs no torch."""

from ltgnn.data.dataset import Dataset
from ltgnn.data.formats import FORMATS, detect
from ltgnn.data.interactions import Interactions
from ltgnn.data.reading import load, read
from ltgnn.data.splits import hold_out, leave_last_out, random_per_user
from ltgnn.data.synthetic import synthetic

__all__ = [
    "FORMATS",
    "Dataset",
    "Interactions",
    "detect",
    "hold_out",
    "leave_last_out",
    "load",
    "random_per_user",
    "read",
    "synthetic",
]
