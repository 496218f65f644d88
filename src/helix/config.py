"""What a build of an extension asks: `python -m helix.config --cflags`."""

from __future__ import annotations

import argparse

import helix
from helix import headers

ANSWERS = {
    "cflags": lambda: f"-I{headers.get_include()}",
    "includes": headers.get_include,
    "pkgconfigdir": headers.get_pkgconfig_dir,
    "cython-path": headers.get_cython_path,
    "version": lambda: helix.__version__,
}
HELP = {
    "cflags": "flags for the C compiler",
    "includes": "the directory of the headers",
    "pkgconfigdir": "the directory of helix.pc",
    "cython-path": "the directory for cython -I",
    "version": "the version of helix",
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m helix.config", description=__doc__)
    for name in ANSWERS:
        parser.add_argument(f"--{name}", action="append_const", const=name, dest="asked", help=HELP[name])
    asked = parser.parse_args(arguments).asked
    if not asked:
        parser.error("ask for something, such as --cflags")
    for name in asked:
        print(ANSWERS[name]())


if __name__ == "__main__":
    main()
