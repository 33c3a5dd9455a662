"""The `ltgnn` command."""

from ltgnn.cli.main import main

__all__ = ["main"]
