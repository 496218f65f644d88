"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ... import cat
from ...autograd import no_grad
from ...tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters as one flat tensor."""
    return cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vector: Tensor, parameters: Iterable[Tensor]) -> None:
    """Writes a flat tensor back into parameters, in the same order."""
    parameters = list(parameters)
    wanted = sum(parameter.numel() for parameter in parameters)
    if vector.numel() != wanted:
        raise ValueError(
            f"vector_to_parameters: the vector has {vector.numel()} elements, the parameters have {wanted}"
        )
    start = 0
    with no_grad():
        for parameter in parameters:
            end = start + parameter.numel()
            parameter.copy_(vector[start:end].reshape(tuple(parameter.shape)))
            start = end
