"""Finds the data files in a folder and what each is for, by name."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

from ltgnn.data._native import display_name

ROLES = ("train", "valid", "test")

_ROLE_OF_WORD = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
}
_SUFFIXES = {
    ".txt", ".csv", ".tsv", ".dat", ".data", ".inter", ".edges", ".edgelist", ".ssv", ".libfm", ".libsvm",
    ".svm", ".parquet", ".npz", "",
}  # fmt: skip
_NO_DATA = re.compile(
    r"(readme|license|licence|notice|changelog|copying|citation)\b", re.IGNORECASE
)


def find_parts(folder: str | PathLike[str]) -> dict[str, Path]:
    """The train, valid and test files of a folder, or its only data file as "train".

    The words train, valid (validation, val, dev) and test in a file name decide, as in
    ``train.txt.gz``, ``ml.train.csv`` or ``test1.txt``. Beside a test file, ``data.txt`` or
    ``data1.txt`` is the train file. Other files are ignored if there is a train file.

    Returns:
        Paths by role, in the order train, valid, test.

    Raises:
        ValueError: no data file, two for one role, or several and none named train.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("train.txt", "test.txt", "README.md"):
        ...         _ = (Path(folder) / name).write_text("0 1")
        ...     list(find_parts(folder))
        ['train', 'test']
    """
    root = display_name(folder)
    candidates = [path for path in sorted(Path(folder).iterdir()) if _may_hold_data(path)]
    if not candidates:
        raise ValueError(f"{root}: expected a data file (.txt, .csv, .tsv, .dat, ...), got none")
    found: dict[str, Path] = {}
    for path in candidates:
        role = _role(path)
        if role is None:
            continue
        if role in found:
            raise ValueError(
                f"{root}: expected one {role} file, got {found[role].name} and {path.name}"
            )
        found[role] = path
    if "train" not in found and "test" in found:
        named_data = [path for path in candidates if _words(path)[:1] == ["data"]]
        if len(named_data) == 1:
            found["train"] = named_data[0]
    if "train" in found:
        return {role: found[role] for role in ROLES if role in found}
    if len(candidates) == 1 and not found:
        return {"train": candidates[0]}
    names = ", ".join(path.name for path in candidates)
    raise ValueError(f"{root}: expected one data file or a train file, got {names}; pass one file")


def _base(path: Path) -> tuple[str, str]:
    """Stem and suffix in lower case, without .gz."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).stem, Path(name).suffix


def _words(path: Path) -> list[str]:
    return re.findall(r"[a-z]+", path.name.lower().removesuffix(".gz"))


def _may_hold_data(path: Path) -> bool:
    stem, suffix = _base(path)
    hidden = path.name.startswith(".")
    # "ua.train" has a role for a suffix.
    known = suffix in _SUFFIXES or suffix.lstrip(".") in _ROLE_OF_WORD
    return path.is_file() and not hidden and known and not _NO_DATA.match(stem)


def _role(path: Path) -> str | None:
    roles = {_ROLE_OF_WORD[word] for word in _words(path) if word in _ROLE_OF_WORD}
    return roles.pop() if len(roles) == 1 else None
