"""Runs Python on a build of helix with the address and undefined-behaviour sanitizers.

    python tools/sanitized.py -m pytest tests/ops

The build lies in build/asan and is brought up to date first. The interpreter is an ordinary one, so the sanitizers'
libraries come first by LD_PRELOAD. A report ends the process with its own exit status (99).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "asan"
PACKAGE = BUILD / "package"


def run(*command: str) -> None:
    tools = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(command, check=True, env=tools, stdout=subprocess.DEVNULL)


def build() -> None:
    if not (BUILD / "build.ninja").exists():
        run("meson", "setup", str(BUILD), str(ROOT), "-Dsanitize=true", "-Disa=scalar,avx2", "-Doptimization=1", "-Ddebug=true")
    run("ninja", "-C", str(BUILD))
    shutil.rmtree(PACKAGE, ignore_errors=True)
    shutil.copytree(
        ROOT / "src" / "helix", PACKAGE / "helix", ignore=shutil.ignore_patterns("_core", "*.so", "__pycache__")
    )
    for module in (BUILD / "src/helix/_core").glob("_core.*.so"):
        (PACKAGE / "helix" / module.name).symlink_to(module)


def library(name: str) -> str:
    compiler = os.environ.get("CC", "gcc").split()[-1]
    return subprocess.run(
        [compiler, f"-print-file-name={name}"], check=True, capture_output=True, text=True
    ).stdout.strip()


def main() -> None:
    build()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(PACKAGE), str(ROOT)]),
        "LD_PRELOAD": f"{library('libasan.so')} {library('libubsan.so')}",
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:exitcode=99:handle_segv=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
        "PYTHONMALLOC": "malloc",
    }
    sys.exit(subprocess.run([sys.executable, *sys.argv[1:]], env=environment, cwd=ROOT).returncode)


if __name__ == "__main__":
    main()
