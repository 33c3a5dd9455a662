"""How much memory a conversion may take, and what follows from it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
          "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}  # fmt: skip
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", re.IGNORECASE)

LEAST = 48 << 20  # working memory with which a conversion makes sense


@dataclass(frozen=True)
class Budget:
    """Working memory, above what the process holds already.

    Args:
        working: bytes.
        spent: bytes of it for tables that live throughout: ids and degrees.
    """

    working: int
    spent: int = 0

    @classmethod
    def of(cls, memory: str | int) -> Budget:
        """What is left of a limit for the whole process.

        Raises:
            ValueError: the limit cannot be read, or leaves too little.
        """
        limit = parse_size(memory)
        held = resident_bytes()
        # A tenth goes to what the allocator keeps back.
        working = (limit - held) * 9 // 10
        if working < LEAST:
            raise ValueError(
                f"memory: expected at least {held + LEAST * 10 // 9 >> 20} MiB (the process holds "
                f"{held >> 20} MiB before it starts), got {limit >> 20} MiB"
            )
        return cls(working)

    def spend(self, nbytes: int, what: str) -> Budget:
        """The budget with tables of this size in it; at least half must stay for the work.

        Raises:
            ValueError: they leave too little.
        """
        if 2 * nbytes > self.working:
            raise ValueError(
                f"{what} take about {nbytes >> 20} MiB of the {self.working >> 20} MiB there are to work "
                "with: allow more memory (--memory)"
            )
        return Budget(self.working, nbytes)

    @property
    def piece_bytes(self) -> int:
        """Of a file, to be parsed at a time: a few are in flight, each with up to ten times its bytes."""
        return min(8 << 20, max(64 << 10, self.working // 96))

    def elements(self, width: int) -> int:
        """Interactions to be worked on at a time, in two threads and with a result on its way.

        Args:
            width: bytes of an interaction: 8, and 4 and 8 for value and time.
        """
        return max(1024, (self.working - self.spent) // (3 * (40 + 6 * (width - 8))))


def parse_size(size: str | int) -> int:
    """Bytes from text like ``4GB``, ``512 MiB`` or ``1.5g``.

    Raises:
        ValueError: it is none.

    Example:
        >>> parse_size("4GB"), parse_size("512 MiB")
        (4000000000, 536870912)
    """
    found = _SIZE.fullmatch(str(size))
    if found is None:
        raise ValueError(f"memory: expected a size like 4GB or 512MiB, got {size!r}")
    return int(float(found[1]) * _UNITS[(found[2] or "").lower()])


def resident_bytes() -> int:
    """Memory that the process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
