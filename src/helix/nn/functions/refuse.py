"""Errors of the functions beside."""

from __future__ import annotations

from typing import NoReturn

from ...errors import ArgumentError, DTypeError, HelixError, ParameterError, ShapeError

NUMBERS: dict[type[HelixError], str] = {
    ArgumentError: "HX1103",
    DTypeError: "HX1101",
    ParameterError: "HX1403",
    ShapeError: "HX1001",
}


def refuse(error: type[HelixError], op: str, text: str) -> NoReturn:
    """Raises the error with the number of its kind."""
    raise error(f"{NUMBERS[error]} {op}: {text}", op=op, code=NUMBERS[error])
