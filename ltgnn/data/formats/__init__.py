"""File formats, told apart by content.

To add one: a module with a ``FORMAT``, a line in ``FORMATS``, a test.
"""

from __future__ import annotations

from os import PathLike

from ltgnn.data._native import display_name
from ltgnn.data.formats import delimited, libfm, lightgcn, npz, parquet, recbole
from ltgnn.data.formats.base import Columns, Format, Header, ReadOptions
from ltgnn.data.source import read_prefix

# In the order in which they are asked: the more particular ones first.
FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        parquet.FORMAT,
        npz.FORMAT,
        recbole.FORMAT,
        libfm.FORMAT,
        lightgcn.FORMAT,
        delimited.FORMAT,
    )
}


def detect(path: str | PathLike[str], options: ReadOptions | None = None) -> str:
    """Finds the format of a file from its first 64 KiB; its name plays no part.

    Gzip is looked through. An empty file counts as LightGCN text. With options, only formats that take
    them come into question, and where none of those fits it is "delimited".

    Returns:
        A key of ``FORMATS``.

    Raises:
        ValueError: no format fits, or the gzip data are damaged.
        OSError: the file cannot be read.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "data"
        ...     _ = file.write_text("user,item" + chr(10) + "a,b")
        ...     detect(file)
        'delimited'
    """
    sample, whole = read_prefix(path)
    if not whole:
        # Drop the line, or at least the token, that the end of the sample cuts through.
        cut = sample.rfind(b"\n") if b"\n" in sample else sample.rfind(b" ")
        sample = sample[: cut + 1] if cut >= 0 else sample
    given = set() if options is None else options.given()
    for name, format in FORMATS.items():
        if given <= format.takes and format.matches(sample):
            return name
    if given:
        return delimited.NAME
    raise ValueError(
        f"{display_name(path)}:1:1: expected one of the formats {list(FORMATS)}, got "
        f"{sample[:40]!r}; pass format= if it is one of them"
    )


__all__ = [
    "FORMATS",
    "Columns",
    "Format",
    "Header",
    "ReadOptions",
    "delimited",
    "detect",
    "libfm",
    "lightgcn",
    "npz",
    "parquet",
    "recbole",
]
