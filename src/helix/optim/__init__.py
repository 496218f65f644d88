"""helix.optim: optimizers on fused multi-tensor steps, wrappers around them, averages of weights, and schedules.

torch's classes keep torch's arguments, defaults and states, which are kept under the parameters' names. There is no
SparseAdam: gradients of helix are dense; Adam on an embedding's gradient is the same mathematics.
"""

from . import lr_scheduler, swa_utils
from .adadelta import Adadelta
from .adafactor import Adafactor
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .adamax import Adamax
from .asgd import ASGD
from .lamb import LAMB
from .lars import LARS
from .lbfgs import LBFGS
from .lion import Lion
from .lookahead import Lookahead
from .muon import Muon
from .nadam import NAdam
from .optimizer import Optimizer
from .radam import RAdam
from .rmsprop import RMSprop
from .rprop import Rprop
from .sam import SAM
from .sgd import SGD
from .soap import SOAP

__all__ = [
    "ASGD",
    "LAMB",
    "LARS",
    "LBFGS",
    "SAM",
    "SGD",
    "SOAP",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Lookahead",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
    "swa_utils",
]
