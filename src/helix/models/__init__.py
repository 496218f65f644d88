"""helix.models: ready models, the choice of one for a dataset, models from folders of weights, and generation of text."""

from .build import KINDS, build, choose
from .cnn import cnn
from .decoder import Decoder
from .generate import generate, stream
from .mlp import mlp
from .pretrained import FAMILIES, from_pretrained

__all__ = ["FAMILIES", "KINDS", "Decoder", "build", "choose", "cnn", "from_pretrained", "generate", "mlp", "stream"]
