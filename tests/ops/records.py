"""What the registry says about every op."""

from __future__ import annotations

from typing import Any

import helix

RECORDS: dict[str, dict[str, Any]] = {record["name"]: record for record in helix._core.op_records()}
PUBLIC = {name: record for name, record in RECORDS.items() if record["public"]}
