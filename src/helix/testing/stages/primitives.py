"""t3_primitives: each primitive op, in dtypes, layouts and shapes, against the CPU in float64."""

from __future__ import annotations

from collections.abc import Iterator

from ..case import Case, Target
from ..running import op_cases
from ..samples import records


def cases(target: Target) -> Iterator[Case]:
    for op, record in records().items():
        if "primitive" in record["flags"]:
            yield from op_cases("t3_primitives", op, target)
