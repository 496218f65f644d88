"""The process of one case; see isolate.py."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from itertools import islice


def main(answer: int, device: str, profile: str, stage: str, index: int, ops_from: str) -> None:
    import helix

    from .case import Target, attempt
    from .conformance import cases_of

    helix.set_fallback("error")
    target = Target(device, profile)
    case = next(islice(cases_of(stage, target, ops_from), index, None))
    result = attempt(case, target)
    os.write(answer, json.dumps(asdict(result) if result else None).encode())
    os._exit(0)


if __name__ == "__main__":
    number, device, profile, stage, index, ops_from = sys.argv[1:]
    main(int(number), device, profile, stage, int(index), ops_from)
