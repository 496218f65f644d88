"""The language itself: what the verifier refuses, that text is stable, and that groups with barriers work in C."""

import numpy as np
import pytest

import helix
import helix.kernel.templates
from helix.kernel import Builder, KernelError, UnsupportedError, renderers, source_of
from helix.kernel.plan import Derived, Number, Random

from .machine import compiled, run


def tree_sum(group=64):
    k = Builder("tree_sum", group=(group, 1, 1))
    x, y, n = k.buffer("x", "f16"), k.buffer("y", "f32", written=True), k.scalar("n")
    part, item = k.shared("part", "f32", group), k.local_id()
    total = k.variable(0.0, "f32")
    with k.items(n) as i:
        total.set(total.get() + x[i])
    part[item] = total.get()
    k.barrier()
    with k.range(0, group.bit_length() - 1) as level:
        reach = k.const(group // 2, "i32") >> level
        with k.when(item < reach):
            part[item] = part[item] + part[item + reach]
        k.barrier()
    with k.when(item == 0):
        y[k.group_id()] = part[0]
    return k.finish()


def test_a_loop_around_barriers_runs_once_a_group():
    x, y = np.arange(1000, dtype=np.float16) % 7, np.zeros(3, np.float32)
    pointers = np.array([x.ctypes.data, y.ctypes.data], np.uint64)
    scalars, grid = np.array([1000], np.uint64), np.array([3, 1, 1], np.uint32)
    text = source_of(tree_sum(), renderers["c"])
    compiled(text, "helix_tree_sum")(pointers.ctypes.data, scalars.ctypes.data, grid.ctypes.data, 0, 3)
    assert y.sum() == x.astype(np.float64).sum()
    assert (y > 0).all()


@pytest.mark.parametrize("kind", sorted(renderers))
def test_text_is_the_same_for_equal_kernels(kind):
    first, second = tree_sum(), tree_sum()
    assert first.text() == second.text() and first == second
    assert source_of(first, renderers[kind]) == source_of(second, renderers[kind])
    assert "helix_tree_sum" in source_of(first, renderers[kind])


def broken(name):
    k = Builder(name)
    x, n = k.buffer("x", "f32"), k.scalar("n")
    if name == "types":
        k.emit("add", "f32", x[0], n)
    elif name == "unwritten":
        x[0] = 1.0
    elif name == "barrier":
        with k.when(k.local_id() == 0):
            k.barrier()
    elif name == "scope":
        with k.range(0, n) as i:
            inside = i + 1
        x[inside]
    elif name == "open":
        k.emit("if", "", n == 1)
    elif name == "break":
        k.leave_if(n == 1)
    return k


@pytest.mark.parametrize(
    "name, part",
    [("types", "the types f32, i32"), ("unwritten", "not declared as written"), ("barrier", "not all items of a group"),
     ("scope", "not defined here"), ("open", "not closed"), ("break", "stands in no loop")],
)  # fmt: skip
def test_the_verifier_names_the_fault(name, part):
    with pytest.raises(KernelError, match=part):
        broken(name).finish()


def test_a_value_has_no_truth():
    k = Builder("truth")
    with pytest.raises(KernelError, match="k.when"):
        bool(k.scalar("n") == 1)


@pytest.mark.parametrize("kind", ["msl", "wgsl"])
def test_what_a_target_lacks_is_said(kind):
    k = Builder("doubles")
    y = k.buffer("y", "f64", written=True)
    y[0] = 1.0
    with pytest.raises(UnsupportedError, match=kind):
        source_of(k.finish(), renderers[kind])


def test_polynomials_are_as_good_as_a_library():
    """What targets without a library compute, run as C against float64."""
    import math

    from helix.kernel.polynomials import EXPANSIONS

    near = np.concatenate([np.linspace(-9, 9, 4001), 2.0 ** np.arange(-100, 3)]).astype(np.float32)
    far = np.random.default_rng(5).integers(0x45000000, 0x7F800000, 4000, np.uint32).view(np.float32)
    angles = np.concatenate([near, far, -far, np.float32([8191.9995, 8192, 16367173 * 2.0**72, 3.4028235e38])])
    with np.errstate(all="ignore"):
        for name in ("exp", "log", "log1p", "expm1", "sin", "cos", "tanh", "erf", "atan", "asinh"):
            x = angles if name in ("sin", "cos") else near
            k = Builder(name)
            source, y, n = k.buffer("x", "f32"), k.buffer("y", "f32", written=True), k.scalar("n")
            with k.items(n) as i:
                y[i] = EXPANSIONS[name](source[i])
            out = np.zeros_like(x)
            pointers = np.array([x.ctypes.data, out.ctypes.data], np.uint64)
            scalars, grid = np.array([x.size], np.uint64), np.array([1, 1, 1], np.uint32)
            compiled(source_of(k.finish(), renderers["c"]), f"helix_{name}")(
                pointers.ctypes.data, scalars.ctypes.data, grid.ctypes.data, 0, 1
            )
            wide = x.astype(np.float64)
            truth = (
                np.vectorize(math.erf)(wide)
                if name == "erf"
                else getattr(np, {"atan": "arctan", "asinh": "arcsinh"}.get(name, name))(wide)
            )
            good = np.isfinite(truth)
            error = np.abs(out[good] - truth[good]) / np.maximum(
                np.spacing(np.abs(truth[good]).astype(np.float32)), 1e-45
            )
            assert error.max() < 9 or np.abs(out[good] - truth[good]).max() < 4e-7, name


def words(seed, stream):
    return [seed & 0xFFFFFFFF, seed >> 32, stream & 0xFFFFFFFF, stream >> 32]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("op", ["rand", "randn"])
@pytest.mark.parametrize("shape", [(1,), (7,), (33, 5), (1000,)])
def test_random_numbers_have_the_bits_of_the_cpu(op, shape, dtype):

    out = np.zeros(shape, dtype)
    attributes = {"size": shape, "generator": Random(1, 0)}
    seed = 0x123456789ABCDEF
    helix.manual_seed(seed)
    expected = getattr(helix, op)(*shape, dtype=getattr(helix, dtype)).numpy()
    run(op, [], [out], attributes, {1: words(seed, 0)})
    assert out.tobytes() == expected.tobytes()


def test_numbers_that_are_not_in_the_key_are_read_at_each_run():
    first, second = np.zeros(3, np.float32), np.zeros(3, np.float32)
    for out, value in ((first, 2.5), (second, -1.0)):
        run("full", [], [out], {"fill_value": Number(0)}, {0: value})
    assert first.tolist() == [2.5] * 3 and second.tolist() == [-1.0] * 3
    assert Derived((Number(0), Number(1)), lambda a, b: a - b).function(3, 1) == 2
