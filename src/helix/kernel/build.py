"""How kernels are written: a Builder that records what is done to its values.

k = Builder("scale", group=(64, 1, 1))
x, y = k.buffer("x", "f32"), k.buffer("y", "f32", written=True)
n, factor = k.scalar("n", "i32"), k.scalar("factor", "f32")
with k.items(n) as i:
    y[i] = x[i] * factor
kernel = k.finish()
"""

from __future__ import annotations

from contextlib import contextmanager

from helix.kernel import ir
from helix.kernel.ir import COMPARISONS, WIDE, Buffer, Instruction, Kernel, KernelError, Scalar, Shared
from helix.kernel.verify import verify


class Value:
    """The result of one instruction. Numbers beside it take its type."""

    __slots__ = ("builder", "dtype", "number")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, builder, number, dtype):
        self.builder, self.number, self.dtype = builder, number, dtype

    def _with(self, op, other, swapped=False):
        other = self.builder.value(other, self.dtype)
        a, b = (other, self) if swapped else (self, other)
        return self.builder.emit(op, "bool" if op in COMPARISONS else self.dtype, a, b)

    def __add__(self, other):
        return self._with("add", other)

    def __radd__(self, other):
        return self._with("add", other, swapped=True)

    def __sub__(self, other):
        return self._with("sub", other)

    def __rsub__(self, other):
        return self._with("sub", other, swapped=True)

    def __mul__(self, other):
        return self._with("mul", other)

    def __rmul__(self, other):
        return self._with("mul", other, swapped=True)

    def __truediv__(self, other):
        return self._with("div", other)

    def __rtruediv__(self, other):
        return self._with("div", other, swapped=True)

    def __floordiv__(self, other):
        """Of integers, towards zero: for indices, where neither is negative and the divisor is not 0."""
        return self._with("quot", other)

    def __mod__(self, other):
        return self._with("rest", other)

    def __and__(self, other):
        return self._with("and", other)

    def __or__(self, other):
        return self._with("or", other)

    def __xor__(self, other):
        return self._with("xor", other)

    def __lshift__(self, other):
        return self._with("shl", other)

    def __rshift__(self, other):
        return self._with("shr", other)

    def __lt__(self, other):
        return self._with("lt", other)

    def __le__(self, other):
        return self._with("le", other)

    def __gt__(self, other):
        return self._with("gt", other)

    def __ge__(self, other):
        return self._with("ge", other)

    def __eq__(self, other):
        return self._with("eq", other)

    def __ne__(self, other):
        return self._with("ne", other)

    def __neg__(self):
        return self.builder.emit("neg", self.dtype, self)

    def __invert__(self):
        return self.builder.emit("not", self.dtype, self)

    def __bool__(self):
        raise KernelError("a kernel's value is known only when it runs; write `with k.when(condition):`")

    def to(self, dtype):
        """The value in another type, as C converts; functions.convert has defined edges."""
        return self if dtype == self.dtype else self.builder.emit("cast", dtype, self)

    def bits(self, dtype):
        """The same bits as another type of the same size."""
        return self if dtype == self.dtype else self.builder.emit("bitcast", dtype, self)

    def where(self, yes, no):
        """yes where this condition holds, else no; both are computed."""
        yes = yes if isinstance(yes, Value) else self.builder.value(yes, no.dtype)
        return self.builder.emit("where", yes.dtype, self, yes, self.builder.value(no, yes.dtype))


class Memory:
    """A buffer or an array shared by the group: read and written by element."""

    __slots__ = ("builder", "dtype", "number", "prefix")

    def __init__(self, builder, number, dtype, prefix):
        self.builder, self.number, self.dtype, self.prefix = builder, number, dtype, prefix

    def __getitem__(self, index):
        k = self.builder
        return k.emit(self.prefix + "load", WIDE[self.dtype], k.index(index), attr=self.number)

    def __setitem__(self, index, value):
        k = self.builder
        k.emit(self.prefix + "store", "", k.index(index), k.value(value, WIDE[self.dtype]), attr=self.number)


class Variable:
    """A value of one work item that changes."""

    __slots__ = ("builder", "dtype", "number")

    def __init__(self, builder, first):
        self.builder, self.dtype = builder, first.dtype
        self.number = builder.emit("var", first.dtype, first).number

    def get(self):
        return self.builder.emit("get", self.dtype, attr=self.number)

    def set(self, value):
        self.builder.emit("set", "", self.builder.value(value, self.dtype), attr=self.number)


class Builder:
    def __init__(self, name, group=(1, 1, 1), index="i32", exact=False):
        self.name = "helix_" + name  # no function of any target's library begins so
        self.group, self.index_dtype, self.exact = tuple(group), index, exact
        self.buffers, self.scalars, self.arrays, self.body = [], [], [], []

    # ---- declarations ----

    def buffer(self, name, dtype, written=False):
        self.buffers.append(Buffer(name, dtype, written))
        return Memory(self, len(self.buffers) - 1, dtype, "")

    def scalar(self, name, dtype=None):
        dtype = dtype or self.index_dtype
        self.scalars.append(Scalar(name, dtype))
        return self.emit("scalar", dtype, attr=len(self.scalars) - 1)

    def shared(self, name, dtype, size):
        """Memory of the group. Contents undefined until written and followed by a barrier."""
        self.arrays.append(Shared(name, dtype, size))
        return Memory(self, len(self.arrays) - 1, dtype, "shared_")

    # ---- values ----

    def emit(self, op, dtype, *args, attr=None):
        numbers = tuple(a.number for a in args)
        self.body.append(Instruction(op, dtype, numbers, attr))
        return Value(self, len(self.body) - 1, dtype)

    def const(self, number, dtype):
        kind = bool if dtype == "bool" else float if dtype in ir.FLOATS else int
        return self.emit("const", dtype, attr=kind(number))

    def value(self, x, dtype):
        return x if isinstance(x, Value) else self.const(x, dtype)

    def index(self, x):
        return self.value(x, self.index_dtype)

    def variable(self, first, dtype=None):
        return Variable(self, self.value(first, dtype))

    def call(self, function, *args):
        """A function of the target's library on values of one type."""
        return self.emit(function, "bool" if function == "isnan" else args[0].dtype, *args)

    def local_id(self, axis=0):
        return self.emit("local_id", self.index_dtype, attr=axis)

    def group_id(self, axis=0):
        return self.emit("group_id", self.index_dtype, attr=axis)

    def num_groups(self, axis=0):
        return self.emit("num_groups", self.index_dtype, attr=axis)

    def barrier(self):
        """All items of the group come here before one goes on, and see what the others wrote."""
        self.emit("barrier", "")

    # ---- blocks ----

    @contextmanager
    def range(self, start, stop, step=1):
        yield self.emit("for", self.index_dtype, self.index(start), self.index(stop), self.index(step))
        self.emit("end", "")

    @contextmanager
    def loop(self):
        """Repeats until k.leave_if."""
        self.emit("loop", "")
        yield
        self.emit("end", "")

    def leave_if(self, condition):
        self.emit("break_if", "", condition)

    @contextmanager
    def when(self, condition):
        self.emit("if", "", condition)
        yield
        self.emit("end", "")

    @contextmanager
    def otherwise(self):
        """Directly after `with k.when`."""
        if not self.body or self.body[-1].op != "end":
            raise KernelError(f"{self.name}: otherwise() must follow when()")
        self.body.pop()
        self.emit("else", "")
        yield
        self.emit("end", "")

    @contextmanager
    def items(self, n, looped=True):
        """Every number below n once, over all items of all groups along axis 0.

        Any grid serves; without the loop, one that has an item for every number.
        """
        size = self.group[0]
        first = self.group_id() * size + self.local_id()
        if looped:
            with self.range(first, n, self.num_groups() * size) as i:
                yield i
        else:
            with self.when(first < n):
                yield first

    def finish(self):
        kernel = Kernel(
            self.name, tuple(self.buffers), tuple(self.scalars), self.group, tuple(self.body), tuple(self.arrays),
            self.exact,
        )  # fmt: skip
        verify(kernel)
        return kernel
