"""helix.data: datasets, splits, and loaders whose place can be saved."""

from .arrays import ArrayFiles, TokenFile, write_tokens
from .augment import Augmented, CutMix, MixUp
from .collate import Padded
from .dataset import Dataset, Subset, TensorDataset
from .digits import digits
from .images import ImageFolder
from .info import DataInfo, describe
from .karate import karate_club
from .load import load
from .loader import Loader
from .recall import associative_recall, selective_copying
from .samplers import (
    BucketSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    ShardSampler,
    StratifiedSampler,
    WeightedSampler,
)
from .split import random_split, stratified_split
from .table import read_csv
from .text import TextFolder
from .text_classes import TextClasses
from .tokenizer import ByteTokenizer, Tokenizer

__all__ = [
    "ArrayFiles",
    "Augmented",
    "BucketSampler",
    "ByteTokenizer",
    "CutMix",
    "DataInfo",
    "Dataset",
    "ImageFolder",
    "Loader",
    "MixUp",
    "Padded",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "ShardSampler",
    "StratifiedSampler",
    "Subset",
    "TensorDataset",
    "TextClasses",
    "TextFolder",
    "TokenFile",
    "Tokenizer",
    "WeightedSampler",
    "associative_recall",
    "describe",
    "digits",
    "karate_club",
    "load",
    "random_split",
    "read_csv",
    "selective_copying",
    "stratified_split",
    "write_tokens",
]
