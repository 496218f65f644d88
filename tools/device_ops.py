"""What a device without kernels of its own leaves to the host: every sample of every op on `sim`.

python tools/device_ops.py [dtype ...] prints, for each op that the CPU ran, with which dtypes and in which samples.
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import helix
from tests.ops.samples import SAMPLES
from tests.ops.values import call_helix, numpy_arguments, to_helix


def main(dtypes: list[str]) -> None:
    warnings.simplefilter("ignore")
    helix.set_fallback("host")
    ran, calls = defaultdict(lambda: defaultdict(set)), 0
    for sample in SAMPLES:
        for dtype in sample.dtypes:
            if dtypes and dtype not in dtypes:
                continue
            calls += 1
            arrays = numpy_arguments(sample, dtype)
            helix.backends.fallback_stats(reset=True)
            try:
                call_helix(sample, arrays, lambda values: to_helix(values).to("sim"))
                helix.synchronize("sim")
            except helix.errors.HelixError as error:
                ran[f"error {str(error)[:70]}"][dtype].add(sample.op)
            for ops in helix.backends.fallback_stats().values():
                for op in ops:
                    ran[op][dtype].add(sample.op)
    print(f"{calls} calls of {len({s.op for s in SAMPLES})} ops; {len(ran)} ops ran on the host in some")
    for op in sorted(ran):
        for dtype, by in sorted(ran[op].items()):
            print(f"{op:28} {dtype:12} {', '.join(sorted(by))[:110]}")


if __name__ == "__main__":
    main(sys.argv[1:])
