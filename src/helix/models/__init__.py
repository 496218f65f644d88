"""helix.models: ready models, the choice of one for a dataset, models from folders of weights, and generation of text."""

from .build import KINDS, build, choose
from .cnn import cnn
from .convnext import ConvNeXt, convnext_tiny
from .decoder import Decoder
from .densenet import DenseNet, densenet121
from .diffusion import Diffusion
from .dit import DiffusionUNet, DiT
from .generate import generate, stream
from .mlp import mlp
from .mobilenet import MobileNetV2, MobileNetV3, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from .pointnet import PointNet
from .pretrained import FAMILIES, from_pretrained
from .recurrent import RecurrentClassifier
from .resnet import ResNet, resnet18, resnet34, resnet50
from .sequence import SequenceClassifier, SequenceDecoder
from .text import TextClassifier
from .unet import UNet

__all__ = [
    "ConvNeXt",
    "Decoder",
    "DenseNet",
    "DiT",
    "Diffusion",
    "DiffusionUNet",
    "FAMILIES",
    "KINDS",
    "MobileNetV2",
    "MobileNetV3",
    "PointNet",
    "RecurrentClassifier",
    "ResNet",
    "SequenceClassifier",
    "SequenceDecoder",
    "TextClassifier",
    "UNet",
    "build",
    "choose",
    "cnn",
    "convnext_tiny",
    "densenet121",
    "from_pretrained",
    "generate",
    "mlp",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "resnet18",
    "resnet34",
    "resnet50",
    "stream",
]
