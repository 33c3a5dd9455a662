"""Reads csrc/sources.txt, the one list of compiled files."""

from __future__ import annotations

from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "csrc" / "sources.txt"


def sources(*groups: str) -> list[str]:
    """The paths of the named groups, in the order of the file."""
    lines = (line.split("#", 1)[0].split() for line in SOURCES.read_text().splitlines())
    entries = [tuple(words) for words in lines if words]
    bad = [words for words in entries if len(words) != 2]
    if bad:
        raise ValueError(f"{SOURCES}: expected '<group> <path>', got {' '.join(bad[0])!r}")
    return [path for group, path in entries if group in groups]
