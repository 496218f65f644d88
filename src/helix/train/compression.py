"""Gradients in fewer bytes: a compressor makes a payload of a tensor and a tensor of a payload; what was lost comes next time.

compressor = ErrorFeedback(TopK(0.01))
payload = compressor.compress("layer.weight", gradient)      # payload.nbytes go over the wire
gradient = compressor.decompress(payload)

`Trainer(compress="topk")` trains with what is left of each gradient, as workers at the ends of a wire would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol

from .. import float32, int32, rand, randn, uint8
from .. import tensor as make
from .._core import Generator
from .._core import dtype as dtype_type
from ..autograd import no_grad
from ..nn import Module
from ..tensor import Tensor


@dataclass(frozen=True)
class Payload:
    """What goes over the wire: tensors by name, and what is needed to read them."""

    tensors: dict[str, Tensor]
    shape: tuple[int, ...]
    dtype: dtype_type

    @property
    def nbytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self.tensors.values())


class Compressor(Protocol):
    def compress(self, name: str, tensor: Tensor) -> Payload:
        """`name` says which tensor it is, for compressors that remember."""

    def decompress(self, payload: Payload) -> Tensor: ...

    def state_dict(self) -> dict[str, Any]:
        """What is remembered from step to step: numbers, and tensors by name."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class _Forgetful:
    """Compressors that remember nothing."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


class TopK(_Forgetful):
    """The `share` of elements that are largest in magnitude, as positions and values. Needs ErrorFeedback."""

    def __init__(self, share: float = 0.01) -> None:
        if not 0.0 < share <= 1.0:
            raise ValueError(f"TopK: share must lie in (0, 1], got {share}")
        self.share = share

    def compress(self, name: str, tensor: Tensor) -> Payload:
        flat = tensor.detach().reshape(-1)
        count = min(flat.numel(), max(1, int(self.share * flat.numel())))
        places = flat.abs().topk(count).indices
        parts = {"places": places.to(int32), "values": flat[places]}
        return Payload(parts, tuple(tensor.shape), tensor.dtype)

    def decompress(self, payload: Payload) -> Tensor:
        from .. import int64, zeros

        flat = zeros(math.prod(payload.shape), dtype=payload.dtype, device=payload.tensors["values"].device)
        places = payload.tensors["places"].to(int64)
        return flat.index_copy(0, places, payload.tensors["values"]).reshape(payload.shape)


class Int8:
    """Blocks of `block` elements as whole numbers of -127 … 127 times a scale; rounded at random, so that the mean is right."""

    def __init__(self, block: int = 256, seed: int = 0) -> None:
        if block < 1:
            raise ValueError(f"Int8: block must be at least 1, got {block}")
        self.block, self.generator = block, Generator()
        self.generator.manual_seed(seed)

    def compress(self, name: str, tensor: Tensor) -> Payload:
        from .. import int8, where

        rows = _in_rows(tensor.detach().to(float32).reshape(-1), self.block)
        scale = rows.abs().amax(1, keepdim=True) / 127.0
        steps = rows / where(scale > 0, scale, 1.0)
        steps = (steps + rand(*steps.shape, generator=self.generator, device=steps.device)).floor().clamp(-127.0, 127.0)
        parts = {"steps": steps.to(int8).reshape(-1)[: tensor.numel()], "scale": scale.reshape(-1)}
        return Payload(parts, tuple(tensor.shape), tensor.dtype)

    def decompress(self, payload: Payload) -> Tensor:
        steps = _in_rows(payload.tensors["steps"].to(float32), self.block)
        flat = (steps * payload.tensors["scale"].reshape(-1, 1)).reshape(-1)
        return flat[: math.prod(payload.shape)].reshape(payload.shape).to(payload.dtype)

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.generator.set_state(state["generator"])


class Sign(_Forgetful):
    """One bit an element and one scale: the sign times the mean magnitude (Seide et al. 2014). Needs ErrorFeedback."""

    def compress(self, name: str, tensor: Tensor) -> Payload:
        flat = tensor.detach().reshape(-1)
        weights = make([1 << k for k in range(8)], dtype=int32, device=flat.device)
        bits = (_in_rows((flat >= 0).to(int32), 8) * weights).sum(1)
        parts = {"bits": bits.to(uint8), "scale": flat.abs().mean().to(float32).reshape(1)}
        return Payload(parts, tuple(tensor.shape), tensor.dtype)

    def decompress(self, payload: Payload) -> Tensor:
        weights = make([1 << k for k in range(8)], dtype=int32, device=payload.tensors["bits"].device)
        rows = payload.tensors["bits"].to(int32).reshape(-1, 1).bitwise_and(weights)
        flat = (rows > 0).to(float32).reshape(-1)[: math.prod(payload.shape)] * 2.0 - 1.0
        return (flat * payload.tensors["scale"]).reshape(payload.shape).to(payload.dtype)


class PowerSGD:
    """A matrix as the product of two of `rank` columns, by one step of power iteration from the last one's result (Vogels,
    Karimireddy, Jaggi 2019). Tensors of one axis, and what would not get smaller, go as they are. Needs ErrorFeedback."""

    def __init__(self, rank: int = 4, seed: int = 0) -> None:
        if rank < 1:
            raise ValueError(f"PowerSGD: rank must be at least 1, got {rank}")
        self.rank, self.generator = rank, Generator()
        self.generator.manual_seed(seed)
        self._right: dict[str, Tensor] = {}

    def compress(self, name: str, tensor: Tensor) -> Payload:
        from .. import linalg

        tensor = tensor.detach()
        rows, columns = (
            (tensor.shape[0], tensor.numel() // tensor.shape[0]) if tensor.ndim > 1 and tensor.numel() else (1, 1)
        )
        rank = min(self.rank, rows, columns)
        if tensor.ndim < 2 or rank * (rows + columns) >= rows * columns:
            return Payload({"whole": tensor.clone()}, tuple(tensor.shape), tensor.dtype)
        matrix = tensor.reshape(rows, columns).to(float32)
        if name not in self._right:
            self._right[name] = randn(columns, rank, generator=self.generator, device=matrix.device)
        left = linalg.qr(matrix @ self._right[name].to(matrix.device))[0]
        right = self._right[name] = matrix.mT @ left
        return Payload({"left": left, "right": right}, tuple(tensor.shape), tensor.dtype)

    def decompress(self, payload: Payload) -> Tensor:
        if "whole" in payload.tensors:
            return payload.tensors["whole"]
        return (payload.tensors["left"] @ payload.tensors["right"].mT).reshape(payload.shape).to(payload.dtype)

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state(), "right": dict(self._right)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        self._right = _copies(state["right"])


class ErrorFeedback:
    """What a compressor lost of a tensor is added to the tensor of that name the next time (Karimireddy et al. 2019)."""

    def __init__(self, compressor: Compressor) -> None:
        self.compressor = compressor
        self.errors: dict[str, Tensor] = {}

    def compress(self, name: str, tensor: Tensor) -> Payload:
        tensor = tensor.detach()
        wanted = tensor + self.errors[name].to(tensor.device) if name in self.errors else tensor
        payload = self.compressor.compress(name, wanted)
        self.errors[name] = wanted - self.compressor.decompress(payload)
        return payload

    def decompress(self, payload: Payload) -> Tensor:
        return self.compressor.decompress(payload)

    def state_dict(self) -> dict[str, Any]:
        return {"errors": dict(self.errors), "compressor": self.compressor.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.compressor.load_state_dict(state["compressor"])
        self.errors = _copies(state["errors"])


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors.items()}


COMPRESSORS: dict[str, Callable[..., Compressor]] = {
    "topk": lambda seed, **options: ErrorFeedback(TopK(**options)),
    "int8": lambda seed, **options: Int8(**{"seed": seed, **options}),
    "sign": lambda seed, **options: ErrorFeedback(Sign(**options)),
    "powersgd": lambda seed, **options: ErrorFeedback(PowerSGD(**{"seed": seed, **options})),
}


def compressor_named(chosen: str | Compressor, options: Mapping[str, Any], seed: int) -> Compressor:
    """From a name, with ErrorFeedback where its compressor needs it, or a compressor as it is."""
    if not isinstance(chosen, str):
        if options:
            raise ValueError("Trainer: compress_options go with a name; a compressor that is made already has its own")
        return chosen
    if chosen not in COMPRESSORS:
        near = get_close_matches(chosen, COMPRESSORS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(COMPRESSORS)}, or pass a compressor"
        raise ValueError(f"Trainer: compress: unknown name {chosen!r}; {hint}")
    try:
        return COMPRESSORS[chosen](seed, **options)
    except TypeError as error:
        raise ValueError(f"Trainer: compress_options of {chosen!r}: {error}") from error


def kind_of(compressor: Compressor) -> str:
    """ "ErrorFeedback(TopK)": whose state a checkpoint holds."""
    inner = getattr(compressor, "compressor", None)
    return type(compressor).__name__ + (f"({kind_of(inner)})" if inner is not None else "")


def compress_gradients(model: Module, compressor: Compressor) -> int:
    """Puts every gradient of a model through a compressor and back, as a wire would; the bytes it took."""
    sent = 0
    with no_grad():
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                payload = compressor.compress(name, parameter.grad)
                parameter.grad = compressor.decompress(payload)
                sent += payload.nbytes
    return sent


def _in_rows(flat: Tensor, size: int) -> Tensor:
    """As rows of `size`, the last one filled up with 0."""
    from .. import cat, zeros

    rest = -flat.numel() % size
    return (cat([flat, zeros(rest, dtype=flat.dtype, device=flat.device)]) if rest else flat).reshape(-1, size)
