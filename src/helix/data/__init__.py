"""helix.data: datasets, splits, and loaders whose place can be saved."""

from .dataset import Dataset, Subset, TensorDataset
from .digits import digits
from .images import ImageFolder
from .load import load
from .loader import Loader
from .split import random_split, stratified_split
from .table import read_csv
from .text import TextFolder

__all__ = ["Dataset", "ImageFolder", "Loader", "Subset", "TensorDataset", "TextFolder", "digits", "load",
           "random_split", "read_csv", "stratified_split"]
