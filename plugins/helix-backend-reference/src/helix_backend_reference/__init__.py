"""The device `reference`: plain loops in C behind helix's public header, as an outsider would write them."""

from ._backend import backend

__all__ = ["backend"]
