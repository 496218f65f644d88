"""helix.train: training as a function, `helix.train("photos")`, and the parts it is made of.

The package itself can be called: calling it is calling `helix.train.train`.
"""

import sys
from types import ModuleType

from .api import train
from .callback import Callback, EarlyStopping, Monitor
from .checkpoint import Checkpoint
from .config import Config
from .owners import memory_owners
from .run import Run, resume, start
from .signals import Interrupted
from .trainer import Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "Config",
    "EarlyStopping",
    "Interrupted",
    "Monitor",
    "Run",
    "Trainer",
    "memory_owners",
    "resume",
    "start",
    "train",
]


class _CallablePackage(ModuleType):
    def __call__(self, data, model="auto", progress="auto", **settings) -> Run:
        return train(data, model, progress, **settings)


_CallablePackage.__call__.__doc__ = train.__doc__
sys.modules[__name__].__class__ = _CallablePackage
