"""Makes a plugin by `helix plugin new` and follows its README: a clean virtual environment, install, list, conformance, training.

    python tools/plugin_walkthrough.py [--lang python] [--lang c] [--build-dir build/venv]

The README's own commands are run, block by block; only `pip install helix` is held to the wheel of this tree, as another
project has the name on the public index. Fails where a command fails, or where a walk takes five minutes or more.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 300.0  # seconds
NAME = "my_chip"


def wheel(out: Path, build_dir: str) -> Path:
    settings = {"build-dir": build_dir, "compile-args": "-j2"}
    program = f"import mesonpy; print(mesonpy.build_wheel({str(out)!r}, {settings!r}))"
    made = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True
    )
    if made.returncode:
        raise SystemExit("the wheel of helix was not built")
    return out / made.stdout.strip().splitlines()[-1]


def environment(**more: str) -> dict[str, str]:
    """Without a source tree, and without settings of helix; the programs of this Python first."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV") and k[:6] != "HELIX_"}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}", **more}


def blocks(readme: str) -> list[str]:
    return re.findall(r"^```\n(.*?)^```$", readme, re.S | re.M)


def walk(lang: str, helix: Path, place: Path) -> float:
    """Seconds from the first command to the last."""
    begun = time.monotonic()
    constraints = place / "constraints.txt"
    constraints.write_text(f"helix @ {helix.as_uri()}\n")
    made = environment(
        PIP_CONSTRAINT=str(constraints), PIP_DISABLE_PIP_VERSION_CHECK="1", HELIX_CACHE_DIR=str(place / "cache")
    )
    subprocess.run(
        [sys.executable, "-m", "helix", "plugin", "new", NAME, "--lang", lang], cwd=place, env=made, check=True
    )
    folder = place / f"helix-backend-{NAME.replace('_', '-')}"
    commands = blocks((folder / "README.md").read_text())
    done = subprocess.run(
        ["bash", "-euxo", "pipefail"],
        input="\n".join(commands),
        text=True,
        cwd=folder,
        env=made,
        stdout=subprocess.PIPE,
    )
    sys.stdout.write(done.stdout)
    if done.returncode:
        raise SystemExit(f"{lang}: a command of the README failed")
    said = (
        rf"^{NAME}:0 +ok",
        r"primitives \d+",
        r"^loss 0\.",
        rf"\{{'{NAME}:0'",
    )  # devices, conformance, loss, fallbacks
    missing = [text for text in said if not re.search(text, done.stdout, re.M)]
    if missing:
        raise SystemExit(f"{lang}: the commands do not print {' or '.join(missing)}")
    return time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lang", action="append", choices=("python", "c"))
    parser.add_argument("--build-dir", default="build/venv")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="helix-walk-") as out:
        helix = wheel(Path(out), options.build_dir)
        for lang in options.lang or ("python", "c"):
            place = Path(out) / lang
            place.mkdir()
            seconds = walk(lang, helix, place)
            print(f"{lang}: {seconds:.0f} s, of {LIMIT:.0f}")
            if seconds >= LIMIT:
                raise SystemExit(f"{lang}: more than {LIMIT:.0f} s")


if __name__ == "__main__":
    main()
