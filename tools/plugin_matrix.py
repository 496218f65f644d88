"""Builds the first-party plugins and tries them beside helix, each as a wheel and as an editable install.

    python tools/plugin_matrix.py [--cases ABCD] [--build-dir build/venv] [opencl ...]

            helix       plugin
    A       wheel       wheel
    B       editable    wheel
    C       wheel       editable
    D       editable    editable

Every plugin in Python goes through its sdist. Checked: what the wheels hold, that no file belongs to two of them, where each module
comes from in each case, that the plugins are gone after their removal and helix is not. Needs meson-python, hatchling and
what helix and the plugins need at run time, in the Python that runs this; helix itself where a plugin is compiled.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CASES = {"A": (False, False), "B": (True, False), "C": (False, True), "D": (True, True)}  # editable: helix, plugin
LOOK = """import helix, helix.backends, importlib
(found,) = [f for f in helix.backends.list() if f.name == {name!r}]
assert found.package == "helix-backend-{name}", found
module = importlib.import_module({module!r})
print(helix.__file__, module.__file__, sep="\\n")
"""
GONE = """import helix, helix.backends
assert (helix.tensor([1.0, 2.0]) + 1).tolist() == [2.0, 3.0]
assert not [f for f in helix.backends.list() if f.name == {name!r}]
assert {editable} or not __import__("importlib.util").util.find_spec({module!r})
"""


def run(*command: object, cwd: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**clean(), **environment}, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def clean() -> dict[str, str]:
    """The environment without a source tree that would hide what is installed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, "PATH": path}


# ---- building ----


def hook(folder: Path, backend: str, step: str, out: Path, *settings: object) -> Path:
    """One step of a build backend, in the Python that runs this; what it made."""
    out.mkdir(parents=True, exist_ok=True)
    arguments = ", ".join(map(repr, (str(out), *settings)))
    made = run(sys.executable, "-c", f"import {backend} as b; print(b.{step}({arguments}))", cwd=folder)
    return out / made.strip().splitlines()[-1]


def build_core(editable: bool, out: Path, build_dir: str) -> Path:
    settings = {"build-dir": build_dir, "compile-args": "-j2"}
    return hook(ROOT, "mesonpy", "build_editable" if editable else "build_wheel", out, settings)


def build_plugin(name: str, out: Path) -> tuple[Path, Path]:
    """The wheel that comes out of the sdist, and the editable one. A plugin in C has its wheel alone: meson makes sdists of
    what `git archive` gives, which leaves plugins/ out here."""
    folder = folder_of(name)
    backend = tomllib.loads((folder / "pyproject.toml").read_text())["build-system"]["build-backend"]
    if backend == "mesonpy":
        wheel = hook(folder, backend, "build_wheel", out / "wheel", {"build-dir": str(out / "build")})
        return wheel, wheel
    sdist = hook(folder, backend, "build_sdist", out / "sdist")
    shutil.unpack_archive(sdist, out / "sdist")
    unpacked = out / "sdist" / sdist.name.removesuffix(".tar.gz")
    wheel = hook(unpacked, backend, "build_wheel", out / "wheel")
    check_same(wheel, hook(folder, backend, "build_wheel", out / "tree"))
    return wheel, hook(folder, backend, "build_editable", out / "editable")


def folder_of(name: str) -> Path:
    return ROOT / "plugins" / f"helix-backend-{name}"


def module_of(name: str) -> str:
    """First-party plugins with sources under src/ are modules of helix.backends; others have a name of their own."""
    return f"helix.backends.{name}" if (folder_of(name) / "hatch_build.py").exists() else f"helix_backend_{name}"


# ---- what wheels hold ----


def files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {n for n in archive.namelist() if not n.endswith("/")}


def check_same(first: Path, second: Path) -> None:
    if files(first) != files(second):
        raise SystemExit(f"{first.name} of the sdist and of the tree differ: {files(first) ^ files(second)}")


def foreign_files(names: set[str], plugin: str) -> list[str]:
    """What a wheel holds that it should not: the core's has no folder under helix/backends, a plugin's its own alone."""
    modules = {n for n in names if ".dist-info/" not in n}
    if plugin:
        return sorted(n for n in modules if not n.startswith(f"{module_of(plugin).replace('.', '/')}/"))
    return sorted(n for n in modules if n.startswith("helix/backends/") and n.count("/") > 2)


def check_contents(wheels: dict[str, Path]) -> None:
    """`wheels` by the name of the plugin; "" is helix."""
    for plugin, wheel in wheels.items():
        if wrong := foreign_files(files(wheel), plugin):
            raise SystemExit(f"{wheel.name} holds files that are not its own: {', '.join(wrong)}")
        if plugin and f"{module_of(plugin).replace('.', '/')}/__init__.py" not in files(wheel):
            raise SystemExit(f"{wheel.name} does not hold {module_of(plugin)}")
    for one, other in itertools.combinations(wheels.values(), 2):
        if both := files(one) & files(other):
            raise SystemExit(f"{one.name} and {other.name} both hold {', '.join(sorted(both))}")


# ---- the matrix ----


def make_environment(folder: Path) -> Path:
    """A virtual environment that sees the packages of the Python that runs this, behind its own; not helix and its plugins."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    shared = folder / "shared"
    shared.mkdir()
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if not package.name.startswith("helix"):
            (shared / package.name).symlink_to(package)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "shared.pth").write_text(f"{shared}\n")
    return folder / "bin" / "python"


def try_case(case: str, core: Path, plugins: dict[str, Path], folder: Path) -> None:
    """`plugins`: what to install, by name; all beside each other."""
    python, away = make_environment(folder), folder.parent
    pip = (sys.executable, "-m", "pip", "--python", python)
    wheels = (core, *plugins.values())
    run(*pip, "install", "-qq", "--no-deps", "--no-index", "--force-reinstall", "--ignore-installed", *wheels)
    for name, wheel in plugins.items():
        words = {"name": name, "module": module_of(name), "editable": CASES[case][1] and "editable" in str(wheel)}
        helix_file, module_file = run(python, "-c", LOOK.format(**words), cwd=away).splitlines()[-2:]
        for editable, file in ((CASES[case][0], helix_file), (words["editable"], module_file)):
            wanted = ROOT if editable else folder
            if not Path(file).resolve().is_relative_to(wanted.resolve()):
                raise SystemExit(f"case {case}: {file} is not under {wanted}")
    run(*pip, "uninstall", "-qq", "--yes", *(f"helix-backend-{name}" for name in plugins))
    for name in plugins:
        words = {"name": name, "module": module_of(name), "editable": CASES[case][0] and "." in module_of(name)}
        run(python, "-c", GONE.format(**words), cwd=away)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default="ABCD")
    parser.add_argument("--build-dir", default="build/venv")
    parser.add_argument("plugins", nargs="*")
    options = parser.parse_args()
    names = options.plugins or [p.name.removeprefix("helix-backend-") for p in sorted((ROOT / "plugins").iterdir())]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="helix-matrix-") as place:
        out = Path(place)
        core = {e: build_core(e, out / f"core{e}", options.build_dir) for e in {CASES[c][0] for c in options.cases}}
        plugins = {name: build_plugin(name, out / name) for name in names}
        wheels = {name: wheel for name, (wheel, _) in plugins.items()}
        check_contents(wheels | ({"": core[False]} if False in core else {}))
        for case in options.cases:
            editable = CASES[case]
            chosen = {name: wheels[editable[1]] for name, wheels in plugins.items()}
            try_case(case, core[editable[0]], chosen, out / f"case{case}")
            print(f"{case}  ok")
    print(f"{', '.join(names)}: cases {options.cases} in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
