"""helix.data: datasets, splits, and loaders whose place can be saved."""

from .dataset import Dataset, Subset, TensorDataset
from .digits import digits
from .images import ImageFolder
from .info import DataInfo, describe
from .load import load
from .loader import Loader
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

__all__ = [
    "BucketSampler",
    "DataInfo",
    "Dataset",
    "ImageFolder",
    "Loader",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "ShardSampler",
    "StratifiedSampler",
    "Subset",
    "TensorDataset",
    "TextFolder",
    "WeightedSampler",
    "describe",
    "digits",
    "load",
    "random_split",
    "read_csv",
    "stratified_split",
]
