"""helix.metrics: numbers over whole data sets, taken in batch by batch and exact under any batching."""

from .accuracy import Accuracy
from .calibration import CalibrationError
from .confusion import ConfusionMatrix
from .correlation import PearsonCorrelation, SpearmanCorrelation
from .exactmatch import ExactMatch
from .fscore import F1Score, FBetaScore, Precision, Recall
from .language import BitsPerByte, Perplexity
from .mean import MeanOf
from .metric import Metric
from .ranking import AUROC, AveragePrecision
from .regression import ExplainedVariance, MeanAbsoluteError, MeanSquaredError, R2Score
from .segmentation import Dice, IoU
from .text import BLEU, CHRF, CharacterErrorRate, WordErrorRate

__all__ = [
    "AUROC",
    "BLEU",
    "CHRF",
    "Accuracy",
    "AveragePrecision",
    "BitsPerByte",
    "CalibrationError",
    "CharacterErrorRate",
    "ConfusionMatrix",
    "Dice",
    "ExactMatch",
    "ExplainedVariance",
    "F1Score",
    "FBetaScore",
    "IoU",
    "MeanAbsoluteError",
    "MeanOf",
    "MeanSquaredError",
    "Metric",
    "PearsonCorrelation",
    "Perplexity",
    "Precision",
    "R2Score",
    "Recall",
    "SpearmanCorrelation",
    "WordErrorRate",
]
