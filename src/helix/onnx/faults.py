"""The errors of this package, each with what it is about."""

from __future__ import annotations

from types import ModuleType

from ..errors import FormatError, MissingExtraError, UnsupportedOpError


def broken(text: str) -> FormatError:
    """A file that does not follow the format, or asks for more than the limits allow."""
    return FormatError(f"HX4020 ONNX: {text}", code="HX4020")


def unsupported(text: str, op: str | None = None) -> UnsupportedOpError:
    """Something that the format has and helix has not."""
    return UnsupportedOpError(f"HX4021 ONNX: {text}", code="HX4021", op=op)


def misrun(where: str, text: str, op: str | None = None) -> FormatError:
    """A node that cannot compute what it was given."""
    return FormatError(f"HX4022 ONNX: {where}: {text}", code="HX4022", op=op)


def short(text: str, most: int = 80) -> str:
    """A name of the file, fit for a message."""
    return repr(text if len(text) <= most else text[:most] + "…")


def library() -> ModuleType:
    """The onnx package.

    Raises MissingExtraError (HX2201) where it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError(
            "HX2201 helix.onnx needs the onnx package: pip install helix[onnx]", code="HX2201"
        ) from error
    return onnx
