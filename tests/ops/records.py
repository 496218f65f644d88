"""What the registry says about every op."""

from __future__ import annotations

from typing import Any

import helix

RECORDS: dict[str, dict[str, Any]] = {record["name"]: record for record in helix._core.ops()}
PUBLIC = {
    n: r
    for n, r in RECORDS.items()
    if r["flags"] & {"function", "method", "nn", "fft", "special", "linalg"} and "internal" not in r["flags"]
}


def has(op: str, flag: str) -> bool:
    return op in RECORDS and flag in RECORDS[op]["flags"]
