"""Whole models as JAX traces them: parameters in a dictionary, forward, loss and AdamW in one compiled function."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .data import labels, normal
from .models import GPT_SIZES, HYENA_SIZES, MODELS, window

Parameters = dict[str, np.ndarray]
Forward = Callable[[Any, Any], Any]
RATE, BETAS, SMALL, DECAY = 1e-4, (0.9, 0.999), 1e-8, 0.01
RESNET = (
    (64, 64, 1),
    (64, 64, 1),
    (64, 128, 2),
    (128, 128, 1),
    (128, 256, 2),
    (256, 256, 1),
    (256, 512, 2),
    (512, 512, 1),
)


def stepper_of(jax: Any, id: str) -> Callable[[], Any] | None:
    """One call, one step of training (E) or one answer (H); None where JAX has no form of it here."""
    group, name = id.split(".", 1)
    if group == "E" and name in FORMS:
        return _training(jax, name)
    if id == "H.gpt_prefill256_b1":
        parameters, forward = _gpt(jax)
        held, x = (
            jax.device_put(parameters),
            jax.device_put(labels("xg", (1, 256), GPT_SIZES["vocabulary"]).astype(np.int32)),
        )
        answer = jax.jit(forward)
        return lambda: answer(held, x).block_until_ready()
    return _decoding(jax) if id == "H.gpt_decode_b1" else None


def _training(jax: Any, name: str) -> Callable[[], Any]:
    m, tree = jax.numpy, jax.tree_util.tree_map
    parameters, forward = FORMS[name](jax)
    x, y = (jax.device_put(a.astype(np.int32) if a.dtype == np.int64 else a) for a in _data(name))

    def loss_of(p: Any, x: Any, y: Any) -> Any:
        out = forward(p, x)
        if y.dtype != m.int32:
            return ((out - y) ** 2).mean()
        shares = jax.nn.log_softmax(out.reshape(-1, out.shape[-1]))
        return -m.take_along_axis(shares, y.reshape(-1, 1), 1).mean()

    def step(p: Any, first: Any, second: Any, count: Any, x: Any, y: Any) -> Any:
        loss, g = jax.value_and_grad(loss_of)(p, x, y)
        first = tree(lambda a, b: BETAS[0] * a + (1 - BETAS[0]) * b, first, g)
        second = tree(lambda a, b: BETAS[1] * a + (1 - BETAS[1]) * b * b, second, g)
        whole = [1 - beta**count for beta in BETAS]

        def moved(p: Any, a: Any, b: Any) -> Any:
            return p * (1 - RATE * DECAY) - RATE * (a / whole[0]) / (m.sqrt(b / whole[1]) + SMALL)

        return loss, tree(moved, p, first, second), first, second

    compiled = jax.jit(step, donate_argnums=(0, 1, 2))
    held = jax.device_put(parameters)
    state = [held, tree(m.zeros_like, held), tree(m.zeros_like, held), 0.0]

    def run() -> Any:
        state[3] += 1
        loss, *state[:3] = compiled(*state, x, y)
        return jax.block_until_ready((loss, state[0]))

    return run


def _data(name: str) -> tuple[np.ndarray, np.ndarray]:
    if name in MODELS:
        return MODELS[name].inputs(), MODELS[name].targets()
    kind, shape = {"mlp": ("xm", (128, 784)), "cnn": ("xc", (64, 1, 28, 28)), "resnet18": ("xr", (16, 3, 32, 32))}[name]
    x = normal(kind, *shape)
    return (x.transpose(0, 2, 3, 1) if x.ndim == 4 else x), labels("y" + kind, shape[0], 10)


def _linear(name: str, inputs: int, outputs: int, bias: bool = True) -> Parameters:
    weight = {name: normal("jax" + name, inputs, outputs, scale=inputs**-0.5)}
    return weight | ({name + "_bias": np.zeros(outputs, np.float32)} if bias else {})


def _apply(p: Any, name: str, x: Any) -> Any:
    y = x @ p[name]
    return y + p[name + "_bias"] if name + "_bias" in p else y


# ---- images, channels last, as XLA has them fastest ----


def _mlp(jax: Any) -> tuple[Parameters, Forward]:
    relu = jax.nn.relu
    parameters = _linear("a", 784, 512) | _linear("b", 512, 512) | _linear("c", 512, 10)
    return parameters, lambda p, x: _apply(p, "c", relu(_apply(p, "b", relu(_apply(p, "a", x)))))


def _convolve(jax: Any, x: Any, w: Any, stride: int = 1) -> Any:
    pad = (w.shape[0] // 2,) * 2
    return jax.lax.conv_general_dilated(x, w, (stride, stride), [pad, pad], dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _taps(name: str, size: int, inputs: int, outputs: int) -> np.ndarray:
    return normal("jax" + name, size, size, inputs, outputs, scale=(2 / (inputs * size * size)) ** 0.5)


def _cnn(jax: Any) -> tuple[Parameters, Forward]:
    lax, relu = jax.lax, jax.nn.relu
    parameters = {"first": _taps("first", 3, 1, 32), "second": _taps("second", 3, 32, 64)}
    parameters |= {"first_bias": np.zeros(32, np.float32), "second_bias": np.zeros(64, np.float32)}
    parameters |= _linear("a", 3136, 128) | _linear("b", 128, 10)

    def layer(p: Any, name: str, x: Any) -> Any:
        x = relu(_convolve(jax, x, p[name]) + p[name + "_bias"])
        return lax.reduce_window(x, -jax.numpy.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def forward(p: Any, x: Any) -> Any:
        x = layer(p, "second", layer(p, "first", x))
        return _apply(p, "b", relu(_apply(p, "a", x.reshape(x.shape[0], -1))))

    return parameters, forward


def _resnet18(jax: Any) -> tuple[Parameters, Forward]:
    lax, relu = jax.lax, jax.nn.relu
    parameters = _linear("head", 512, 10)

    def add(name: str, size: int, inputs: int, outputs: int) -> None:
        parameters[name] = _taps(name, size, inputs, outputs)
        parameters[name + "_scale"], parameters[name + "_shift"] = np.ones(outputs, "f"), np.zeros(outputs, "f")

    add("stem", 3, 3, 64)
    for number, (inputs, outputs, stride) in enumerate(RESNET):
        add(f"{number}a", 3, inputs, outputs)
        add(f"{number}b", 3, outputs, outputs)
        if stride != 1:
            add(f"{number}s", 1, inputs, outputs)

    def normed(p: Any, name: str, x: Any, stride: int = 1) -> Any:
        y = _convolve(jax, x, p[name], stride)
        mean = y.mean((0, 1, 2))
        spread = ((y - mean) ** 2).mean((0, 1, 2))
        return (y - mean) * lax.rsqrt(spread + 1e-5) * p[name + "_scale"] + p[name + "_shift"]

    def forward(p: Any, x: Any) -> Any:
        x = relu(normed(p, "stem", x))
        for number, (_, _, stride) in enumerate(RESNET):
            y = normed(p, f"{number}b", relu(normed(p, f"{number}a", x, stride)))
            x = relu(y + (normed(p, f"{number}s", x, stride) if stride != 1 else x))
        return _apply(p, "head", x.mean((1, 2)))

    return parameters, forward


# ---- sequences ----


def _layer_norm(jax: Any, p: Any, name: str, x: Any) -> Any:
    shifted = x - x.mean(-1, keepdims=True)
    spread = (shifted * shifted).mean(-1, keepdims=True)
    return shifted * jax.lax.rsqrt(spread + 1e-5) * p[name + "_scale"] + p[name + "_shift"]


def _gpt(jax: Any) -> tuple[Parameters, Callable[..., Any]]:
    m, dim, heads = jax.numpy, GPT_SIZES["dim"], GPT_SIZES["heads"]
    parameters = _linear("head", dim, GPT_SIZES["vocabulary"])
    for name, rows in (("tokens", GPT_SIZES["vocabulary"]), ("positions", GPT_SIZES["length"])):
        parameters[name] = normal("jax" + name, rows, dim, scale=0.02)
    norms = ["last"]
    for i in range(GPT_SIZES["depth"]):
        parameters |= _linear(f"qkv{i}", dim, 3 * dim) | _linear(f"out{i}", dim, dim)
        parameters |= _linear(f"up{i}", dim, 4 * dim) | _linear(f"down{i}", 4 * dim, dim)
        norms += [f"before{i}", f"between{i}"]
    for name in norms:
        parameters |= {name + "_scale": np.ones(dim, np.float32), name + "_shift": np.zeros(dim, np.float32)}

    def forward(p: Any, tokens: Any, caches: Any = None, before: int = 0) -> Any:
        batch, length = tokens.shape
        x, after = p["tokens"][tokens] + p["positions"][before : before + length], []
        for i in range(GPT_SIZES["depth"]):
            parts = _apply(p, f"qkv{i}", _layer_norm(jax, p, f"before{i}", x)).reshape(
                batch, length, 3, heads, dim // heads
            )
            q, k, v = m.moveaxis(parts, 2, 0)
            if caches is not None:
                k, v = (
                    jax.lax.dynamic_update_slice(c, a, (0, before, 0, 0))
                    for c, a in zip(caches[i], (k, v), strict=True)
                )
                after.append((k, v))
            mixed = jax.nn.dot_product_attention(q, k, v, is_causal=caches is None)
            x = x + _apply(p, f"out{i}", mixed.reshape(batch, length, dim))
            hidden = _apply(p, f"up{i}", _layer_norm(jax, p, f"between{i}", x))
            x = x + _apply(p, f"down{i}", jax.nn.gelu(hidden, approximate=True))
        logits = _apply(p, "head", _layer_norm(jax, p, "last", x))
        return logits if caches is None else (logits, after)

    return parameters, forward


def _decoding(jax: Any) -> Callable[[], Any]:
    parameters, forward = _gpt(jax)
    heads, width = GPT_SIZES["heads"], GPT_SIZES["dim"] // GPT_SIZES["heads"]
    held = jax.device_put(parameters)
    x = jax.device_put(labels("xg", (1, 1), GPT_SIZES["vocabulary"]).astype(np.int32))
    caches = [
        tuple(jax.device_put(normal(f"cache {name}{i}", 1, 256, heads, width)) for name in "kv")
        for i in range(GPT_SIZES["depth"])
    ]
    step = jax.jit(lambda p, x, c: forward(p, x, c, 255), donate_argnums=(2,))
    state = [jax.tree_util.tree_map(jax.numpy.copy, caches)]

    def run() -> Any:
        logits, state[0] = step(held, x, state[0])
        return logits.block_until_ready()

    return run


def _lstm(jax: Any) -> tuple[Parameters, Forward]:
    m, sigmoid = jax.numpy, jax.nn.sigmoid
    parameters = _linear("inputs", 256, 1024) | _linear("hidden", 256, 1024, bias=False) | _linear("head", 256, 10)

    def forward(p: Any, x: Any) -> Any:
        def cell(state: Any, row: Any) -> Any:
            h, c = state
            i, f, g, o = m.split(row + h @ p["hidden"], 4, -1)
            c = sigmoid(f) * c + sigmoid(i) * m.tanh(g)
            h = sigmoid(o) * m.tanh(c)
            return (h, c), h

        zero = m.zeros((x.shape[0], 256))
        _, states = jax.lax.scan(cell, (zero, zero), m.swapaxes(_apply(p, "inputs", x), 0, 1))
        return _apply(p, "head", states.mean(0))

    return parameters, forward


def _long_convolution(jax: Any, u: Any, kernel: Any, skip: Any) -> Any:
    fft, length = jax.numpy.fft, u.shape[-1]
    y = fft.irfft(fft.rfft(u, 2 * length) * fft.rfft(kernel, 2 * length), 2 * length)[..., :length]
    return y + u * skip[:, None]


def _s4d(jax: Any) -> tuple[Parameters, Forward]:
    m = jax.numpy
    parameters = _linear("mix", 256, 512) | {
        "C": normal("s4d C", 256, 32, 2, scale=0.5**0.5),
        "D": normal("s4d D", 256),
        "log_dt": np.linspace(math.log(0.001), math.log(0.1), 256, dtype=np.float32),
        "log_A_real": np.full((256, 32), math.log(0.5), np.float32),
        "A_imag": np.tile(math.pi * np.arange(32, dtype=np.float32), (256, 1)),
    }

    def forward(p: Any, u: Any) -> Any:
        A = -m.exp(p["log_A_real"]) + 1j * p["A_imag"]
        rate = A * m.exp(p["log_dt"])[:, None]
        weights = (p["C"][..., 0] + 1j * p["C"][..., 1]) * (m.exp(rate) - 1) / A
        kernel = 2 * m.einsum("hn,hnl->hl", weights, m.exp(rate[..., None] * m.arange(u.shape[-1]))).real
        y = jax.nn.gelu(_long_convolution(jax, u, kernel, p["D"]), approximate=False)
        return jax.nn.glu(_apply(p, "mix", y.swapaxes(1, 2))).swapaxes(1, 2)

    return parameters, forward


def _short_convolution(jax: Any, x: Any, taps: Any, bias: Any) -> Any:
    """(batch, length, channels) with (count, channels) taps: a sum of shifted copies, which XLA has faster than groups."""
    count, length = taps.shape[0], x.shape[1]
    padded = jax.numpy.pad(x, ((0, 0), (count - 1, 0), (0, 0)))
    return sum(padded[:, i : i + length] * taps[i] for i in range(count)) + bias


def _mamba(jax: Any) -> tuple[Parameters, Forward]:
    m, nn = jax.numpy, jax.nn
    parameters = _linear("in", 256, 1024, bias=False) | _linear("x", 512, 48, bias=False) | _linear("dt", 16, 512)
    parameters |= _linear("out", 512, 256, bias=False) | {
        "taps": normal("mamba taps", 4, 512, scale=0.3),
        "taps_bias": np.zeros(512, np.float32),
        "dt_bias": np.full(512, -4.0, np.float32),
        "A_log": np.log(np.tile(np.arange(1, 17, dtype=np.float32), (512, 1))),
        "D": np.ones(512, np.float32),
    }

    def forward(p: Any, x: Any) -> Any:
        u, z = m.split(_apply(p, "in", x), 2, -1)
        u = nn.silu(_short_convolution(jax, u, p["taps"], p["taps_bias"]))
        dt, B, C = m.split(_apply(p, "x", u), 3, -1)
        dt, A = nn.softplus(_apply(p, "dt", dt)), -m.exp(p["A_log"])

        def step(h: Any, row: Any) -> Any:
            dt, u, b, c = row
            h = m.exp(dt[..., None] * A) * h + (dt * u)[..., None] * b[:, None]
            return h, (h * c[:, None]).sum(-1)

        rows = tuple(m.swapaxes(a, 0, 1) for a in (dt, u, B, C))
        y = m.swapaxes(jax.lax.scan(step, m.zeros((x.shape[0], 512, 16)), rows)[1], 0, 1)
        return _apply(p, "out", (y + u * p["D"]) * nn.silu(z))

    return parameters, forward


def _hyena(name: str) -> Callable[[Any], tuple[Parameters, Forward]]:
    _, length, channels = HYENA_SIZES[name]

    def form(jax: Any) -> tuple[Parameters, Forward]:
        m = jax.numpy
        parameters = (
            _linear("in", channels, 3 * channels)
            | _linear("out", channels, channels)
            | {
                "taps": normal("hyena taps", 3, 3 * channels, scale=0.5),
                "taps_bias": np.zeros(3 * channels, np.float32),
                "filter": normal("hyena filter", channels, length, scale=0.05),
                "skip": np.ones(channels, np.float32),
            }
        )
        under = window(length)

        def forward(p: Any, x: Any) -> Any:
            mixed = _short_convolution(jax, _apply(p, "in", x), p["taps"], p["taps_bias"]).swapaxes(1, 2)
            out, gate, v = m.split(mixed, 3, 1)
            y = _long_convolution(jax, v * gate, p["filter"] * under, p["skip"])
            return _apply(p, "out", (y * out).swapaxes(1, 2))

        return parameters, forward

    return form


def _experts(jax: Any) -> tuple[Parameters, Forward]:
    """Shapes are fixed: an expert takes 1.25 times its even share, and what goes beyond is dropped (Switch transformers)."""
    m, count, chosen = jax.numpy, 8, 2
    parameters = _linear("router", 256, count, bias=False)
    parameters |= {
        "up": normal("up", count, 256, 1024, scale=1 / 16),
        "down": normal("down", count, 1024, 256, scale=1 / 32),
    }

    def forward(p: Any, x: Any) -> Any:
        rows = x.reshape(-1, 256)
        room = int(1.25 * chosen * rows.shape[0] / count)
        weights, experts = jax.lax.top_k(jax.nn.softmax(_apply(p, "router", rows)), chosen)
        weights = (weights / weights.sum(-1, keepdims=True)).reshape(-1)
        hot = jax.nn.one_hot(experts.reshape(-1), count, dtype=m.int32)
        place = ((m.cumsum(hot, 0) - 1) * hot).sum(-1)
        slot = m.where(place < room, experts.reshape(-1) * room + place, count * room)
        tokens = m.arange(slot.shape[0]) // chosen
        held = m.zeros((count * room + 1, 256)).at[slot].set(rows[tokens])[:-1].reshape(count, room, 256)
        done = jax.nn.gelu(held @ p["up"], approximate=False) @ p["down"]
        done = m.concatenate([done.reshape(-1, 256), m.zeros((1, 256))])
        y = (done[slot] * weights[:, None]).reshape(-1, chosen, 256).sum(1)
        return y.reshape(x.shape)

    return parameters, forward


FORMS: dict[str, Callable[[Any], tuple[Parameters, Forward]]] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "resnet18": _resnet18,
    "gpt": _gpt,
    "lstm_16x128x256": _lstm,
    "s4d": _s4d,
    "mamba": _mamba,
    "moe": _experts,
    **{name: _hyena(name) for name in HYENA_SIZES},
}
