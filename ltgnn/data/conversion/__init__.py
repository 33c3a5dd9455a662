"""From files of any size to a block store, with a bounded amount of memory."""

from ltgnn.data.conversion.budget import parse_size
from ltgnn.data.conversion.converting import convert

__all__ = ["convert", "parse_size"]
