"""Reversible networks: backward computes the inputs again from the outputs, so that memory does not grow with depth.

Sources: Gomez et al., "The reversible residual network" (2017); Kitaev et al., "Reformer" (2020), for sequences.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import cat
from ..autograd import Function, enable_grad, grad, is_grad_enabled, no_grad
from ..errors import GradientError
from ..precision import autocast_state, restored_autocast
from ..random import fork_rng, get_rng_state, replayed_generators, set_rng_state, watched_generators
from ..tensor import Tensor
from .activation import ReLU
from .channelnorm import BatchNorm2d
from .containers import ModuleList, Sequential
from .conv import Conv2d
from .misfit import describe
from .module import Module


class ReversibleBlock(Module):
    """y1 = x1 + f(x2), y2 = x2 + g(y1), for any two modules that keep the shape.

    `block(x1, x2)` gives (y1, y2), `block.inverse(y1, y2)` gives (x1, x2) again, up to rounding.

    Example:
        >>> block = helix.nn.ReversibleBlock(helix.nn.Linear(4, 4), helix.nn.Linear(4, 4))
        >>> x1, x2 = helix.randn(3, 4), helix.randn(3, 4)
        >>> helix.allclose(block.inverse(*block(x1, x2))[0], x1, atol=1e-5)
        True
    """

    def __init__(self, f: Module, g: Module) -> None:
        self.f, self.g = f, g

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        y1 = x1 + self.f(x2)
        return y1, x2 + self.g(y1)

    def inverse(self, y1: Tensor, y2: Tensor) -> tuple[Tensor, Tensor]:
        x2 = y2 - self.g(y1)
        return y1 - self.f(x2), x2


class RevNetBlock(ReversibleBlock):
    """The reversible residual block of images: both functions are norm, ReLU and a 3x3 convolution, twice.

    channels: of each of the two halves, (batch, channels, height, width).
    """

    def __init__(self, channels: int, device=None, dtype=None) -> None:
        made: dict[str, Any] = {"device": device, "dtype": dtype}

        def residual() -> Module:
            layers: list[Module] = []
            for _ in range(2):
                convolution = Conv2d(channels, channels, 3, padding=1, bias=False, **made)
                layers += [BatchNorm2d(channels, **made), ReLU(), convolution]
            return Sequential(*layers)

        super().__init__(residual(), residual())


class ReversibleSequence(Module):
    """Reversible blocks one after the other; only the last outputs are kept for backward.

    dim: the axis along which the input is halved, and the halves of the result are joined again; None: both halves begin
    as the input, and the result is their mean. Gradients are those of the blocks called one by one, up to the rounding of
    the inputs computed again: random numbers (dropout), autocast and running means are as they were in forward.
    `keep=True` calls the blocks one by one, which keeps their activations. Second derivatives raise GradientError
    (HX1503) unless `keep`. Raises LayerError (HX1004) for an axis of odd size.

    Example:
        >>> blocks = [helix.nn.ReversibleBlock(helix.nn.Linear(4, 4), helix.nn.Linear(4, 4)) for _ in range(3)]
        >>> helix.nn.ReversibleSequence(blocks)(helix.randn(2, 8)).shape
        (2, 8)
    """

    def __init__(self, blocks: Iterable[ReversibleBlock], dim: int | None = -1, keep: bool = False) -> None:
        self.blocks, self.dim, self.keep = ModuleList(blocks), dim, keep

    def forward(self, x: Tensor) -> Tensor:
        if self.dim is None:
            y1, y2 = self.run(x, x)
            return 0.5 * (y1 + y2)
        return cat(self.run(*x.chunk(2, self.dim)), self.dim)

    def run(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Both halves through all blocks."""
        if self.keep or not is_grad_enabled():
            for block in self.blocks:
                x1, x2 = block(x1, x2)
            return x1, x2
        return _Reversible.apply(x1, x2, list(self.blocks), *self.parameters())

    def inverse(self, y1: Tensor, y2: Tensor) -> tuple[Tensor, Tensor]:
        """The halves that `run` made these of. With dropout in the blocks, in eval mode only."""
        block: Any
        for block in reversed(list(self.blocks)):
            y1, y2 = block.inverse(y1, y2)
        return y1, y2

    def misfit(self, x) -> str | None:
        if self.dim is None or x.shape[self.dim] % 2 == 0:
            return None
        return f"axis {self.dim} of the input has {x.shape[self.dim]} elements, which cannot be halved. {describe(x)}"

    def extra_repr(self) -> str:
        return f"dim={self.dim}, keep={self.keep}"


class _Reversible(Function):
    @staticmethod
    def forward(ctx: Any, x1: Tensor, x2: Tensor, blocks: list[ReversibleBlock], *parameters: Tensor) -> Any:
        ctx.blocks, ctx.states, ctx.autocast = blocks, [], autocast_state()
        ctx.parameters = [p for p in parameters if p.requires_grad]
        ctx.wanted = [p.requires_grad for p in parameters]
        for block in blocks:
            before_f = get_rng_state()
            with watched_generators() as drawn_f:
                x1 = x1 + block.f(x2)
            before_g = get_rng_state()
            with watched_generators() as drawn_g:
                x2 = x2 + block.g(x1)
            ctx.states.append(((before_f, drawn_f), (before_g, drawn_g)))
        ctx.save_for_backward(x1, x2)
        return x1, x2

    @staticmethod
    def backward(ctx: Any, g1: Tensor, g2: Tensor) -> Any:
        if is_grad_enabled():
            raise GradientError(
                "HX1503 reversible: no second derivative, as nothing was kept to differentiate again; make the "
                "ReversibleSequence with keep=True.",
                op="reversible",
                code="HX1503",
            )
        y1, y2 = ctx.saved_tensors
        sums: dict[int, Tensor] = {}
        with fork_rng(), restored_autocast(ctx.autocast):
            for block, (before_f, before_g) in zip(reversed(ctx.blocks), reversed(ctx.states), strict=True):
                done, step = _again(block.g, y1, g2, before_g, sums)
                y2, g1 = y2 - done, g1 + step
                done, step = _again(block.f, y2, g1, before_f, sums)
                y1, g2 = y1 - done, g2 + step
        found = iter([sums.get(id(p)) for p in ctx.parameters])
        return g1, g2, None, *(next(found) if wanted else None for wanted in ctx.wanted)


def _again(function: Module, x: Tensor, gradient: Tensor, state: Any, sums: dict[int, Tensor]) -> tuple[Tensor, Tensor]:
    """The result of a function once more, and the gradient of its input; those of its parameters are added to `sums`."""
    buffers = [(buffer, buffer.clone()) for buffer in function.buffers()]
    random, drawn = state
    set_rng_state(random)
    parameters = [p for p in function.parameters() if p.requires_grad]
    x = x.detach().requires_grad_()
    with enable_grad(), replayed_generators(drawn):
        result = function(x)
    for_x, *found = grad((result,), (x, *parameters), (gradient,), allow_unused=True)
    with no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)
    for parameter, part in zip(parameters, found, strict=True):
        if part is not None:
            known = sums.get(id(parameter))
            sums[id(parameter)] = part if known is None else known + part
    return result.detach(), 0 * x.detach() if for_x is None else for_x
