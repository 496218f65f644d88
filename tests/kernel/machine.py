"""A device for tests: plans run as C compiled here, over NumPy arrays."""

import ctypes
import hashlib
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import ml_dtypes
import numpy as np

from helix.kernel.ir import DTYPES, SIZES
from helix.kernel.passes import source_of
from helix.kernel.plan import LATE, Call, Derived, Host, Number, Offset, OpNumber, Random, Target, Tensor
from helix.kernel.registry import plan
from helix.kernel.renderers import renderers

NUMPY = dict(
    zip(
        DTYPES,
        map(
            np.dtype,
            ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", ml_dtypes.bfloat16, "f4", "f8", "c8", "c16"),
        ),
    )
)
NAMES = {v: k for k, v in NUMPY.items()}
GUARD = 256  # bytes behind a temporary that no kernel may touch
FLAGS = ("-O1", "-shared", "-fPIC", "-w", "-fno-math-errno")
_folder = tempfile.TemporaryDirectory(prefix="helix-kernel-")


@cache
def compiled(text, entry):
    path = Path(_folder.name) / hashlib.sha256(text.encode()).hexdigest()[:24]
    path.with_suffix(".c").write_text(text)
    subprocess.run(["gcc", *FLAGS, str(path.with_suffix(".c")), "-o", str(path), "-lm"], check=True)
    function = getattr(ctypes.CDLL(str(path)), entry)
    function.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_uint64] * 2
    return function


def base_of(array):
    """The array that owns the memory, flat, and the position of the first element in it."""
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    place = array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    return owner, place


def tensor_of(array, reference, host=False):
    size = array.dtype.itemsize
    return Tensor(NAMES[array.dtype], array.shape, tuple(s // size for s in array.strides), reference, host)


def word_of(value, dtype):
    kind = NUMPY[dtype]
    if kind.kind in "iu":
        value = int(value) & ((1 << (8 * kind.itemsize)) - 1)
        return value
    return int.from_bytes(np.array(value, kind).tobytes(), "little")


def run(op, inputs, outputs, attributes=None, values=None, host=(), target=None, index="i32"):
    """Plans the call and runs it; `values` are the float attributes by position, `host` the inputs given as scalars."""
    target = target or Target("c", max_group=64)
    ins = tuple(None if x is None else tensor_of(x, ("in", n), n in host) for n, x in enumerate(inputs))
    outs = tuple(tensor_of(y, ("out", n)) for n, y in enumerate(outputs))
    made = plan(Call(op, ins, outs, dict(attributes or {}), index), target)
    memory = {("in", n): x for n, x in enumerate(inputs) if x is not None} | {
        ("out", n): y for n, y in enumerate(outputs)
    }
    memory[LATE] = np.zeros(4, "i4")
    for n, size in enumerate(made.temporaries):
        memory["temporary", n] = np.full(size + GUARD, 0xA5, "u1")
    for step in made.launches:
        text = source_of(step.kernel, renderers[target.kind])
        words = []
        for scalar, source in zip(step.kernel.scalars, step.scalars):
            if isinstance(source, Offset):
                source = base_of(memory[source.reference])[1] // source.size
            elif isinstance(source, Number):
                source = values[source.attribute]
            elif isinstance(source, Derived):
                source = source.function(*(values[n.attribute] for n in source.numbers))
            elif isinstance(source, Host):
                source = inputs[source.input].item()
            elif isinstance(source, OpNumber):
                source = 1
            elif isinstance(source, Random):
                source = values[source.attribute][source.word]
            words.append(word_of(source, scalar.dtype))
        pointers = [base_of(memory[r])[0].__array_interface__["data"][0] for r in step.buffers]
        bound, packed = np.array(pointers, "u8"), np.array(words or [0], "u8")
        grid = np.array(step.grid, "u4")
        compiled(text, step.kernel.name)(
            bound.ctypes.data, packed.ctypes.data, grid.ctypes.data, 0, int(np.prod(step.grid))
        )
    for n, size in enumerate(made.temporaries):
        assert (memory["temporary", n][size:] == 0xA5).all(), f"{op} writes behind temporary {n}"
    assert not memory[LATE].any(), f"{op} finds the index {memory[LATE][1]} outside"
    return outputs


__all__ = ["NAMES", "NUMPY", "SIZES", "run"]
