"""Losses of pairs that belong together or do not, and hinges."""

from __future__ import annotations

from ... import arange, finfo
from ...errors import ParameterError, ShapeError
from ...tensor import Tensor
from .losses import cross_entropy
from .products import normalize
from .reduction import reduced
from .refuse import refuse

__all__ = ["contrastive_loss", "hinge_loss", "info_nce_loss"]


def info_nce_loss(
    query: Tensor, key: Tensor, temperature: float = 0.07, symmetric: bool = False, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy of finding each query's own key among all keys by their cosine; van den Oord, Li and Vinyals, "Representation
    learning with contrastive predictive coding", 2018. `symmetric`: and each key's query (Radford et al., "CLIP", 2021).

    query: (N, D); key: (M, D), M >= N, of which the first N belong to the queries and the others are further negatives.
    Fails with HX1001 for other shapes and HX1403 unless temperature is above 0.

    Example:
        >>> x = helix.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> round(helix.nn.functional.info_nce_loss(x, x, temperature=1.0).item(), 4)
        0.3133
    """
    op = "info_nce_loss"
    if query.ndim != 2 or key.ndim != 2 or query.shape[1] != key.shape[1] or key.shape[0] < query.shape[0]:
        refuse(ShapeError, op, f"expected (N, D) and (M, D) with M >= N, got {tuple(query.shape)}, {tuple(key.shape)}.")
    if symmetric and key.shape[0] != query.shape[0]:
        refuse(ShapeError, op, f"symmetric needs as many keys as queries, got {key.shape[0]} and {query.shape[0]}.")
    if not temperature > 0:
        refuse(ParameterError, op, f"temperature must be above 0, got {temperature}.")
    scores = normalize(query, dim=-1) @ normalize(key, dim=-1).T / temperature
    own = arange(query.shape[0], device=query.device)
    loss = cross_entropy(scores, own, reduction=reduction)
    return (loss + cross_entropy(scores.T, own, reduction=reduction)) / 2 if symmetric else loss


def contrastive_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 1.0, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """d^2 / 2 of pairs that belong together (target 1), max(0, margin - d)^2 / 2 of those that do not (target 0), for their
    distance d; Hadsell, Chopra and LeCun, "Dimensionality reduction by learning an invariant mapping", CVPR 2006.

    input1, input2: (N, D); target: (N). `eps` is added to the difference, as in pairwise_distance.

    Example:
        >>> a, b = helix.tensor([[0.0], [0.0]]), helix.tensor([[2.0], [0.5]])
        >>> loss = helix.nn.functional.contrastive_loss(a, b, helix.tensor([1, 0]), reduction="none")
        >>> [round(v, 3) for v in loss.tolist()]
        [2.0, 0.125]
    """
    difference = input1 - input2 + eps
    squared = (difference * difference).sum(-1)
    distance = squared.clamp(min=finfo(squared.dtype).tiny).sqrt()  # whose gradient at 0 is finite
    short = (margin - distance).clamp(min=0)
    together = target.to(squared.dtype)
    return reduced("contrastive_loss", (together * squared + (1 - together) * short * short) / 2, reduction)


def hinge_loss(input: Tensor, target: Tensor, squared: bool = False, reduction: str = "mean") -> Tensor:
    """max(0, 1 - target * input), or its square, for targets of 1 and -1: the loss of support vector machines.

    Example:
        >>> x, t = helix.tensor([0.5, 0.5, 3.0]), helix.tensor([1.0, -1.0, 1.0])
        >>> helix.nn.functional.hinge_loss(x, t, reduction="none").tolist()
        [0.5, 1.5, 0.0]
    """
    losses = (1 - target * input).clamp(min=0)
    return reduced("hinge_loss", losses * losses if squared else losses, reduction)
