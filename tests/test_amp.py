"""Mixed precision: dtypes as torch's autocast gives them, the scaler as torch's state machine, master weights."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch

import helix as hx
from helix import nn

F, TF = nn.functional, torch.nn.functional

# (what is computed, arguments' shapes): the same expression is read with helix and with torch.
EXPRESSIONS = {
    "matmul": ("m.matmul(a, b)", (3, 4), (4, 5)),
    "bmm": ("m.bmm(a, b)", (2, 3, 4), (2, 4, 5)),
    "linear": ("F.linear(a, b)", (3, 4), (5, 4)),
    "conv2d": ("F.conv2d(a, b)", (1, 2, 5, 5), (3, 2, 3, 3)),
    "addmm": ("m.addmm(c, a, b)", (3, 4), (4, 5), (3, 5)),
    "softmax": ("m.softmax(a, -1)", (3, 4)),
    "mse_loss": ("F.mse_loss(a, b)", (3, 4), (3, 4)),
    "cat": ("m.cat([a, b.to(m.bfloat16)])", (3, 4), (3, 4)),
    "sum": ("m.sum(m.matmul(a, b))", (3, 4), (4, 5)),
    "prod": ("m.prod(m.matmul(a, b))", (3, 4), (4, 5)),
    "exp": ("m.exp(m.matmul(a, b))", (3, 4), (4, 5)),
    "add": ("a + m.matmul(a, b)", (3, 3), (3, 3)),
    "double": ("m.matmul(a.double(), b.double())", (3, 4), (4, 5)),
    "layer_norm": ("F.layer_norm(m.matmul(a, b), [5])", (3, 4), (4, 5)),
    "in place": ("a.add_(b)", (3, 4), (3, 4)),
    "nll": ("F.nll_loss(m.matmul(a, b), m.tensor([0, 1, 2]))", (3, 4), (4, 5)),
    "cross entropy": ("F.cross_entropy(m.matmul(a, b), m.tensor([0, 1, 2]))", (3, 4), (4, 5)),
    "pinv": ("m.pinverse(m.matmul(a, b))", (3, 4), (4, 5)),
    "lstsq": ("m.linalg.lstsq(m.matmul(a, b), m.matmul(a, b))[0]", (4, 4), (4, 4)),
    "cholesky_solve": ("m.cholesky_solve(m.matmul(a, b), m.matmul(a, b))", (4, 4), (4, 4)),
    "polar": ("m.polar(a.bfloat16(), b.bfloat16())", (3,), (3,)),
    "quantile": ("m.quantile(a.bfloat16(), 0.5)", (3,)),
    "nanquantile": ("m.nanquantile(a.bfloat16(), q=0.5)", (3,)),
    "cdist": ("m.cdist(a.bfloat16(), b)", (3, 4), (3, 4)),
    "orgqr": ("m.orgqr(a.bfloat16(), b.bfloat16())", (3, 3), (3,)),
    "ormqr": ("m.ormqr(a.bfloat16(), b.bfloat16(), a.bfloat16())", (3, 3), (3,)),
    "householder": ("m.linalg.householder_product(a.bfloat16(), b.bfloat16())", (3, 3), (3,)),
    "vecdot": ("m.linalg.vecdot(a, b)", (2, 3), (2, 3)),
    "stft": ("m.stft(a.bfloat16(), 8, window=m.ones(8), return_complex=True)", (32,)),
    "max_pool3d": ("F.max_pool3d(a.bfloat16(), 2)", (1, 1, 4, 4, 4)),
    "adaptive_max_pool3d": ("F.adaptive_max_pool3d(a.bfloat16(), 2)", (1, 1, 4, 4, 4)),
    "max_unpool2d": ("F.max_unpool2d(*F.max_pool2d(a.bfloat16(), 2, return_indices=True), 2)", (1, 1, 4, 4)),
    "max_unpool3d": ("F.max_unpool3d(*F.max_pool3d(a.bfloat16(), 2, return_indices=True), 2)", (1, 1, 4, 4, 4)),
    "fractional2": ("F.fractional_max_pool2d(a.bfloat16(), 2, output_size=2)", (1, 1, 4, 4)),
    "fractional3": ("F.fractional_max_pool3d(a.bfloat16(), 2, output_size=2)", (1, 1, 4, 4, 4)),
    "pad": ("F.pad(a.bfloat16(), (1, 1))", (1, 2, 5)),
    "reflect1": ("F.pad(a.bfloat16(), (1, 1), mode='reflect')", (1, 2, 5)),
    "reflect2": ("F.pad(a.bfloat16(), (1, 1, 1, 1), mode='reflect')", (1, 2, 5, 5)),
    "reflect3": ("F.pad(a.bfloat16(), (1, 1, 1, 1, 1, 1), mode='reflect')", (1, 2, 5, 5, 5)),
    "replicate3": ("F.pad(a.bfloat16(), (1, 1, 1, 1, 1, 1), mode='replicate')", (1, 2, 5, 5, 5)),
    "replicate1": ("F.pad(a.bfloat16(), (1, 1), mode='replicate')", (1, 2, 5)),
    "circular": ("F.pad(a.bfloat16(), (1, 1), mode='circular')", (1, 2, 5)),
    "index_copy": ("m.index_copy(a, 0, m.tensor([0]), b.bfloat16())", (3,), (1,)),
    "mv": ("m.mv(a, b)", (3, 3), (3,)),
    "attention": ("F.scaled_dot_product_attention(a, a, a)", (1, 2, 3, 4)),
    "tensordot": ("m.tensordot(a, b, 1)", (3, 4), (4, 5)),
    "bilinear": ("F.bilinear(a, a, b)", (2, 3), (4, 3, 3)),
    "bilinear of short ones": ("F.bilinear(a.bfloat16(), a.bfloat16(), b.bfloat16())", (2, 3), (4, 3, 3)),
    "RNN": ("m.nn.RNN(3, 4)(a)[0]", (2, 1, 3)),
    "LSTM": ("m.nn.LSTM(3, 4)(a)[0]", (2, 1, 3)),
    "GRU": ("m.nn.GRU(3, 4)(a)[0]", (2, 1, 3)),
    "GRU of short ones": ("m.nn.GRU(3, 4)(a.bfloat16())[0]", (2, 1, 3)),
    "RNNCell": ("m.nn.RNNCell(3, 4)(a)", (2, 3)),
    "LSTMCell": ("m.nn.LSTMCell(3, 4)(a)[1]", (2, 3)),
    "GRUCell": ("m.nn.GRUCell(3, 4)(a)", (2, 3)),
}


def computed(library, functional, name: str, dtype: str):
    text, *shapes = EXPRESSIONS[name]
    values = {key: library.ones(shape) for key, shape in zip("abc", shapes, strict=False)}
    with library.autocast("cpu", dtype=getattr(library, dtype)):
        return eval(text, {"m": library, "F": functional, **values}).dtype


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_dtypes_are_those_of_torch(name, dtype):
    assert str(computed(hx, F, name, dtype)).split(".")[1] == str(computed(torch, TF, name, dtype)).split(".")[1]


def test_modes_nest_and_end():
    a = hx.ones(2, 2)
    with hx.autocast("cpu"):
        assert hx.is_autocast_enabled() and hx.get_autocast_dtype() is hx.bfloat16
        with hx.autocast("cpu", enabled=False):
            assert (a @ a).dtype is hx.float32
        with hx.autocast("cpu", hx.float16):
            assert (a @ a).dtype is hx.float16
        assert (a @ a).dtype is hx.bfloat16
        with hx.autocast("other"):
            assert (a @ a).dtype is hx.bfloat16
    assert not hx.is_autocast_enabled() and (a @ a).dtype is hx.float32

    @hx.autocast("cpu")
    def product(x):
        return x @ x

    assert product(a).dtype is hx.bfloat16
    with pytest.raises(TypeError, match="HX1101 autocast"):
        hx.autocast("cpu", hx.float32)


def test_weights_and_their_gradients_stay_float32():
    layer, x = nn.Linear(4, 3), hx.randn(5, 4)
    with hx.autocast("cpu"):
        y = layer(x)
        y.sum().backward()  # also inside: gradients are not cast again
    assert y.dtype is hx.bfloat16 and layer.weight.dtype is layer.weight.grad.dtype is hx.float32
    expected = x.to(hx.bfloat16).to(hx.float32).sum(0)
    assert (layer.weight.grad - expected).abs().max().item() <= 0.05


# ---- parameters that were cast are kept ----


def casts_in(run) -> int:
    with hx.profiler.profile() as found:
        run()
    return sum(event.op == "cast" for event in found.kernels)


@pytest.mark.parametrize("mode", [hx.enable_grad, hx.no_grad, hx.inference_mode])
def test_a_parameter_is_cast_twice_at_most_in_a_region(mode):
    layer, x = nn.Linear(8, 8), hx.randn(2, 8).to(hx.bfloat16)

    def together():
        with hx.autocast("cpu"):
            for _ in range(4):
                layer(x)

    def apart(**options):
        for _ in range(4):
            with hx.autocast("cpu", **options):
                layer(x)

    with mode():
        assert casts_in(together) == 4 and casts_in(apart) == 8
        with hx.autocast("cpu"):
            assert casts_in(apart) == 4  # the outermost region
        with hx.autocast("cpu", cache_enabled=False):
            assert casts_in(together) == 8
        assert casts_in(lambda: apart(cache_enabled=False)) == 8


def test_kept_casts_change_no_bit():
    def all_of(cache_enabled):
        hx.manual_seed(0)
        layer, x = nn.Linear(16, 16), hx.randn(4, 16)
        with hx.autocast("cpu", cache_enabled=cache_enabled):
            with hx.no_grad():
                first = layer(layer(x))
            y = layer(layer(x))
            y.sum().backward()
            layer(x).sum().backward()  # the graph of the first pass is gone
        return [t.detach().float().tolist() for t in (first, y, layer.weight.grad, layer.bias.grad)]

    assert all_of(True) == all_of(False)


VIEWS = [lambda p: p, lambda p: p.detach(), lambda p: p.data, lambda p: p.view(-1), lambda p: p[:], lambda p: p[:, :4]]


@pytest.mark.parametrize("view", VIEWS)
def test_a_parameter_that_was_written_in_inference_mode_is_cast_again(view):
    weight, x = nn.Parameter(hx.ones(4, 4)), hx.ones(1, 4)
    double = hx.compile(lambda: view(weight).mul_(2))
    with hx.autocast("cpu"):
        assert (x @ weight).tolist() == (x @ weight).tolist() == [[4.0] * 4]
        with hx.inference_mode():
            view(weight).mul_(2)
        assert (x @ weight).tolist() == (x @ weight).tolist() == [[8.0] * 4]
        with hx.inference_mode():
            double()
            double()
        assert (x @ weight).tolist() == [[32.0] * 4]


def through_numpy(p):
    p.detach().numpy()[...] *= 2


def through_memory(p):
    memoryview(p.detach()).cast("B").cast("f")[0] = 2.0
    p.detach().numpy()[...] = 2.0


def through_dlpack(p):
    np.from_dlpack(p.detach())[...] *= 2


def held(write):
    """The view is made before the parameter is cast, and written after."""

    def prepare(p):
        array = write(p.detach())
        return lambda _: array.__setitem__(..., array * 2)

    return prepare


WRITES = {
    "numpy": lambda p: through_numpy,
    "memory": lambda p: through_memory,
    "dlpack": lambda p: through_dlpack,
    "held array": held(lambda p: p.numpy()),
    "held capsule": held(np.from_dlpack),
}


@pytest.mark.parametrize("how", WRITES)
@pytest.mark.parametrize("own", [True, False])
def test_a_parameter_that_was_written_from_outside_is_cast_again(how, own):
    weight, x = nn.Parameter(hx.ones(4, 4) if own else hx.from_numpy(np.ones((4, 4), "f"))), hx.ones(1, 4)
    write = WRITES[how](weight)
    with hx.autocast("cpu"):
        for _ in range(3):
            assert (x @ weight).tolist() == [[4.0] * 4]
        write(weight)
        for _ in range(3):
            assert (x @ weight).tolist() == [[8.0] * 4]


def test_an_array_keeps_its_memory_when_its_tensor_takes_another():
    x = hx.ones(1000)
    array = x.numpy()
    x.set_(hx.zeros(1000))
    others = [hx.full((1000,), 7.0) for _ in range(4)]
    assert array.tolist() == [1.0] * 1000 and len(others) == 4


def test_views_that_inference_mode_made_of_other_tensors_are_as_these():
    x = hx.ones(2, 2, requires_grad=True)
    y = x.exp()
    loss = (y * y).sum()
    with hx.inference_mode():
        rows, apart = y.select(0, 0), y.detach()
        apart.mul_(2)
        assert not rows.is_inference() and not apart.is_inference() and y.clone().is_inference()
    with pytest.raises(hx.errors.GradientError, match="in place"):
        loss.backward()


def test_a_parameter_that_was_written_is_cast_again():
    layer, x = nn.Linear(4, 4, bias=False), hx.ones(1, 4)
    optimizer = hx.optim.SGD(layer.parameters(), 1.0)
    with hx.no_grad():
        layer.weight.fill_(1)
    with hx.autocast("cpu"):
        layer(x).sum().backward()
        assert layer(x).tolist() == layer(x).tolist() == [[4.0] * 4]
        optimizer.step()
        assert layer(x).tolist() == layer(x).tolist() == [[0.0] * 4]
        with hx.inference_mode():
            layer.weight.fill_(2)
            assert layer(x).tolist() == layer(x).tolist() == [[8.0] * 4]
        layer.weight.data.fill_(3)
        assert layer(x).tolist() == [[12.0] * 4]


def test_memory_of_kept_casts_is_given_back():
    layer, x = nn.Linear(256, 256, bias=False), hx.ones(1, 256)
    before = hx.memory_stats()["live_bytes"]
    with hx.autocast("cpu"):
        with hx.autocast("cpu"):
            layer(x)
            layer(x)
        assert hx.memory_stats()["live_bytes"] - before >= 256 * 256 * 2
    assert hx.memory_stats()["live_bytes"] - before < 256


def test_a_region_that_ends_on_another_thread_changes_none_there():
    layer, x, found = nn.Linear(64, 64, bias=False), hx.ones(1, 64), []

    def end(region):
        region.__exit__()
        before = hx.memory_stats()["live_bytes"]
        with hx.autocast("cpu"):
            layer(x)
            layer(x)
            found.append(hx.memory_stats()["live_bytes"] - before)
        found.append(hx.memory_stats()["live_bytes"] - before)

    with hx.autocast("cpu") as region:
        region.__enter__()
        thread = threading.Thread(target=end, args=(region,))
        thread.start()
        thread.join()
    hx._core.autocast_region(False)  # the one that ended elsewhere
    assert found[1] < 64 * 64 * 2 <= found[0]


# ---- the scaler --------------------------------------------------------------------------------------------

# What the gradient is in each step.
STORIES = [
    [1.0] * 7,
    [1.0, math.inf, 1.0, 1.0, 1.0, 1.0],
    [math.nan, math.inf, math.nan],
    [1.0, 1.0, math.inf, 1.0, 1.0, 1.0, math.nan, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
]


def story_of(library, make_scaler, make_optimizer, gradients):
    """Scale, growth tracker and weight after each step."""
    weight = library.ones(3, requires_grad=True)
    optimizer, scaler = make_optimizer([weight]), make_scaler()
    seen = []
    for gradient in gradients:
        scaler.scale(library.ones(1))
        weight.grad = library.full((3,), gradient * scaler.get_scale())
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        seen.append((scaler.get_scale(), scaler.state_dict()["_growth_tracker"], weight.tolist()))
    return seen


@pytest.mark.parametrize("gradients", STORIES)
def test_scaler_is_the_state_machine_of_torch(gradients):
    options = {"init_scale": 1024.0, "growth_interval": 3, "growth_factor": 4.0, "backoff_factor": 0.25}
    mine = story_of(hx, lambda: hx.amp.GradScaler("cpu", **options), lambda p: hx.optim.SGD(p, 0.125), gradients)
    theirs = story_of(
        torch, lambda: torch.amp.GradScaler("cpu", **options), lambda p: torch.optim.SGD(p, 0.125), gradients
    )
    assert mine == theirs


def test_a_bad_gradient_leaves_every_bit_of_the_weights():
    model = nn.Linear(4, 3)
    optimizer, scaler = hx.optim.AdamW(model.named_parameters(), 0.1), hx.amp.GradScaler()
    scaler.scale(model(hx.ones(2, 4)).sum()).backward()
    model.bias.grad = hx.tensor([0.0, math.inf, 0.0])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert scaler.step(optimizer) is None and scaler.found_inf(optimizer)
    scaler.update()
    assert all((model.state_dict()[name] == value).all().item() for name, value in before.items())
    assert optimizer.state == {} and scaler.get_scale() == 2.0**15


def test_a_tiny_gradient_survives_by_scaling():
    weight = hx.ones(1, requires_grad=True)
    small = hx.tensor([2.0**-14])

    def gradient(scale: float) -> float:
        half = weight.to(hx.float16)  # its gradient is float16 on the way
        loss = (half * small.to(hx.float16) * hx.tensor([2.0**-12], dtype=hx.float16)).to(hx.float32).sum()
        (found,) = hx.autograd.grad(loss * scale, weight)
        return found.item() / scale

    assert gradient(1.0) == 0.0 and gradient(2.0**12) == 2.0**-26


@pytest.mark.parametrize(
    "misuse",
    [lambda s, o: (s.unscale_(o), s.unscale_(o)), lambda s, o: (s.step(o), s.step(o)), lambda s, o: s.update()],
)
def test_misuse_is_refused(misuse):
    weight = hx.ones(1, requires_grad=True)
    weight.grad = hx.ones(1)
    with pytest.raises(RuntimeError, match="GradScaler"):
        misuse(hx.amp.GradScaler(), hx.optim.SGD([weight], 0.1))


def test_state_and_switch():
    scaler = hx.amp.GradScaler(init_scale=8.0)
    other = hx.amp.GradScaler()
    other.load_state_dict(scaler.state_dict())
    assert other.get_scale() == 8.0 and other.state_dict() == scaler.state_dict()
    off = hx.amp.GradScaler(enabled=False)
    x = hx.ones(2)
    assert off.scale(x) is x and off.state_dict() == {} and off.get_scale() == 1.0
    assert scaler.scale([x, (x,)])[1][0].tolist() == [8.0, 8.0]


@pytest.mark.parametrize(("dtype", "scaled"), [("float16", True), ("bfloat16", False)])
def test_training_comes_out_like_float32(dtype, scaled):
    def final_loss(mixed: bool) -> float:
        hx.manual_seed(1)
        model = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 1))
        x = hx.randn(128, 8)
        y = (x[:, :1] * x[:, 1:2]).tanh()
        optimizer = hx.optim.AdamW(model.named_parameters(), 1e-2)
        scaler = hx.amp.GradScaler(enabled=mixed and scaled)
        for _ in range(150):
            with hx.autocast("cpu", getattr(hx, dtype), enabled=mixed):
                loss = F.mse_loss(model(x), y)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        return F.mse_loss(model(x), y).item()

    plain = final_loss(False)
    assert plain < 0.01 and abs(final_loss(True) - plain) < (0.02 if scaled else 0.3) * 0.1


def test_other_devices_have_the_other_list():
    """On the simulated device: exponentials, norms and sums in float32, which the CPU's list leaves as they are."""
    layer, x = nn.Linear(4, 4).to("sim:0"), hx.randn(3, 4).to("sim:0")
    optimizer, scaler = hx.optim.SGD(layer.named_parameters(), 0.1), hx.amp.GradScaler("sim")
    with hx.autocast("sim"):
        y = layer(x)
        assert [t.dtype for t in (y, y.exp(), hx.softmax(y, -1), y.sum(), y.relu())] == [
            hx.float16, hx.float32, hx.float32, hx.float32, hx.float16,
        ]  # fmt: skip
    with hx.autocast("cpu"):
        assert layer(x).dtype is hx.float32
    scaler.scale(layer(x).mean()).backward()
    before = layer.bias.tolist()
    scaler.step(optimizer)
    assert layer.bias.tolist() == pytest.approx([b - 0.1 / 4 for b in before])


@pytest.mark.parametrize("dynamic", [False, True], ids=["", "dynamic"])
@pytest.mark.parametrize("inside", [False, True], ids=["loss", "loss and backward"])
def test_a_compiled_function_takes_the_scale_as_it_is(inside: bool, dynamic: bool) -> None:
    spec = (hx.graph.Spec((hx.graph.Dim("B"), 4)),) if dynamic else None

    def weights(wrap: Callable) -> list[float]:
        hx.manual_seed(0)
        model = nn.Linear(4, 1)
        optimizer = hx.optim.SGD(model.parameters(), lr=0.1)
        scaler = hx.amp.GradScaler(init_scale=2.0**20, growth_interval=2)

        def loss(x: hx.Tensor) -> hx.Tensor:
            with hx.autocast("cpu", hx.float16):
                found = scaler.scale(model(x).pow(2).mean())
            if inside:
                found.backward()
            return found.detach() if inside else found

        run, x, seen = wrap(loss), hx.randn(8, 4), []
        for _ in range(10):
            optimizer.zero_grad()
            found = run(x)
            if not inside:
                found.backward()
            scaler.step(optimizer)
            scaler.update()
            seen.append(model.weight.sum().item())
        assert scaler.get_scale() != 2.0**20
        return seen

    assert weights(hx.compile(fallback="error", dynamic=spec)) == weights(lambda f: f)


def test_a_scaler_steps_outside_of_what_is_compiled() -> None:
    model, scaler = nn.Linear(2, 1), hx.amp.GradScaler()
    optimizer = hx.optim.SGD(model.parameters(), lr=0.1)

    def step(x: hx.Tensor) -> None:
        scaler.scale(model(x).sum()).backward()
        scaler.step(optimizer)

    with pytest.raises(
        hx.errors.TraceError, match=r"GradScaler.step looks at values.*after the compiled function.*test_amp.py"
    ):
        hx.compile(step, fallback="error")(hx.ones(1, 2))
