"""Every op that helix shares with torch, on some of torch's own samples. `make torch-parity` takes them all."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from .differences import KNOWN
from .ops import full_name, function_of, records
from .walk import walk

LIMIT = 3  # samples for each dtype
torch.set_num_threads(1)
COMMON = [info for info in records() if function_of(info) is not None]


@pytest.mark.parametrize("info", COMMON, ids=full_name)
def test_does_as_torch(info: Any) -> None:
    """No difference but the listed ones; and these are still there, or the list is out of date."""
    name = full_name(info)
    found = {difference.kind: f"{difference.where} {difference.text}" for difference in walk(info, LIMIT)}
    known = KNOWN.get(name, {})
    new = {kind: text for kind, text in found.items() if kind not in known}
    assert not new, f"{name}: helix differs from torch"
    gone = [f"{kind} ({reason})" for kind, reason in known.items() if kind not in found]
    assert not gone, f"{name}: listed as different, and no longer so: {', '.join(gone)}"


def test_listed_ops_exist() -> None:
    names = {full_name(info) for info in records()}
    assert names >= KNOWN.keys()
