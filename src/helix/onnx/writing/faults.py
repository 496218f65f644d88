"""What an export raises, each with the op, the module and the line it is about."""

from __future__ import annotations

from ...errors import ExportError, UnsupportedOpError
from ...graph.ir import Node


def unwritable(node: Node, why: str) -> UnsupportedOpError:
    """HX4030: a node that ONNX cannot express."""
    where = f", made at {node.where}" if node.where else ""
    return UnsupportedOpError(f"HX4030 {node.op} cannot be exported{where}: {why}", code="HX4030", op=node.op)


def refused(text: str) -> UnsupportedOpError:
    """HX4030: a graph that ONNX cannot express."""
    return UnsupportedOpError(f"HX4030 {text}", code="HX4030")


def differs(text: str) -> ExportError:
    """HX4031: what was written is not what was meant; no file is left behind."""
    return ExportError(f"HX4031 {text}", code="HX4031")
