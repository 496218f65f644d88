"""What an ONNX file may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Ceilings for a file and for a run of it. What is above them is refused before it is made.

    Example:
        >>> helix.onnx.Limits(value_elements=1 << 20).nodes
        100000
    """

    model_bytes: int = (1 << 31) - 1  # of the protobuf message
    external_bytes: int = 1 << 36  # of tensors in files beside it, all together
    nodes: int = 100_000  # bodies and functions included
    depth: int = 32  # bodies in bodies, and functions that call functions
    list_length: int = 1 << 24  # of an attribute
    text_bytes: int = 1 << 16  # of a name or another text
    rank: int = 16  # axes of a tensor
    initializer_elements: int = 1 << 34  # all together
    value_elements: int = 1 << 28  # of one computed tensor, checked before it is made
    steps: int = 2_000_000  # nodes run, rounds of loops and rounds within an operator, in one run


DEFAULT = Limits()
