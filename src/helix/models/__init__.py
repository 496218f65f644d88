"""helix.models: ready models, and the choice of one for a dataset."""

from .build import KINDS, build, choose
from .cnn import cnn
from .decoder import Decoder
from .mlp import mlp

__all__ = ["KINDS", "Decoder", "build", "choose", "cnn", "mlp"]
