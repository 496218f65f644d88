"""Runs the conformance kit on the devices that work without hardware, and keeps what it says.

    python tools/conformance.py [--profile train] [--out build/conformance] [--docs] [sim reference opencl webgpu cuda metal]

cuda and metal run on the emulated libraries of tests/emulation, and the table calls them so.
Each device has a process of its own and a time that it may take. NAME.json and NAME.svg, a badge, go to the folder; --docs
puts the table into docs/devices.md. Fails where a device fails, is not there, or takes too long.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import helix

ROOT = Path(__file__).resolve().parent.parent
LIMITS = {"sim": 600, "reference": 60, "opencl": 1200, "webgpu": 300, "cuda": 1200, "metal": 1200}
"""Seconds that a device may take on two busy cores with nothing compiled before."""

STATES = ("pass", "fail", "unsupported", "expected-fail")
MARKS = ("<!-- conformance: written by make conformance -->\n", "<!-- /conformance -->\n")


def library(folder: Path) -> Path:
    """The reference backend as a shared library, from its C source and the public headers."""
    package = Path(helix.__file__).parent
    headers = next(p for p in (package / "include", package / "_core" / "include") if p.is_dir())
    source = ROOT / "plugins" / "helix-backend-reference" / "src" / "helix_backend_reference" / "backend.c"
    made = folder / "reference.so"
    flags = ["-std=c99", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", f"-I{headers}"]
    subprocess.run([os.environ.get("CC", "cc").split()[-1], *flags, str(source), "-o", str(made), "-lm"], check=True)
    return made


def emulation(devices: list[str]) -> dict[str, str]:
    """How the plugins of GPUs that are not here find the emulated libraries."""
    sys.path.insert(0, str(ROOT))
    from tests.emulation import libraries

    places = {}
    if "cuda" in devices:
        places["LD_LIBRARY_PATH"] = f"{libraries.folder()}:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":")
    if "metal" in devices:
        places["HELIX_METAL_LIBRARY"] = str(libraries.metal())
    return places


def run(device: str, profile: str, out: Path, environment: dict[str, str]) -> dict[str, Any] | None:
    """What the kit writes about a device; None where it came to no end."""
    report = out / f"{device}.json"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "helix.testing.conformance", device, "--profile", profile]
    command += ["--json", str(report), "--badge", str(report.with_suffix(".svg"))]
    try:
        subprocess.run(command, env=environment, timeout=LIMITS[device])
    except subprocess.TimeoutExpired:
        print(f"{device}: no end within {LIMITS[device]} s")
    return json.loads(report.read_text()) if report.exists() else None


def total(made: dict[str, Any]) -> Counter:
    found: Counter = Counter()
    for stage in made["stages"].values():
        found.update(stage)
    return found


def table(reports: list[dict[str, Any]]) -> str:
    """Markdown: one row a device, then the reasons of expected failures."""
    profile = reports[0]["profile"]
    lines = [
        f"| profile `{profile}` | passed | failed | unsupported | expected to fail | primitives | seconds, at most |"
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    reasons = []
    for made in reports:
        name, found, covered = made["device"].partition(":")[0], total(made), made["coverage"]
        primitives = f"{covered['primitives_run']} of {covered['primitives']}" if covered else "none"
        counts = " | ".join(str(found[state]) for state in STATES)
        lines.append(f"| `{name}`, {made['facts'].get('name', '')} | {counts} | {primitives} | {LIMITS[name]} |")
        expected = [r for r in made["results"] if r["state"] == "expected-fail"]
        reasons += [f"- `{name}`, `{r['title']}`: {r['text'].partition(' (')[0]}." for r in expected]
    return "\n".join([*lines, *(["", "Expected to fail:", "", *reasons] if reasons else [])]) + "\n"


def write_docs(text: str) -> None:
    page = ROOT / "docs" / "devices.md"
    pattern = re.compile(f"{re.escape(MARKS[0])}.*?{re.escape(MARKS[1])}", re.S)
    page.write_text(pattern.sub(lambda _: f"{MARKS[0]}\n{text}\n{MARKS[1]}", page.read_text()))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("devices", nargs="*", default=list(LIMITS), metavar="DEVICE", help=", ".join(LIMITS))
    parser.add_argument("--profile", choices=("core", "train", "full"), default="train")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "conformance")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/devices.md")
    options = parser.parse_args()
    if unknown := set(options.devices) - LIMITS.keys():
        parser.error(f"no time is set for {', '.join(sorted(unknown))}")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="helix-conformance-") as place:
        environment = os.environ | emulation(options.devices)
        if "reference" in options.devices:
            environment["HELIX_BACKEND_PATH"] = str(library(Path(place)))
        answers = {name: run(name, options.profile, options.out, environment) for name in options.devices}
    reports = [made for made in answers.values() if made]
    if reports:
        print(table(reports))
    bad = [name for name, made in answers.items() if not made or total(made)["fail"] or not total(made)["pass"]]
    if bad:
        print(f"not as it should be: {', '.join(bad)}")
    elif options.docs:
        write_docs(table(reports))
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
