"""Where helix keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """HELIX_CACHE_DIR, else helix's folder among the user's caches."""
    own = os.environ.get("HELIX_CACHE_DIR")
    if own:
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "helix"
