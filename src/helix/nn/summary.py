"""model.summary(): what each layer gives, holds and costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch

from ..tensor import Tensor
from . import attention, channelnorm, conv, linear, norm
from .inference import infer


@dataclass(frozen=True)
class Row:
    """One layer: its path, kind, the shape of its result, parameters held, FLOPs done and bytes of the result."""

    path: str
    kind: str
    shape: tuple[int, ...] | None
    parameters: int
    flops: int
    result_bytes: int


@dataclass(frozen=True)
class Summary:
    """All rows and their totals; printing it draws the table."""

    model: str
    rows: tuple[Row, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    parameters: int
    trainable: int
    parameter_bytes: int

    @property
    def flops(self) -> int:
        return sum(row.flops for row in self.rows)

    @property
    def result_bytes(self) -> int:
        return sum(row.result_bytes for row in self.rows)

    def __str__(self) -> str:
        from .table import draw

        return draw(self)

    __repr__ = __str__

    def as_dict(self) -> dict:
        return {
            "model": self.model,
            "input_shapes": self.input_shapes,
            "parameters": self.parameters,
            "trainable": self.trainable,
            "parameter_bytes": self.parameter_bytes,
            "flops": self.flops,
            "result_bytes": self.result_bytes,
            "layers": [vars(row) for row in self.rows],
        }


@singledispatch
def flops_of(layer, result: Tensor) -> int:
    """Floating-point operations of one call, a multiply-add counted as two; elementwise layers one an element."""
    return result.numel() if not layer._modules else 0


@flops_of.register
def _(layer: linear.Linear, result: Tensor) -> int:
    return result.numel() * (2 * layer.in_features + (layer.bias is not None) - 1)


@flops_of.register
def _(layer: conv._Conv, result: Tensor) -> int:
    taps = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    return result.numel() * (2 * taps + (layer.bias is not None) - 1)


@flops_of.register
def _(layer: conv._ConvTranspose, result: Tensor) -> int:
    taps = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    return result.numel() * (2 * taps // math.prod(layer.stride) + (layer.bias is not None))


@flops_of.register(channelnorm._ChannelNorm)
@flops_of.register(norm._TrailingNorm)
@flops_of.register(norm.GroupNorm)
def _(layer, result: Tensor) -> int:
    return 5 * result.numel()


@flops_of.register
def _(layer: attention.MultiheadAttention, result: Tensor) -> int:
    """Projections in, scores and their product with the values; the projection out is a layer of its own."""
    length = result.shape[-2] if layer.batch_first or result.ndim == 2 else result.shape[0]
    return result.numel() * (2 * 3 * layer.embed_dim + 2 * 2 * length)


def summarize(model, input_shapes: tuple, dtype, batch_size: int) -> Summary:
    from .. import float32, zeros

    if not input_shapes:
        raise ValueError(
            "summary: give the shape of one input without its batch axis, for instance model.summary((3, 32, 32))"
        )
    if isinstance(input_shapes[0], int):
        input_shapes = (input_shapes,)
    first = next(model.parameters(), None)
    inputs = [
        zeros(
            batch_size,
            *shape,
            dtype=dtype or (first.dtype if first is not None else float32),
            device=first.device if first is not None else None,
        )
        for shape in input_shapes
    ]
    rows = _run(model, inputs)
    parameters = list(model.parameters())
    return Summary(
        type(model).__name__,
        tuple(rows),
        tuple(tuple(x.shape) for x in inputs),
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
        sum(p.numel() * p.element_size() for p in parameters),
    )


def _run(model, inputs: list[Tensor]) -> list[Row]:
    """Runs the model once with a hook on every module; rows come out in the order of the modules."""
    rows: dict[str, Row] = {}
    hooks = []
    for path, module in model.named_modules():
        own = sum(p.numel() for _, p in module.named_parameters(recurse=False))
        rows[path] = Row(path, type(module).__name__, None, own, 0, 0)

        def measure(module, args, result, path=path):
            tensor = result[0] if isinstance(result, tuple) else result
            old = rows[path]
            made = 0 if module._modules else tensor.numel() * tensor.element_size()
            rows[path] = Row(
                path,
                old.kind,
                tuple(tensor.shape),
                old.parameters,
                old.flops + flops_of(module, tensor),
                old.result_bytes + made,
            )

        hooks.append(module.register_forward_hook(measure))
    try:
        infer(model, tuple(inputs), None)
    finally:
        for hook in hooks:
            hook.remove()
    return list(rows.values())
