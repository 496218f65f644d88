"""What a machine with a device is to run: the conformance kit and the device's figures, into one folder.

    python tools/device_check.py cuda [--profile full] [--out build/cuda-check]

Needs helix, the plugin of the device, and for the comparison torch; no network, no compiler. Fails where the kit fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(*command: object) -> bool:
    print(f"\n$ python {' '.join(map(str, command))}", flush=True)
    return subprocess.run([sys.executable, *map(str, command)], cwd=ROOT).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("device")
    parser.add_argument("--profile", choices=("core", "train", "full"), default="full")
    parser.add_argument("--scale", default="1", help="of the figures: below 1 to try the program")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = (options.out or Path("build") / f"{options.device}-check").absolute()
    out.mkdir(parents=True, exist_ok=True)
    kit = ["-m", "helix.testing.conformance", options.device, "--profile", options.profile]
    done = [
        run("-m", "helix", "doctor"),
        run(*kit, "--json", out / "conformance.json", "--badge", out / "conformance.svg"),
        run(
            "-m",
            "asv_benchmarks.devices.figures",
            options.device,
            "--scale",
            options.scale,
            "--json",
            out / "figures.json",
        ),
    ]
    print(f"\nWritten to {out}." if all(done[1:]) else f"\nNot all of it went well; what there is lies in {out}.")
    return int(not all(done[1:]))


if __name__ == "__main__":
    sys.exit(main())
