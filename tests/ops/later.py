"""torch, imported when something of it is first asked for: references need it, a campaign of random calls does not."""

from __future__ import annotations

import importlib
from typing import Any


class Later:
    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("torch"), name)


torch: Any = Later()
