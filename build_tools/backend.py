"""The PEP 517 build backend: setuptools', plus one decision about torch.

The extension must be compiled against a torch, and torch is large. pip builds in an environment of its
own that sees no installed packages; left alone it would fetch a second torch there. So: where the
environment that pip runs in holds a suitable torch, build against that one and ask for none; elsewhere
ask for torch like for any other build requirement.
"""

from __future__ import annotations

from typing import Any

from setuptools import build_meta as _setuptools

from build_tools.torch_finder import TORCH_REQUIREMENT, use_installed_torch

build_sdist = _setuptools.build_sdist
prepare_metadata_for_build_wheel = _setuptools.prepare_metadata_for_build_wheel
prepare_metadata_for_build_editable = _setuptools.prepare_metadata_for_build_editable


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    """What the build needs beyond pyproject.toml: torch, unless a suitable one is installed."""
    return [] if use_installed_torch() else [TORCH_REQUIREMENT]


get_requires_for_build_editable = get_requires_for_build_wheel
get_requires_for_build_sdist = get_requires_for_build_wheel  # setup.py imports it


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build the wheel against the torch that `get_requires_for_build_wheel` settled on."""
    use_installed_torch()
    return _setuptools.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """The same for `pip install -e .`."""
    use_installed_torch()
    return _setuptools.build_editable(wheel_directory, config_settings, metadata_directory)
