"""Sorting of long lines, medians, searches and masks on a device, against the CPU; nothing goes to the host."""

import pytest

import helix


@pytest.fixture(autouse=True)
def no_fallback():
    before = helix.set_fallback("error")
    yield
    helix.set_fallback(before)


def both(call, *values):
    """The results on the CPU and on the device."""
    here, there = call(*values), call(*(v.to("sim") for v in values))
    pairs = [(here, there)] if isinstance(here, helix.Tensor) else list(zip(here, there))
    assert all(str(t.device) == "sim:0" for _, t in pairs)
    return [(a, b.to("cpu")) for a, b in pairs]


def same(call, *values):
    for here, there in both(call, *values):
        assert here.dtype == there.dtype and here.numpy().tobytes() == there.numpy().tobytes()


def numbers(*shape):
    """Many equal ones, some NaN and infinite."""
    helix.manual_seed(3)
    x = (helix.rand(*shape) * 50).floor()
    x[x == 7] = helix.nan
    x[x == 9] = -helix.inf
    return x


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("n", [256, 257, 1000, 4097])
def test_lines_of_any_length_are_sorted_as_on_the_cpu(n, descending):
    same(lambda x: helix.sort(x, descending=descending, stable=True), numbers(3, n))


def test_lines_along_another_axis_with_gaps():
    same(lambda x: helix.sort(x.transpose(0, 2)[::2], dim=1, stable=True), numbers(3, 300, 4))


@pytest.mark.parametrize("dtype", [helix.int64, helix.uint8, helix.float16])
def test_every_kind_of_number_is_sorted(dtype):
    same(lambda x: helix.sort(x, stable=True), (helix.arange(600) * 7919 % 251).to(dtype))


@pytest.mark.parametrize("n", [1, 2, 5, 300])
def test_medians(n):
    same(lambda x: helix.median(x, dim=-1), helix.nan_to_num(numbers(4, n)))
    same(lambda x: helix.median(x, dim=0, keepdim=True), numbers(n, 4))


@pytest.mark.parametrize("right", [False, True])
def test_searches(right):
    line, x = helix.sort(numbers(2, 40))[0], numbers(2, 9)
    same(lambda a, b: helix.searchsorted(a, b, right=right), line, x)
    same(lambda a, b: helix.searchsorted(a, b, right=right, out_int32=True), line[0], x)


@pytest.mark.parametrize("shape", [(5,), (300,), (7, 41, 11), (70000,)])
def test_positions_of_a_mask(shape):
    x = numbers(*shape)
    same(lambda x: (x > 20).argwhere(), x)
    same(lambda x: x[x > 20], x)
    same(lambda x: x.masked_scatter(x > 20, helix.arange(x.numel(), dtype=x.dtype, device=x.device)), x)
    same(lambda x: x[x > 100], x)


def test_a_mask_of_some_axes():
    x, mask = numbers(4, 5, 6), numbers(5) > 20
    same(lambda x, m: x[:, m], x, mask)
    same(lambda x, m: x.transpose(0, 1)[m], x, mask)


@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("dtype", [helix.float32, helix.int64])
def test_scatter_reduce(reduce, include_self, dtype):
    x, src = (helix.arange(12).reshape(4, 3) + 1).to(dtype), (helix.arange(15).reshape(5, 3) - 4).to(dtype)
    index = helix.tensor([[0, 1, 3], [0, 1, 3], [1, 1, 0], [0, 0, 3], [1, -1, 3]])
    same(lambda x, i, s: x.scatter_reduce(0, i, s, reduce, include_self=include_self), x, index, src)


@pytest.mark.parametrize("name", ["erfinv", "digamma", "trigamma", "lgamma"])
@pytest.mark.parametrize("dtype", [helix.float32, helix.float64])
def test_special_functions(name, dtype):
    x = helix.linspace(-0.999, 0.999, 101, dtype=dtype)
    ends = helix.tensor([1.0, -1.0, 0.0, -0.0, 2.0, helix.nan, helix.inf, -3.0, 1e-4, 37.5], dtype=dtype)
    function = helix._core.op_named(name)
    for here, there in both(function, helix.cat([x, ends])):
        near = (here - there).abs() <= (2e-5 if dtype == helix.float32 else 1e-11) * here.abs().clamp(min=1e-3)
        equal = (here == there) | (here.isnan() & there.isnan())
        assert (near | equal).all(), (here[~(near | equal)], there[~(near | equal)])
