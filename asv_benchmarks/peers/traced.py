"""Workloads as functions that JAX traces, with their inputs as arrays of NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import elementwise_inputs, expressions, product_inputs
from .chains import CHAINS, chain_of
from .data import normal
from .workloads import CONVOLUTIONS, POOLS

Found = tuple[Callable[..., Any], list[np.ndarray]]


def function_of(jax: Any, id: str, gradients: bool) -> Found | None:
    """The workload's function and inputs; None where JAX has no form of it here."""
    if id in CHAINS:
        return chain_of(jax.numpy, id)
    group, rest = id.split(".", 1)
    parts = {"B": _elementwise, "C": _product, "D": _image, "F": _attention}
    backward = rest.endswith("_fb") or "_fb_" in rest
    if group not in parts or (backward and not gradients):
        return None
    return parts[group](jax, rest.replace("_fb", "").removesuffix("_fwd"), backward)


def _with_gradients(jax: Any, function: Callable[..., Any], inputs: list[np.ndarray], count: int, given: Any) -> Found:
    """Gradients by the first `count` inputs, for the gradient `given` of the result (None: ones)."""

    def both(given: Any, *arrays: Any) -> Any:
        result, back = jax.vjp(lambda *a: function(*a, *arrays[count:]), *arrays[:count])
        return back(jax.numpy.ones_like(result) if given is None else given)

    if given is None:
        return (lambda *arrays: both(None, *arrays)), inputs
    return both, [given, *inputs]


# ---- B ----


def _elementwise(jax: Any, rest: str, backward: bool) -> Found | None:
    m, nn = jax.numpy, jax.nn
    op, _, size = rest.rpartition("_")
    if op in ("fft", "rfft_irfft", "fft2"):
        return _transform(jax, op, tuple(int(n) for n in size.split("x")))
    if size not in ("1M", "16M"):
        return None

    def normalized(a: Any, w: Any, v: Any) -> Any:
        shifted = a - a.mean(-1, keepdims=True)
        return shifted * jax.lax.rsqrt((shifted * shifted).mean(-1, keepdims=True) + 1e-5) * w + v

    own: dict[str, Callable[..., Any]] = {
        "copy": lambda a, b, c, w, v: m.array(a, copy=True),
        "gelu_tanh": lambda a, b, c, w, v: nn.gelu(a, approximate=True),
        "gelu_erf": lambda a, b, c, w, v: nn.gelu(a, approximate=False),
        "softmax": lambda a, b, c, w, v: nn.softmax(a, -1),
        "layernorm": lambda a, b, c, w, v: normalized(a, w, v),
        "rmsnorm": lambda a, b, c, w, v: a * jax.lax.rsqrt((a * a).mean(-1, keepdims=True) + 1e-6) * w,
        "transpose": lambda a, b, c, w, v: m.array(a.T, copy=True),
        "cast_bf16": lambda a, b, c, w, v: a.astype(m.bfloat16),
    }
    for name, shared in expressions(m).items():
        own[name] = lambda a, b, c, w, v, f=shared: f(a, b, c, w)
    a, b, c, w = elementwise_inputs(size)
    v = normal("v", w.shape[0])
    if backward:
        simple: dict[str, tuple[Callable[..., Any], list[np.ndarray], int]] = {
            "gelu": (lambda a: nn.gelu(a, approximate=True), [a], 1),
            "softmax": (lambda a: nn.softmax(a, -1), [a], 1),
            "layernorm": (normalized, [a, w, v], 3),
        }
        return _with_gradients(jax, *simple[op], c)
    return (own[op], [a, b, c, w, v]) if op in own else None


def _transform(jax: Any, kind: str, shape: tuple[int, ...]) -> Found:
    fft = jax.numpy.fft
    if kind == "rfft_irfft":
        return (lambda x: fft.irfft(fft.rfft(x), shape[-1])), [normal("signal", *shape)]
    parts = normal("complex signal", *shape, 2)
    return getattr(fft, kind), [np.ascontiguousarray(parts).view(np.complex64)[..., 0]]


# ---- C ----


def _product(jax: Any, rest: str, backward: bool) -> Found | None:
    del backward
    kind, _, sizes = rest.partition("_")
    if "layer" in rest or kind not in ("f32", "bf16"):
        return None
    a, b = product_inputs("f32_" + sizes)
    if kind == "f32":
        return jax.numpy.matmul, [a, b]
    half = jax.numpy.bfloat16
    return jax.numpy.matmul, [a.astype(half), b.astype(half)]


# ---- D ----


def _image(jax: Any, rest: str, backward: bool) -> Found | None:
    if rest in CONVOLUTIONS:
        return _convolution(jax, rest, backward)
    if rest not in POOLS:
        return None
    lax, m = jax.lax, jax.numpy
    x = normal("px", *POOLS[rest])
    if rest.startswith("max"):
        pads = ((0, 0), (0, 0), (1, 1), (1, 1))
        function = lambda x: lax.reduce_window(x, -m.inf, lax.max, (1, 1, 3, 3), (1, 1, 2, 2), pads)  # noqa: E731
    elif rest.startswith("avg"):
        function = lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 1, 2, 2), (1, 1, 2, 2), "VALID") * 0.25  # noqa: E731
    else:
        return _batch_norm(jax, x, backward)
    return _with_gradients(jax, function, [x], 1, None) if backward else (function, [x])


def _batch_norm(jax: Any, x: np.ndarray, backward: bool) -> Found:
    """In training: with the running mean and variance moved on."""
    axes, row = (0, 2, 3), (1, x.shape[1], 1, 1)
    zeros, ones = np.zeros(x.shape[1], np.float32), np.ones(x.shape[1], np.float32)

    def normalized(x: Any, w: Any, b: Any) -> tuple[Any, Any, Any]:
        mean, var = x.mean(axes), x.var(axes)
        scale = w * jax.lax.rsqrt(var + 1e-5)
        return (x - mean.reshape(row)) * scale.reshape(row) + b.reshape(row), mean, var

    if backward:
        return _with_gradients(jax, lambda x, w, b: normalized(x, w, b)[0], [x, ones, zeros], 3, None)

    def step(x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
        y, now, spread = normalized(x, w, b)
        return y, 0.9 * mean + 0.1 * now, 0.9 * var + 0.1 * spread

    return step, [x, ones, zeros, zeros, ones]


def _convolution(jax: Any, name: str, backward: bool) -> Found | None:
    x_shape, w_shape, stride, padding, groups, x_grad = CONVOLUTIONS[name]
    if backward and groups > 1:
        return None  # seconds a call: nothing is learned from waiting
    axes = len(x_shape) - 2
    spatial = "HW"[2 - axes :]

    def convolve(x: Any, w: Any) -> Any:
        return jax.lax.conv_general_dilated(
            x,
            w,
            (stride,) * axes,
            [(padding, padding)] * axes,
            dimension_numbers=("NC" + spatial, "OI" + spatial, "NC" + spatial),
            feature_group_count=groups,
        )

    x, w = normal("cx", *x_shape), normal("cw", *w_shape, scale=0.1)
    if not backward:
        return convolve, [x, w]
    if x_grad:
        return _with_gradients(jax, convolve, [x, w], 2, None)
    return _with_gradients(jax, lambda w, x: convolve(x, w), [w, x], 1, None)


# ---- F ----


def _attention(jax: Any, rest: str, backward: bool) -> Found | None:
    kind, _, length = rest.removesuffix("_causal").rpartition("_")
    n = int(length)
    heads = [normal("q", 1, 8, 1 if kind == "decode" else n, 64), *(normal(k, 1, 8, n, 64) for k in "kv")]
    inputs = [np.ascontiguousarray(x.swapaxes(1, 2)) for x in heads]
    causal = rest.endswith("_causal")

    def attend(q: Any, k: Any, v: Any) -> Any:
        return jax.nn.dot_product_attention(q, k, v, is_causal=causal)

    return _with_gradients(jax, attend, inputs, 3, None) if backward else (attend, inputs)
