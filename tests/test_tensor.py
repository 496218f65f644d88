"""The Tensor object: making, looking at, converting and copying."""

import copy
import gc
import pickle
import weakref

import pytest

import helix
from helix.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    IndexRangeError,
    ParameterError,
    ShapeError,
    SizeOverflowError,
)


def test_tensor_infers_dtypes():
    assert helix.tensor([1.0, 2]).dtype is helix.float32
    assert helix.tensor([1, 2]).dtype is helix.int64
    assert helix.tensor([True, False]).dtype is helix.bool
    assert helix.tensor([1, 2j]).dtype is helix.complex64
    assert helix.tensor([]).dtype is helix.float32
    assert helix.tensor([1, 2.5]).tolist() == [1.0, 2.5]
    assert helix.tensor(3).shape == ()


@pytest.mark.parametrize("name", helix.dtypes.NAMES)
def test_every_dtype_holds_values(name):
    dtype = getattr(helix, name)
    x = helix.tensor([[1, 0], [1, 1]], dtype=dtype)
    assert x.dtype is dtype and x.tolist() == [[1, 0], [1, 1]]
    assert x.itemsize == dtype.itemsize and x.nbytes == 4 * dtype.itemsize


def test_nested_lists():
    x = helix.tensor([[[1], [2]], [[3], [4]], [[5], [6]]])
    assert x.shape == (3, 2, 1) and x.tolist() == [[[1], [2]], [[3], [4]], [[5], [6]]]
    assert helix.tensor([[], []]).shape == (2, 0)
    assert helix.tensor([helix.tensor([1, 2]), helix.tensor([3, 4])]).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ShapeError, match="ragged"):
        helix.tensor([[1, 2], [3]])
    with pytest.raises(ShapeError, match="ragged"):
        helix.tensor([1, [2]])
    with pytest.raises(ArgumentError):
        helix.tensor(["a"])
    deep = 1
    for _ in range(20):
        deep = [deep]
    with pytest.raises(ShapeError):
        helix.tensor(deep)


def test_numbers_must_fit():
    with pytest.raises(SizeOverflowError):
        helix.tensor([300], dtype=helix.uint8)
    with pytest.raises(SizeOverflowError):
        helix.tensor([-1], dtype=helix.uint64)
    assert helix.tensor([2**64 - 1], dtype=helix.uint64).tolist() == [2**64 - 1]
    with pytest.raises(SizeOverflowError):
        helix.tensor([2**63])
    with pytest.raises(DTypeError):
        helix.tensor([1j], dtype=helix.float32)
    with pytest.raises(ParameterError):
        helix.tensor([float("nan")], dtype=helix.int32)


def test_facts():
    x = helix.zeros(2, 3)
    assert (x.ndim, x.dim(), x.numel(), x.size(), x.size(-1), x.stride(), x.stride(0)) == (
        2,
        2,
        6,
        (2, 3),
        3,
        (3, 1),
        3,
    )
    assert x.is_contiguous() and not x.T.is_contiguous()
    assert x.device == "cpu" and str(x.device) == "cpu" and x.element_size() == 4
    assert x.T.shape == (3, 2) and x.mT.stride() == (1, 3) and x[1:].storage_offset() == 3
    with pytest.raises(IndexRangeError):
        x.size(2)
    assert len(x) == 2 and [row.tolist() for row in x] == [[0, 0, 0], [0, 0, 0]]
    with pytest.raises(TypeError):
        len(helix.tensor(1))
    assert x.is_floating_point() and not x.is_complex()


def test_numbers_out():
    assert helix.tensor(2.5).item() == 2.5 and float(helix.tensor([2.5])) == 2.5 and int(helix.tensor(7)) == 7
    assert complex(helix.tensor(1 + 2j)) == 1 + 2j and bool(helix.tensor(0)) is False
    assert [10, 20, 30][helix.tensor(1)] == 20
    with pytest.raises(TypeError):
        [10, 20][helix.tensor(1.0)]
    with pytest.raises(ParameterError):
        helix.zeros(2).item()
    with pytest.raises(ParameterError):
        bool(helix.zeros(2))
    assert f"{helix.tensor(3.14159):.2f}" == "3.14"
    assert 2 in helix.tensor([1, 2]) and 5 not in helix.tensor([1, 2])


def test_identity():
    x = helix.tensor([1.0], requires_grad=True)
    (x * 2).backward()
    assert x.grad is x.grad
    y = helix.ones(3)
    assert y.contiguous() is y and y.add_(1) is y
    assert {x: 1}[x] == 1 and hash(x) != hash(y)


def test_weak_references_and_lifetime():
    x = helix.zeros(10)
    ref = weakref.ref(x)
    view = x[2:]
    del x
    assert ref() is None and view.tolist() == [0.0] * 8
    gc.collect()
    before = helix.memory_stats()["live_tensors"]
    for _ in range(100):
        helix.ones(3) + 1
    gc.collect()
    assert helix.memory_stats()["live_tensors"] == before


def test_subclasses():
    class Weight(helix.Tensor):
        def __new__(cls, data):
            return helix.Tensor._make_subclass(cls, data, True)

    w = Weight(helix.ones(2))
    w.note = "kept"
    assert isinstance(w, helix.Tensor) and w.requires_grad and type(w + 1) is helix.Tensor
    other = copy.deepcopy(w)
    assert type(other) is Weight and other.note == "kept" and other.requires_grad and other.data_ptr() != w.data_ptr()
    assert repr(w).startswith("Weight(")


def test_bare_construction_never_lacks_memory():
    assert helix.Tensor().tolist() == [] and helix.Tensor.__new__(helix.Tensor).shape == (0,)
    assert helix.Tensor([1, 2]).tolist() == [1, 2]

    class Other(helix.Tensor):
        pass

    assert Other.__new__(Other).shape == (0,) and Other([1.0]).tolist() == [1.0]


def test_objects_that_only_helix_makes():
    y = helix.ones(1, requires_grad=True) * 2
    for thing in (helix.float32, helix.add, y.grad_fn, y.register_hook(print)):
        for make in (type(thing), lambda t=type(thing): t.__new__(t), lambda t=type(thing): type("Sub", (t,), {})()):
            with pytest.raises(TypeError):
                make()


def test_copies_and_pickles():
    x = helix.arange(6).view(2, 3).T
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), pickle.loads(pickle.dumps(x, 5))):
        assert y.tolist() == x.tolist() and y.dtype is x.dtype and y.data_ptr() != x.data_ptr()
    w = helix.ones(2, requires_grad=True)
    assert pickle.loads(pickle.dumps(w)).requires_grad
    with pytest.raises(GradientError):
        copy.deepcopy(w * 2)
    with pytest.raises(GradientError):
        pickle.dumps(w * 2)
    shared = [w, w]
    a, b = copy.deepcopy(shared)
    assert a is b
    for thing in (helix.float32, helix.device("cpu"), helix.add, helix.Generator(3)):
        assert type(pickle.loads(pickle.dumps(thing))) is type(thing)
    assert pickle.loads(pickle.dumps(helix.float32)) is helix.float32


def test_to():
    x = helix.tensor([1.7, -1.7])
    assert x.to(helix.int32).tolist() == [1, -1] and x.to("cpu") is x and x.to(x) is x
    assert x.to("cpu", helix.float64).dtype is helix.float64 and x.to(dtype=helix.float16).dtype is helix.float16
    assert x.to(helix.float32, copy=True) is not x
    assert (
        x.double().float().dtype is helix.float32
        and x.long().dtype is helix.int64
        and x.bool().tolist() == [True, True]
    )
    assert (
        x.type() is helix.float32 and x.type(helix.int8).dtype is helix.int8 and x.to("float64").dtype is helix.float64
    )
    with pytest.raises(TypeError):
        x.to(helix.int32, dtype=helix.int32)


def test_repr():
    assert repr(helix.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(helix.tensor([[1, 2]], dtype=helix.int32)) == "tensor([[1, 2]], dtype=int32)"
    assert repr(helix.tensor([1.5], requires_grad=True)) == "tensor([1.5], requires_grad=True)"
    assert repr(helix.tensor([1.0], requires_grad=True) * 2) == "tensor([2.], grad_fn=<MulBackward>)"
    assert repr(helix.tensor(True)) == "tensor(True)" and repr(helix.zeros(0, 3)) == "tensor([], shape=(0, 3))"
    assert "..." in repr(helix.zeros(2000)) and len(repr(helix.zeros(100, 100))) < 1000
    assert repr(helix.tensor([1.5], dtype=helix.bfloat16)) == "tensor([1.5], dtype=bfloat16)"


def test_default_dtype():
    helix.set_default_dtype(helix.float64)
    try:
        assert helix.tensor([1.0]).dtype is helix.float64 and helix.zeros(1).dtype is helix.float64
        assert helix.tensor([1j]).dtype is helix.complex128
    finally:
        helix.set_default_dtype(helix.float32)
    with pytest.raises(DTypeError):
        helix.set_default_dtype(helix.int32)


def test_dtype_objects():
    assert helix.float32 is helix.float and helix.float32.to_complex() is helix.complex64
    assert helix.finfo(helix.float32).eps == 2**-23 and helix.finfo(helix.bfloat16).max == 3.3895313892515355e38
    assert helix.iinfo(helix.uint16).max == 65535 and helix.iinfo(helix.int64).min == -(2**63)
    with pytest.raises(DTypeError):
        helix.finfo(helix.int8)
    with pytest.raises(DTypeError):
        helix.iinfo(helix.float32)
    assert helix.promote_types(helix.int8, helix.float16) is helix.float16 and helix.can_cast(helix.int8, helix.float32)
    assert helix.result_type(helix.zeros(1, dtype=helix.int8), 1.5) is helix.float32
    assert repr(helix.int8) == "helix.int8"


def test_generators():
    helix.manual_seed(5)
    state = helix.get_rng_state()
    with helix.fork_rng():
        helix._core.default_generator().manual_seed(9)
    assert helix.get_rng_state() == state and helix.initial_seed() == 5
    g = helix.Generator(2**70 + 3)
    assert g.initial_seed() == 3 and pickle.loads(pickle.dumps(g)).get_state() == g.get_state()


def test_switches():
    assert helix.get_num_threads() >= 1
    before = helix.get_num_threads()
    helix.set_num_threads(1)
    assert helix.get_num_threads() == 1
    helix.set_num_threads(before)
    for bad in (0, -1, 65):
        with pytest.raises(ParameterError):
            helix.set_num_threads(bad)
    assert helix.devices()[0][0] == "cpu"
    assert helix.device("cpu") == helix.device("cpu") == "cpu"
    with pytest.raises(RuntimeError, match="HX5001"):
        helix.device("nosuch")
