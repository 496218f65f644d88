"""helix.train: training as a function, `helix.train("photos")`, and the parts it is made of.

The package itself can be called: calling it is calling `helix.train.train`.
"""

import sys
from types import ModuleType

from .api import train
from .callback import Callback
from .checkpoint import Checkpoint
from .config import Config
from .run import Run, resume, start
from .signals import Interrupted
from .trainer import Trainer

__all__ = ["Callback", "Checkpoint", "Config", "Interrupted", "Run", "Trainer", "resume", "start", "train"]


class _CallablePackage(ModuleType):
    def __call__(self, data, model="auto", progress="auto", **settings) -> Run:
        return train(data, model, progress, **settings)


_CallablePackage.__call__.__doc__ = train.__doc__
sys.modules[__name__].__class__ = _CallablePackage
