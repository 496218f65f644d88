"""helix.signal: signal processing, under torch.signal's names."""

from helix.signal import windows

__all__ = ["windows"]
