"""Kernels of users, on a device that compiles C and wherever else something compiles; and what is refused."""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import helix
from helix.errors import (
    ArgumentError,
    CompileError,
    DeviceError,
    DTypeError,
    GradientError,
    ParameterError,
    UnsupportedOpError,
)
from helix.kernel import raw, source_of
from helix.kernel.ir import UnsupportedError
from helix.kernel.plan import Call, Target, Tensor
from helix.kernel.renderers import renderers

PARAMETERS = {"x": "in float32", "y": "out float32", "n": "int32", "factor": "float32"}


def scaled(k, x, y, n, factor):
    with k.items(n) as i:
        y[i] = x[i] * factor


BODIES = {
    "c": "int i = group_id0 * 64 + local_id0; if (i < n) y[i] = x[i] * factor;",
    "opencl-c": "int i = get_global_id(0); if (i < n) y[i] = x[i] * factor;",
    "cuda-c": "int i = blockIdx.x * 64 + threadIdx.x; if (i < n) y[i] = x[i] * factor;",
    "msl": "int i = group_id.x * 64 + local_id.x; if (i < n) y[i] = x[i] * factor;",
    "wgsl": "let i = i32(group_id.x * 64u + local_id.x); if (i < n) { (*y)[y_at + i] = (*x)[x_at + i] * factor; }",
}
SCALE = {"text": raw("scale", BODIES, PARAMETERS), "hxir": raw("scale_ir", {"hxir": scaled}, PARAMETERS)}


@pytest.fixture(scope="module", params=["text", "hxir"])
def scale(request):
    return SCALE[request.param]


def test_tensors_begin_at_their_own_first_element(scale):
    x = helix.arange(300, dtype=helix.float32).to("sim")
    assert scale(x[7:207], 200, 0.5).tolist() == [0.5 * v for v in range(7, 207)]
    turned = x.reshape(20, 15).t()
    assert scale(turned, 300, 2.0).flatten().tolist() == (2 * turned.to("cpu")).flatten().tolist()


def test_results_go_where_they_are_told(scale):
    x, y = helix.ones(8, device="sim"), helix.zeros(10, device="sim")
    version = y._version
    part = y[2:]
    assert scale(x, n=8, factor=3, y=part) is part
    assert y.tolist() == [0, 0] + [3] * 8 and y._version > version
    assert scale(x, n=8, factor=3, y=(2, 2, 2)).shape == (2, 2, 2)
    assert scale(helix.ones(0, device="sim"), n=0, factor=1).shape == (0,)


def test_an_item_for_each_element_or_the_grid_that_is_given():
    count = raw("count", {"c": "y[group_id0] = (int)grid[0];"}, {"y": "out int32"}, group=1)
    assert count(y=helix.zeros(5, dtype=helix.int32, device="sim")).tolist() == [5] * 5
    assert count(y=helix.zeros(5, dtype=helix.int32, device="sim"), grid=3).tolist() == [3, 3, 3, 0, 0]


def test_changed_in_place_several_results_and_every_kind_of_number():
    swap = raw(
        "swap_add",
        {"c": "a[local_id0] += small; b[local_id0] = big + (unsigned)fine; c[local_id0] = (float)fine;"},
        {
            "a": "inout int64",
            "b": "out uint64",
            "c": "out float64",
            "small": "int64",
            "big": "uint64",
            "fine": "float64",
        },
        group=4,
    )
    a = helix.arange(4).to("sim")
    b, c = swap(a, -5, 2**63, 1.5)
    assert a.tolist() == [-5, -4, -3, -2] and b.tolist() == [2**63 + 1] * 4 and c.tolist() == [1.5] * 4


def test_functions_before_the_kernel_and_half_floats_by_their_bits():
    flip = raw("flip", {"c": ("static int twice(int x) { return 2 * x; }\n", "y[local_id0] = x[local_id0] ^ (0x4000 * twice(1));")},
               {"x": "in float16", "y": "out float16"}, group=3)  # fmt: skip
    x = helix.tensor([1.0, -2.0, 0.5], dtype=helix.float16)
    assert flip(x.to("sim")).tolist() == [-1.0, 2.0, -0.5]


class Scaled(helix.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return SCALE["text"](x, x.numel(), factor)

    @staticmethod
    def backward(ctx, gradient):
        return SCALE["text"](gradient, gradient.numel(), ctx.factor), None


def test_a_function_gives_it_a_gradient():
    x = helix.ones(5, device="sim", requires_grad=True)
    (Scaled.apply(x, 3.0) * x).sum().backward()
    assert x.grad.tolist() == [6.0] * 5
    with pytest.raises(GradientError, match="HX1503 scale: x requires grad"):
        SCALE["text"](x, 5, 3.0)


def test_a_fallback_serves_devices_that_compile_nothing():
    here = raw("scale", BODIES, PARAMETERS, fallback=lambda x, n, factor: x * factor)
    assert here(helix.ones(3), 3, 2.0, grid=1).tolist() == [2.0] * 3
    with pytest.raises(UnsupportedOpError, match="HX1701 scale: cpu takes no sources"):
        SCALE["text"](helix.ones(3), 3, 2.0)
    with pytest.raises(UnsupportedOpError, match="HX1701 far: sim:0 takes 'c'; there are sources for msl"):
        raw("far", {"msl": ""}, PARAMETERS)(helix.ones(3, device="sim"), 3, 2.0)


X = "helix.ones(4, device='sim')"


@pytest.mark.parametrize(
    "error, text, call",
    [
        (ArgumentError, "HX1103 scale: missing a required argument: 'factor'", f"scale({X}, 4)"),
        (ArgumentError, "HX1103 scale: got an unexpected keyword argument 'z'", f"scale({X}, 4, 1, z=1)"),
        (ArgumentError, "HX1103 scale: at least one argument must be a tensor", "scale(3, 4, 1)"),
        (ArgumentError, "HX1103 scale: n must be an int, got float", f"scale({X}, 4.5, 1)"),
        (ArgumentError, "HX1103 scale: factor must be a number, got str", f"scale({X}, 4, 'x')"),
        (ParameterError, "HX1403 scale: n must fit in int32, got 2147483648", f"scale({X}, 2**31, 1)"),
        (ParameterError, "HX1403 scale: grid must be up to 3 sizes", f"scale({X}, 4, 1, grid=-1)"),
        (DTypeError, "HX1101 scale: x must be float32, got int64", "scale(helix.arange(4, device='sim'), 4, 1)"),
        (DeviceError, "HX1201 scale: y lives on cpu", f"scale({X}, 4, 1, y=helix.ones(4))"),
        (ParameterError, "HX1006 scale: y is written and must be contiguous", f"scale({X}, 4, 1, y=helix.ones(4, 2, device='sim')[:, 0])"),
        (ParameterError, "HX1006 scale: the written tensor .* shares memory", "(lambda x: scale(x, 4, 1, y=x))(" + X + ")"),
        (CompileError, "HX5006 bad: .*undeclared", f"raw('bad', {{'c': 'y[0] = nothing;'}}, PARAMETERS)({X}, 4, 1)"),
        (ArgumentError, "HX1103 bad: x is declared 'read float32'", "raw('bad', {}, {'x': 'read float32'})"),
        (ArgumentError, "HX1103 bad: no parameter is 'out'", "raw('bad', {}, {'x': 'in float32'})"),
        (ArgumentError, "HX1103 bad: 'x_at' cannot name", "raw('bad', {}, {'x_at': 'out float32'})"),
        (ArgumentError, "HX1103 raw: the name 'no name'", "raw('no name', {}, {})"),
    ],
)  # fmt: skip
def test_what_is_refused_before_anything_runs(error, text, call):
    with pytest.raises(error, match="(?s)" + text):
        eval(call, globals() | {"scale": SCALE["text"]})


def view(dtype, reference):
    return Tensor(dtype, (4,), (1,), reference)


@pytest.mark.parametrize("kind", BODIES)
def test_the_head_of_each_language(kind):
    call = Call("scale", (view("f32", ("in", 0)),), (view("f32", ("out", 0)),), {"grid": (1, 1, 1)})
    kernel = SCALE["text"]._plan(call, Target(kind)).launches[0].kernel
    text = source_of(kernel, renderers[kind])
    assert BODIES[kind] in text and "helix_scale(" in text
    assert ("let x = &x_block;" if kind == "wgsl" else "float *x = x_block + x_at;") in text


def test_one_block_is_bound_once_where_a_target_asks_for_it():
    from helix.kernel.passes import merge_buffers

    call = Call("scale", (view("f32", ("in", 0)),), (view("f32", ("out", 0)),), {"grid": (1, 1, 1)})
    kernel = SCALE["text"]._plan(call, Target("wgsl")).launches[0].kernel
    text = source_of(merge_buffers(kernel, (0, 0)), renderers["wgsl"])
    assert "let x = &x_block;" in text and "let y = &x_block;" in text and "y_block" not in text
    mixed = raw("mixed", {"wgsl": ""}, {"x": "in float32", "y": "out int32"})
    call = Call("mixed", (view("f32", ("in", 0)),), (view("i32", ("out", 0)),), {"grid": (1, 1, 1)})
    with pytest.raises(UnsupportedError, match="differ in dtype"):
        merge_buffers(mixed._plan(call, Target("wgsl")).launches[0].kernel, (0, 0))


def examples():
    """The blocks of docs/devices.md that show kernels of one's own."""
    path = Path(__file__).parents[2] / "docs" / "devices.md"
    return [b for b in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL) if "kernel.raw" in b]


def opencl():
    """An OpenCL device, or a skip."""
    pytest.importorskip("pyopencl")
    platforms = pytest.importorskip("helix.backends.opencl.platforms")
    if not platforms.working()[0]:
        pytest.skip("no OpenCL driver")
    from helix.backends import opencl, register
    from helix.backends.discovery import installed

    if not any(found.name == "opencl" for found in installed()):
        with suppress(helix.errors.ParameterError):  # another test has done so
            register("opencl", opencl.backend)


@pytest.mark.parametrize("device", ["cpu", "sim", "opencl"])
def test_the_documented_example(device):
    if device == "opencl":
        opencl()
    (text,) = examples()
    names = {"helix": helix}
    exec(text, names)
    x = helix.linspace(-3, 3, 301)
    there = x.clone().to(device).requires_grad_()
    y = names["softsign"](there)
    y.sum().backward()
    np.testing.assert_allclose(y.tolist(), (x / (1 + x.abs())).tolist(), rtol=1e-6)
    np.testing.assert_allclose(there.grad.tolist(), (1 / (1 + x.abs()) ** 2).tolist(), rtol=1e-6)
