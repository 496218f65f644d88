"""For those who make devices: the conformance kit (`python -m helix.testing.conformance NAME`) and `record_ops`."""

from .record import record_ops

__all__ = ["record_ops"]
