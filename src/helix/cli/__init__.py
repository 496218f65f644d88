"""The `helix` command. `python -m helix` is the same program."""

from .main import cli, main

__all__ = ["cli", "main"]
