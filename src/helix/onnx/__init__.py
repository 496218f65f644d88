"""helix.onnx: models of the ONNX format. `load` reads one, `export` writes one; they need the package onnx,
`pip install helix[onnx]`."""

from .export import Exported, export
from .limits import Limits
from .model import Model, load
from .ports import Port

__all__ = ["Exported", "Limits", "Model", "Port", "export", "load"]
