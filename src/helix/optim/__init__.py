"""helix.optim: optimizers on fused multi-tensor steps, and learning-rate schedules."""

from . import schedule as lr_scheduler
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
