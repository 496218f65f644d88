"""helix.train: training as a function, `helix.train("photos")`, and the parts it is made of.

The package itself can be called: calling it is calling `helix.train.train`.
"""

import sys
from types import ModuleType

from .api import train
from .builder import Model
from .callback import Callback, EarlyStopping, Monitor
from .checkpoint import Checkpoint
from .config import Config
from .owners import memory_owners
from .profiling import Profiled
from .rates import RateTest, rate_test
from .run import Run, resume, start
from .signals import Interrupted
from .tensorboard import TensorBoard
from .trainer import Trainer
from .tune import tune

__all__ = [
    "Callback",
    "Checkpoint",
    "Config",
    "EarlyStopping",
    "Interrupted",
    "Model",
    "Monitor",
    "Profiled",
    "RateTest",
    "Run",
    "TensorBoard",
    "Trainer",
    "memory_owners",
    "rate_test",
    "resume",
    "start",
    "train",
    "tune",
]


class _CallablePackage(ModuleType):
    def __call__(self, data, model="auto", progress="auto", **settings) -> Run:
        return train(data, model, progress, **settings)


_CallablePackage.__call__.__doc__ = train.__doc__
sys.modules[__name__].__class__ = _CallablePackage
