"""Runs Python on a build of helix with the address and undefined-behaviour sanitizers, or the C tests for data races.

    python tools/sanitized.py -m pytest tests/ops
    python tools/sanitized.py --races
    python tools/sanitized.py --hammer SECONDS

The builds lie in build/asan and build/tsan and are brought up to date first. The interpreter is an ordinary one, so the
sanitizers' libraries come first by LD_PRELOAD. A report ends the process with its own exit status (99; of a race 66).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "asan"
PACKAGE = BUILD / "package"
RACES = ROOT / "build" / "tsan"


def run(*command: str, quiet: bool = True) -> None:
    tools = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(command, check=True, env=tools, stdout=subprocess.DEVNULL if quiet else None)


def set_up(folder: Path, option: str) -> None:
    if not (folder / "build.ninja").exists():
        run("meson", "setup", str(folder), str(ROOT), f"-D{option}=true", "-Doptimization=1", "-Ddebug=true")


def build() -> None:
    set_up(BUILD, "sanitize")
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


def hammer(seconds: str) -> int:
    """Eight callers for a while, and before them a race that must be reported."""
    set_up(RACES, "races")
    run("ninja", "-C", str(RACES), "tests/core/test_hammer")
    environment = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1:exitcode=66"}
    program = str(RACES / "tests/core/test_hammer")
    if subprocess.run([program, "planted"], env=environment, stderr=subprocess.DEVNULL).returncode != 66:
        print("a planted race was not reported")
        return 1
    return subprocess.run([program, seconds], env=environment).returncode


def find_races() -> None:
    """A child of a process with threads may start its own: the pool makes itself anew after a fork. 99 would tell meson that
    the planted race, which must fail, could not be run."""
    os.environ["TSAN_OPTIONS"] = "die_after_fork=0:halt_on_error=1:exitcode=66"
    set_up(RACES, "races")
    run("meson", "test", "-C", str(RACES), "--print-errorlogs", quiet=False)


def main() -> None:
    if sys.argv[1:] == ["--races"]:
        find_races()
        return
    if sys.argv[1:2] == ["--hammer"]:
        sys.exit(hammer(sys.argv[2]))
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
