"""What is measured. A workload builds a callable from a library; calling it once is `inner` repetitions.

`lib` gives torch's vocabulary: lib.t (module), lib.F (functional), lib.nn, lib.optim, lib.array(numpy array). helix
keeps that vocabulary, so one definition serves both; NumPy has its own in libraries.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .chains import CHAINS, built
from .data import normal
from .functions import FUNCTIONS
from .models import MODELS, decode, prefill, training
from .networks import cnn, infer, mlp, mlp_inference, recurrent, resnet_inference, train, transformer
from .sequence import convolution_inputs, scan_inputs
from .vision import resnet18

Build = Callable[[Any], Callable[[], Any]]


@dataclass(frozen=True)
class Workload:
    id: str
    build: Build
    inner: int = 1
    flops: float = 0.0
    bytes: float = 0.0
    compiles: bool = False  # torch.compile has a form of it

    @property
    def group(self) -> str:
        return self.id[0]


ALL: list[Workload] = []


def _add(id: str, build: Build, **figures: Any) -> None:
    ALL.append(Workload(id, build, **figures))


# ---- A: what a call costs ------------------------------------------------------------------------------------

CALLS = 200


def _dispatch(kind: str, n: int) -> Build:
    def build(lib: Any) -> Callable[[], Any]:
        t = lib.t
        a, b, c = t.ones(n), t.ones(n), t.ones(n)
        matrix = t.ones(4, 4)
        leaf = t.ones(1, requires_grad=True)
        factor = t.full((1,), 1.01)
        repeat = range(CALLS)

        def chain() -> Any:
            y = leaf
            for _ in range(50):
                y = y * factor
                y = y + factor
            return y

        def add() -> None:
            for _ in repeat:
                a + b

        def add_grad() -> None:
            for _ in repeat:
                leaf + factor

        def add_scalar() -> None:
            for _ in repeat:
                a + 1.0

        def add_inplace() -> None:
            x = a.clone()
            for _ in repeat:
                x += b

        def add_out() -> None:
            for _ in repeat:
                t.add(a, b, out=c)

        def view() -> None:
            for _ in repeat:
                a.reshape(2, 4)

        def slice_() -> None:
            for _ in repeat:
                a[2:6]

        def index_int() -> None:
            for _ in repeat:
                a[3]

        def transpose() -> None:
            for _ in repeat:
                matrix.T

        def sum_() -> None:
            for _ in repeat:
                a.sum()

        def matmul4() -> None:
            for _ in repeat:
                matrix @ matrix

        def item() -> None:
            for _ in repeat:
                a.item()

        def chain_fb() -> None:
            leaf.grad = None
            chain().backward()

        def linear4() -> Callable[[], None]:
            layer = lib.nn.Linear(4, 4).requires_grad_(False)

            def run() -> None:
                for _ in repeat:
                    layer(matrix)

            return run

        table = {
            "add": add,
            "mul_large1k": add,
            "add_grad": add_grad,
            "add_scalar": add_scalar,
            "add_inplace": add_inplace,
            "add_out": add_out,
            "view": view,
            "slice": slice_,
            "index_int": index_int,
            "T": transpose,
            "sum": sum_,
            "matmul4": matmul4,
            "item": item,
            "chain_fwd": chain,
            "chain_fb": chain_fb,
        }
        return linear4() if kind == "linear4" else table[kind]

    return build


for _kind, _n in [
    ("add", 1),
    ("add", 8),
    ("add_grad", 1),
    ("add_scalar", 1),
    ("add_inplace", 8),
    ("add_out", 8),
    ("mul_large1k", 1024),
    ("view", 8),
    ("slice", 8),
    ("T", 8),
    ("index_int", 8),
    ("sum", 8),
    ("matmul4", 4),
    ("linear4", 4),
    ("item", 1),
]:
    _add(f"A.{_kind}_{_n}", _dispatch(_kind, _n), inner=CALLS)
_add("A.chain100_fwd", _dispatch("chain_fwd", 1), inner=100)
_add("A.chain100_fwdbwd", _dispatch("chain_fb", 1), inner=100)

# ---- B: elementwise and reductions ---------------------------------------------------------------------------

_BYTES = {
    "copy": 8,
    "add": 12,
    "add_out": 12,
    "muladd": 16,
    "addbias": 8,
    "exp": 8,
    "tanh": 8,
    "gelu_tanh": 8,
    "gelu_erf": 8,
    "softmax": 8,
    "layernorm": 8,
    "rmsnorm": 8,
    "sum0": 4,
    "sum1": 4,
    "sumall": 4,
    "transpose": 8,
    "cast_bf16": 6,
    "gelu_fb": 20,
    "softmax_fb": 20,
    "layernorm_fb": 20,
}


def _elementwise(op: str, rows: int, columns: int) -> Build:
    def build(lib: Any) -> Callable[[], Any]:
        t, F = lib.t, lib.F
        a, b, c = (lib.array(normal(k, rows, columns)) for k in "abc")
        w, v = lib.array(normal("w", columns)), lib.array(normal("v", columns))
        out = t.empty_like(a)
        forward: dict[str, Callable[[], Any]] = {
            "copy": lambda: a.clone(),
            "add": lambda: a + b,
            "add_out": lambda: t.add(a, b, out=out),
            "muladd": lambda: a * b + c,
            "addbias": lambda: a + w,
            "exp": lambda: t.exp(a),
            "tanh": lambda: t.tanh(a),
            "gelu_tanh": lambda: F.gelu(a, approximate="tanh"),
            "gelu_erf": lambda: F.gelu(a),
            "softmax": lambda: F.softmax(a, -1),
            "layernorm": lambda: F.layer_norm(a, (columns,), w, v),
            "rmsnorm": lambda: a * t.rsqrt((a * a).mean(-1, keepdim=True) + 1e-6) * w,
            "sum0": lambda: a.sum(0),
            "sum1": lambda: a.sum(1),
            "sumall": lambda: a.sum(),
            "transpose": lambda: a.t().contiguous(),
            "cast_bf16": lambda: a.to(t.bfloat16),
        }
        if op.endswith("_fb"):
            inputs = [a, w, v] if op == "layernorm_fb" else [a]
            for x in inputs:
                x.requires_grad_()
            run = forward[{"gelu_fb": "gelu_tanh"}.get(op, op[:-3])]
            return lambda: t.autograd.grad(run(), inputs, c)
        return lib.inference(forward[op])

    return build


for _size, _rows in {"1M": 1024, "16M": 4096}.items():
    for _op, _per in _BYTES.items():
        if _size == "1M" or not _op.endswith("_fb") or _op == "layernorm_fb":
            _add(f"B.{_op}_{_size}", _elementwise(_op, _rows, _rows), bytes=_per * _rows * _rows)

# ---- B: Fourier transforms -----------------------------------------------------------------------------------


def _transform(kind: str, shape: tuple[int, ...]) -> Build:
    """A real signal and back, or complex numbers one way, along the last axis or (fft2) the last two."""

    def build(lib: Any) -> Callable[[], Any]:
        fft = lib.t.fft
        x = lib.array(normal("signal", *shape))
        z = lib.t.view_as_complex(lib.array(normal("complex signal", *shape, 2)))
        if kind == "rfft_irfft":
            return lib.inference(lambda: fft.irfft(fft.rfft(x), shape[-1]))
        return lib.inference(lambda: getattr(fft, kind)(z))

    return build


for _kind, _shape in (
    *(("rfft_irfft", s) for s in ((256, 8192), (64, 16384), (64, 131072))),
    *(("fft", s) for s in ((256, 1024), (1, 1 << 20), (64, 1009), (4096, 64))),
    ("fft2", (512, 512)),
):
    _add(f"B.{_kind}_{_shape[0]}x{_shape[1]}", _transform(_kind, _shape))


def _linear_algebra(kind: str, n: int, batch: int) -> Build:
    """Well-conditioned matrices of one seed: A A^T + n I where they are to be positive definite."""

    def build(lib: Any) -> Callable[[], Any]:
        lead = (batch,) if batch else ()
        a = lib.array(normal("matrices", *lead, n, n)).to(lib.t.float64)
        b = lib.array(normal("sides", *lead, n, 4)).to(lib.t.float64)
        positive = a @ a.mT + n * lib.t.eye(n, dtype=lib.t.float64)
        linalg = lib.t.linalg
        call = {
            "solve": lambda: linalg.solve(positive, b),
            "cholesky": lambda: linalg.cholesky(positive),
            "inv": lambda: linalg.inv(positive),
            "eigh": lambda: linalg.eigh(positive),
            "svd": lambda: linalg.svd(a, full_matrices=False),
        }[kind]
        return lib.inference(call)

    return build


for _kind, _sizes in (
    *((k, ((512, 0), (32, 256), (4, 4096))) for k in ("solve", "cholesky", "inv")),
    *((k, ((256, 0), (16, 512))) for k in ("eigh", "svd")),
):
    for _n, _batch in _sizes:
        _add(f"B.{_kind}_f64_{_batch or 1}x{_n}", _linear_algebra(_kind, _n, _batch))


# ---- B: special functions and spectrograms -------------------------------------------------------------------


def _special(name: str, shape: tuple[int, int], dtype: str) -> Build:
    """A function of helix.special; ndtri has shares of a normal distribution as its arguments."""

    def build(lib: Any) -> Callable[[], Any]:
        x = lib.array(normal("special", *shape).astype(dtype))
        function = getattr(lib.t.special, name)
        argument = lib.t.sigmoid(x) if name == "ndtri" else x * 4
        return lib.inference(lambda: function(argument))

    return build


def _spectrogram(batch: int, length: int, n_fft: int, back: bool) -> Build:
    """A batch of signals as spectra of Hann windows; or there and back."""

    def build(lib: Any) -> Callable[[], Any]:
        t, x = lib.t, lib.array(normal("spoken", batch, length))
        window = t.hann_window(n_fft)

        def spectra() -> Any:
            return t.stft(x, n_fft, window=window, return_complex=True)

        return lib.inference((lambda: t.istft(spectra(), n_fft, window=window)) if back else spectra)

    return build


for _name in ("i0e", "i1e", "erfcx", "ndtri", "log_ndtr", "bessel_j0"):
    for _dtype in ("float32", "float64"):
        _add(f"B.special_{_name}_{_dtype}_256x1024", _special(_name, (256, 1024), _dtype))
for _id, _build in FUNCTIONS.items():
    _add(_id, _build)
for _back in (False, True):
    _add(f"B.{'istft' if _back else 'stft'}_512_16x64000", _spectrogram(16, 64000, 512, _back))


# ---- C: products ---------------------------------------------------------------------------------------------


def _product(m: int, k: int, n: int, batch: int = 0, dtype: str = "float32") -> Build:
    def build(lib: Any) -> Callable[[], Any]:
        lead = (batch,) if batch else ()
        a, b = lib.array(normal("ga", *lead, m, k)), lib.array(normal("gb", *lead, k, n))
        if dtype != "float32":
            a, b = a.to(getattr(lib.t, dtype)), b.to(getattr(lib.t, dtype))
        return lib.inference(lambda: a @ b)

    return build


for _n in (64, 128, 256, 512, 1024, 2048):
    _add(f"C.f32_{_n}", _product(_n, _n, _n), flops=2 * _n**3)
_add("C.f32_batched64_128x64x128", _product(128, 64, 128, 64), flops=2 * 64 * 128 * 64 * 128)
_add("C.f32_gemv_1x4096x4096", _product(1, 4096, 4096), flops=2 * 4096**2, bytes=4 * 4096**2)
_add("C.f32_skinny_8x4096x4096", _product(8, 4096, 4096), flops=16 * 4096**2, bytes=4 * 4096**2)
_add("C.f32_tall_2048x256x1024", _product(2048, 256, 1024), flops=2 * 2048 * 256 * 1024)
for _n in (256, 512, 1024, 2048):
    _add(f"C.bf16_{_n}", _product(_n, _n, _n, dtype="bfloat16"), flops=2 * _n**3)
_add("C.bf16_gemv_1x4096x4096", _product(1, 4096, 4096, dtype="bfloat16"), flops=2 * 4096**2, bytes=2 * 4096**2)
_add("C.bf16_skinny_8x4096x4096", _product(8, 4096, 4096, dtype="bfloat16"), flops=16 * 4096**2, bytes=2 * 4096**2)
_add("C.bf16_tall_2048x256x1024", _product(2048, 256, 1024, dtype="bfloat16"), flops=2 * 2048 * 256 * 1024)


def _byte_product(m: int, k: int, n: int) -> Build:
    """Weights as layers store them, (n, k)."""

    def build(lib: Any) -> Callable[[], Any]:
        t = lib.t
        a = (lib.array(normal("ga", m, k)) * 40).clamp(-127, 127).to(t.int8)
        b = (lib.array(normal("gb", n, k)) * 40).clamp(-127, 127).to(t.int8).t()
        product = getattr(t, "int_mm", None) or t._int_mm
        return lib.inference(lambda: product(a, b))

    return build


for _m, _k, _n in ((512, 512, 512), (2048, 2048, 2048), (32, 4096, 4096), (1, 4096, 4096)):
    _add(f"C.int8_{_m}x{_k}x{_n}", _byte_product(_m, _k, _n), flops=2 * _m * _k * _n, bytes=_k * _n)


def _layer(kind: str, dtype: str) -> Build:
    """A layer of a transformer block at 256 tokens, with what follows it."""

    def build(lib: Any) -> Callable[[], Any]:
        t, F = lib.t, lib.F
        cast = getattr(t, dtype)
        x, w = lib.array(normal("lx", 256, 512)).to(cast), lib.array(normal("lw", 2048, 512, scale=0.05)).to(cast)
        b, rest = lib.array(normal("lb", 2048)).to(cast), lib.array(normal("lr", 256, 2048)).to(cast)
        fused = getattr(F, "linear_activation", None)
        runs: dict[str, Callable[[], Any]] = {
            "bias": lambda: F.linear(x, w, b),
            "gelu": lambda: fused(x, w, b, activation="gelu") if fused else F.gelu(F.linear(x, w, b)),
            "relu": lambda: fused(x, w, b, activation="relu") if fused else F.relu(F.linear(x, w, b)),
            "residual": lambda: t.addmm(rest, x, w.t()),
        }
        return lib.inference(runs[kind])

    return build


for _kind in ("bias", "relu", "gelu", "residual"):
    for _dtype, _short in (("float32", "f32"), ("bfloat16", "bf16")):
        _add(f"C.{_short}_layer_{_kind}_256x512x2048", _layer(_kind, _dtype), flops=2 * 256 * 512 * 2048)

# ---- D: convolution, pooling, batch norm ---------------------------------------------------------------------

# input, weight, stride, padding, groups, gradient of the input too
CONVOLUTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], int, int, int, bool]] = {
    "stem7x7s2_3_64_224": ((8, 3, 224, 224), (64, 3, 7, 7), 2, 3, 1, False),
    "c3x3_64_64_56": ((8, 64, 56, 56), (64, 64, 3, 3), 1, 1, 1, True),
    "c1x1_64_256_56": ((8, 64, 56, 56), (256, 64, 1, 1), 1, 0, 1, True),
    "dw3x3_128_56": ((8, 128, 56, 56), (128, 1, 3, 3), 1, 1, 128, True),
    "c1d_256_256_k9_1024": ((8, 256, 1024), (256, 256, 9), 1, 4, 1, True),
    "dw1d_512_k4_1024": ((2, 512, 1024), (512, 1, 4), 1, 3, 512, True),
}
POOLS = {"maxpool3s2_64_112": (8, 64, 112, 112), "avgpool2_64_56": (8, 64, 56, 56), "batchnorm_64_56": (8, 64, 56, 56)}


def _forward_or_both(lib: Any, run: Callable[[], Any], inputs: list[Any], both: bool) -> Callable[[], Any]:
    if not both:
        return lib.inference(run)
    gradient = lib.t.ones_like(lib.inference(run)())
    for x in inputs:
        x.requires_grad_()
    return lib.gradients(lambda: lib.t.autograd.grad(run(), inputs, gradient))


def _convolution(name: str, both: bool) -> Build:
    def build(lib: Any) -> Callable[[], Any]:
        x_shape, w_shape, stride, padding, groups, x_grad = CONVOLUTIONS[name]
        x, w = lib.array(normal("cx", *x_shape)), lib.array(normal("cw", *w_shape, scale=0.1))
        conv = lib.F.conv1d if len(x_shape) == 3 else lib.F.conv2d
        return _forward_or_both(
            lib, lambda: conv(x, w, None, stride, padding, 1, groups), [x, w] if x_grad else [w], both
        )

    return build


def _pool(name: str, both: bool) -> Build:
    def build(lib: Any) -> Callable[[], Any]:
        t, F = lib.t, lib.F
        shape = POOLS[name]
        x = lib.array(normal("px", *shape))
        if name.startswith("max"):
            return _forward_or_both(lib, lambda: F.max_pool2d(x, 3, 2, 1), [x], both)
        if name.startswith("avg"):
            return _forward_or_both(lib, lambda: F.avg_pool2d(x, 2), [x], both)
        channels = shape[1]
        mean, var, w, b = t.zeros(channels), t.ones(channels), t.ones(channels), t.zeros(channels)
        return _forward_or_both(lib, lambda: F.batch_norm(x, mean, var, w, b, True), [x, w, b], both)

    return build


for _mode in ("fwd", "fb"):
    for _name in CONVOLUTIONS:
        _add(f"D.{_name}_{_mode}", _convolution(_name, _mode == "fb"))
    for _name in POOLS:
        _add(f"D.{_name}_{_mode}", _pool(_name, _mode == "fb"))


def _sampling(mode: str, backward: bool) -> Build:
    """A batch of images read at as many points, or its gradients too."""

    def build(lib: Any) -> Callable[[], Any]:
        F = lib.F
        image = lib.array(normal("image", 4, 32, 128, 128)).requires_grad_(backward)
        grid = lib.array(normal("grid", 4, 128, 128, 2, scale=0.5)).requires_grad_(backward)

        def read() -> Any:
            return F.grid_sample(image, grid, mode, align_corners=False)

        def both() -> None:
            image.grad = grid.grad = None
            read().sum().backward()

        return both if backward else lib.inference(read)

    return build


for _mode in ("bilinear", "nearest", "bicubic"):
    _add(f"D.grid_sample_{_mode}_4x32x128x128", _sampling(_mode, False))
    _add(f"D.grid_sample_{_mode}_fb_4x32x128x128", _sampling(_mode, True))


RESIZED = {"up": (256, 256), "down": (56, 56)}


def _resizing(mode: str, size: tuple[int, int], backward: bool, **how: Any) -> Build:
    """A batch of images resized, or its gradient too."""

    def build(lib: Any) -> Callable[[], Any]:
        image = lib.array(normal("image", 4, 32, 128, 128)).requires_grad_(backward)

        def resize() -> Any:
            return lib.F.interpolate(image, size, mode=mode, **how)

        def both() -> None:
            image.grad = None
            resize().sum().backward()

        return both if backward else lib.inference(resize)

    return build


for _mode in ("nearest", "bilinear", "bicubic"):
    for _name in RESIZED:
        _add(f"D.resize_{_mode}_{_name}_4x32x128x128", _resizing(_mode, RESIZED[_name], False))
        _add(f"D.resize_{_mode}_{_name}_fb_4x32x128x128", _resizing(_mode, RESIZED[_name], True))
for _mode in ("bilinear", "bicubic"):
    _add(f"D.resize_{_mode}_antialias_4x32x128x128", _resizing(_mode, RESIZED["down"], False, antialias=True))
    _add(f"D.resize_{_mode}_antialias_fb_4x32x128x128", _resizing(_mode, RESIZED["down"], True, antialias=True))


# ---- F: attention --------------------------------------------------------------------------------------------


def _attention(length: int, both: bool = False, causal: bool = False, queries: int | None = None) -> Build:
    def build(lib: Any) -> Callable[[], Any]:
        q = lib.array(normal("q", 1, 8, queries or length, 64))
        k, v = (lib.array(normal(n, 1, 8, length, 64)) for n in "kv")
        run = lambda: lib.F.scaled_dot_product_attention(q, k, v, is_causal=causal)  # noqa: E731
        return _forward_or_both(lib, run, [q, k, v], both)

    return build


for _n in (128, 512, 1024, 2048, 4096):
    _add(f"F.sdpa_{_n}_fwd", _attention(_n), flops=4 * 8 * _n * _n * 64)
    _add(f"F.sdpa_{_n}_fb", _attention(_n, both=True), flops=14 * 8 * _n * _n * 64)
_add("F.sdpa_2048_causal_fwd", _attention(2048, causal=True), flops=2 * 8 * 2048**2 * 64)
for _n in (128, 1024, 4096):
    _add(f"F.decode_{_n}", _attention(_n, queries=1), bytes=8 * _n * 512)

# ---- G: optimizers -------------------------------------------------------------------------------------------


def _optimizer(kind: str) -> Build:
    def build(lib: Any) -> Callable[[], Any] | None:
        parameters = [lib.nn.Parameter(lib.array(normal(f"p{i}", 400, 250, scale=0.1))) for i in range(100)]
        for p in parameters:
            p.grad = lib.t.full_like(p, 0.01)
        optimizer = lib.optimizer(kind, parameters)
        return optimizer.step if optimizer else None

    return build


# Name in results, the class in its way, and how many numbers of 4 bytes a step reads and writes for each parameter.
for _name, _kind, _numbers in (
    ("adamw_default", "AdamW_default", 7),
    ("adamw_foreach", "AdamW_foreach", 7),
    ("adamw_fused", "AdamW_fused", 7),
    ("sgd", "SGD_fused", 3),
    ("adagrad_fused", "Adagrad_fused", 5),
    ("adamax", "Adamax_default", 7),
    ("nadam", "NAdam_default", 7),
    ("radam", "RAdam_default", 7),
    ("adadelta", "Adadelta_default", 7),
    ("rmsprop_centred_momentum", "RMSprop_default", 9),
    ("asgd", "ASGD_default", 5),
    ("rprop", "Rprop_default", 7),
    ("adafactor", "Adafactor_default", 3),
    ("muon", "Muon_default", 5),
    ("lion", "Lion_default", 5),
    ("lamb", "LAMB_default", 12),
    ("lars", "LARS_default", 7),
):
    _add(f"G.{_name}_10M_100t", _optimizer(_kind), bytes=4 * _numbers * 10**7)

# ---- E, H: whole models --------------------------------------------------------------------------------------


def _sequence(prepare: Callable[..., Any], sizes: tuple[int, ...], both: bool) -> Build:
    def build(lib: Any) -> Callable[[], Any]:
        function, inputs = prepare(lib, *sizes)
        return _forward_or_both(lib, lambda: function(*inputs), inputs, both)

    return build


for _mode in ("fwd", "fb"):
    _add(f"E.selective_scan_2_1024_512_16_{_mode}", _sequence(scan_inputs, (2, 1024, 512, 16), _mode == "fb"))
    for _batch, _length, _channels in ((4, 4096, 128), (1, 65536, 64)):
        _add(
            f"E.fft_conv_{_batch}_{_channels}_{_length}_{_mode}",
            _sequence(convolution_inputs, (_batch, _length, _channels), _mode == "fb"),
        )
_add("E.mlp", train(mlp, "xm", (128, 784)), compiles=True)
_add("E.cnn", train(cnn, "xc", (64, 1, 28, 28)), compiles=True)
_add("E.resnet18", train(resnet18, "xr", (16, 3, 32, 32)), compiles=True)
_add("E.transformer", train(transformer, "xt", (8, 128, 256)))
for _kind in ("RNN", "LSTM", "GRU"):
    _add(f"E.{_kind.lower()}", train(recurrent(_kind), "xr", (32, 64, 128)))
    _add(f"H.{_kind.lower()}_b32", infer(recurrent(_kind), "xr", (32, 64, 128)))


for _name, _model in MODELS.items():
    _add(f"E.{_name}", training(_model), compiles=_model.compiles)
_add("H.gpt_prefill256_b1", prefill, compiles=True)
_add("H.gpt_decode_b1", decode)
_add("H.resnet18_b1", resnet_inference)
_add("H.mlp_b1", mlp_inference)

# ---- J: what can be fused ------------------------------------------------------------------------------------

for _id in CHAINS:
    _add(_id, built(_id), compiles=True)
