"""helix.onnx: models of the ONNX format. `load` reads one; it needs the package onnx, `pip install helix[onnx]`."""

from .limits import Limits
from .model import Model, load
from .ports import Port

__all__ = ["Limits", "Model", "Port", "load"]
