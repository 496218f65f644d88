"""Where extensions find helix's headers: the same places in a wheel and in an editable install."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def get_include() -> str:
    """The directory for the C compiler's -I: it holds helix/api.h and helix/backend.h."""
    return str(_PACKAGE / "_core" / "include")


def get_pkgconfig_dir() -> str:
    """The directory of helix.pc, for PKG_CONFIG_PATH."""
    return str(_PACKAGE / "_core" / "lib" / "pkgconfig")


def get_cython_path() -> str:
    """The directory for cython's -I, so that `cimport helix.capi` is found in an editable install too."""
    return str(_PACKAGE.parent)
