"""Finds the torch to build against. Imports no torch itself, so that it can look before there is one."""

from __future__ import annotations

import re
import site
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

# The floor is where the stable C++ interface has all that csrc/ uses (TORCH_TARGET_VERSION in setup.py).
TORCH_FLOOR = (2, 10)
TORCH_REQUIREMENT = f"torch>={TORCH_FLOOR[0]}.{TORCH_FLOOR[1]}"


def installed_torch(path: str) -> str | None:
    """The version of the torch installed in folder `path`, or None."""
    for distribution in metadata.distributions(name="torch", path=[path]):
        return distribution.version
    return None


def is_suitable(version: str) -> bool:
    """Whether this torch is at or above the floor."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= TORCH_FLOOR


def package_folders() -> list[str]:
    """Where the interpreter's own environment has its packages, its own first.

    Beside them the user's, and in a virtual environment that sees the system's packages those.
    """
    folders = [sysconfig.get_path(key) for key in ("purelib", "platlib")]
    config = Path(sys.prefix, "pyvenv.cfg")
    if config.is_file():
        if not re.search(r"(?im)^include-system-site-packages\s*=\s*true\s*$", config.read_text()):
            return folders
        base = {"base": sys.base_prefix, "platbase": sys.base_prefix}
        folders += [sysconfig.get_path(key, vars=base) for key in ("purelib", "platlib")]
    # pip switches the user's off for its build environment, but looks there itself.
    return list(dict.fromkeys([*folders, site.getusersitepackages()]))


def use_installed_torch() -> bool:
    """Make the torch of the environment that pip runs in importable; False where none is suitable.

    In pip's build environment `sysconfig` still names the folders of the interpreter's own environment.
    The folder goes last on the path: what the build environment holds comes first.
    """
    for folder in package_folders():
        version = installed_torch(folder)
        if version is not None and is_suitable(version):
            if folder not in sys.path:
                sys.path.append(folder)
            return True
    return False
