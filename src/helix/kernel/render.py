"""From a kernel to the text of a C-like language. A language is a subclass with tables; few need a method of their own.

What every renderer agrees on with the plugin that launches its text:
  - the kernel's parameters are the buffers, then the scalars, in the order of the Kernel; buffers are whole blocks;
  - "c", "opencl-c" and "cuda-c": one parameter each, of the dtype's own C type;
  - "msl": buffers at [[buffer(0)]] and on, all scalars as one array of 8-byte words at [[buffer(number of buffers)]];
  - "wgsl": group 0, buffers at bindings 0 and on, all as read_write storage; the scalars, if any, as one uniform block
    at the next binding: two u32 words each, filled up to a multiple of 16 bytes. See wgsl.py.
"""

from __future__ import annotations

import math
import struct

from helix.kernel import ir
from helix.kernel.ir import UnsupportedError

AXES = "xyz"


class Renderer:
    kind = ""  # source_kind of the devices that take the text
    version = 1  # part of every cache key; raised when the text for an equal kernel changes
    types: dict[str, str] = {}  # of values
    storage: dict[str, str] = {}  # of buffers, where load and store widen and narrow by themselves
    functions: frozenset[str] = ir.FUNCTIONS  # the library's own; the others are written out in the IR
    unique_buffers = False  # may a buffer be bound only once?
    words = False  # are buffers arrays of u32, so that smaller elements are parts of words?

    operators: dict[str, str] = {
        "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "div": "{0} / {1}", "neg": "-{0}",
        "quot": "{0} / {1}", "rest": "{0} % {1}", "and": "{0} & {1}", "or": "{0} | {1}", "xor": "{0} ^ {1}",
        "and.bool": "{0} && {1}", "or.bool": "{0} || {1}", "xor.bool": "{0} != {1}", "not.bool": "!{0}", "not": "~{0}",
        "shl": "{0} << {1}", "shr": "{0} >> {1}",
        "lt": "{0} < {1}", "le": "{0} <= {1}", "gt": "{0} > {1}", "ge": "{0} >= {1}", "eq": "{0} == {1}",
        "ne": "{0} != {1}", "where": "{0} ? {1} : {2}", "isnan": "{0} != {0}",
        "min": "{0} < {1} ? {0} : {1}", "max": "{0} > {1} ? {0} : {1}", "abs": "{0} < 0 ? -{0} : {0}",
        "abs.u32": "{0}", "abs.u64": "{0}", "cast": "({type}){0}",
    }  # fmt: skip
    function_form = {"f32": "{name}({args})", "f64": "{name}({args})"}
    suffix = {"i32": "", "u32": "u", "i64": "L", "u64": "UL", "f32": "f", "f64": ""}
    truth = ("false", "true")
    infinity = {"f32": "INFINITY", "f64": "INFINITY"}
    nan = {"f32": "NAN", "f64": "NAN"}

    head = ""
    exact_head = ""  # instead of it, where the bits matter
    declare = "{type} v{n} = {value};"
    constant = "const {type} v{n} = {value};"
    load_form: dict[str, str] = {}
    store_form: dict[str, str] = {}
    for_form = "for ({type} {n} = {0}; {n} < {1}; {n} += {2}) {{"
    loop_form = "for (;;) {"
    ids: dict[str, str] = {}  # local_id, group_id, num_groups
    barrier = ""
    shared_form = ""  # how a shared array is declared inside the kernel
    buffer_form = ""
    scalar_form = "const {type} {name}"

    # ---- one instruction ----

    def render(self, kernel) -> str:
        """The text of a kernel that legalize has prepared."""
        self.kernel = kernel
        lines = [self.open(kernel)]
        lines += ["  " + self.shared_form.format(type=self.type_of(s), name=s.name, size=s.size) for s in kernel.shared]
        lines += self.block(range(len(kernel.body)), 1)
        return (self.exact_head if kernel.exact and self.exact_head else self.head) + "\n".join(lines) + "\n}\n"

    def enclose(self, written) -> str:
        """The text of a kernel whose body is given in the language itself (raw.py)."""
        self.kernel = written
        head = (self.exact_head if written.exact and self.exact_head else self.head) + written.functions
        return head + "\n".join(["", self.open(written), *self.inside(written), "}"]) + "\n"

    def inside(self, written):
        """What stands in the function: each tensor from its first element on, and the body."""
        return [*("  " + self.place(written, n, t) for n, t in enumerate(written.tensors)), written.text]

    def place(self, written, number, tensor):
        pointer = self.buffer_form.format(
            type=self.stored(tensor.dtype), name=tensor.name, const="" if tensor.written else "const "
        )
        return f"{pointer} = {written.buffers[written.places[number]].name} + {tensor.name}_at;"

    def open(self, kernel) -> str:
        raise NotImplementedError

    def type_of(self, memory):
        return self.type(ir.WIDE[memory.dtype])

    def type(self, dtype):
        if dtype not in self.types:
            raise UnsupportedError(f"{self.kernel.name}: '{self.kind}' has no {dtype}")
        return self.types[dtype]

    def stored(self, dtype):
        if dtype not in self.storage:
            raise UnsupportedError(f"{self.kernel.name}: '{self.kind}' has no {dtype} in memory")
        return self.storage[dtype]

    def block(self, numbers, depth):
        lines = []
        for n in numbers:
            i = self.kernel.body[n]
            if i.op in ("end", "else"):
                depth -= 1
            text = self.statement(n, i)
            if text:
                lines.append("  " * depth + text)
            if i.op in ir.BLOCKS:
                depth += 1
        return lines

    def statement(self, n, i):
        a = [self.operand(x) for x in i.args]
        match i.op:
            case "const" | "scalar":
                return ""
            case "for":
                return self.for_form.format(*a, n=self.name(n), type=self.type(i.dtype))
            case "loop":
                return self.loop_form
            case "if":
                return f"if ({a[0]}) {{"
            case "else":
                return "} else {"
            case "end":
                return "}"
            case "break_if":
                return f"if ({a[0]}) {{ break; }}"
            case "barrier":
                return self.barrier
            case "set":
                return f"{self.name(i.attr)} = {a[0]};"
            case "store":
                b = self.kernel.buffers[i.attr]
                return self.store_form.get(b.dtype, "{buffer}[{0}] = {1};").format(*a, buffer=b.name)
            case "shared_store":
                return f"{self.kernel.shared[i.attr].name}[{a[0]}] = {a[1]};"
            case "atomic_and" | "atomic_or":
                return self.operators[i.op].format(*a, buffer=self.kernel.buffers[i.attr].name)
        form = self.declare if i.op == "var" else self.constant
        return self.define(n, form.format(type=self.type(i.dtype), n=n, value=self.expression(i, a)))

    def define(self, n, text):
        return text

    def name(self, n):
        return f"v{n}"

    def operand(self, n):
        i = self.kernel.body[n]
        if i.op == "const":
            return self.literal(i.attr, i.dtype)
        if i.op == "scalar":
            return self.scalar(i.attr)
        return self.name(n)

    def scalar(self, number):
        return self.kernel.scalars[number].name

    def expression(self, i, a):
        if i.op == "var":
            return a[0]
        if i.op == "get":
            return self.name(i.attr)
        if i.op == "load":
            b = self.kernel.buffers[i.attr]
            return self.load_form.get(b.dtype, "{buffer}[{0}]").format(*a, buffer=b.name, type=self.type(i.dtype))
        if i.op == "shared_load":
            return f"{self.kernel.shared[i.attr].name}[{a[0]}]"
        if i.op in self.ids:
            return self.ids[i.op].format(axis=AXES[i.attr], number=i.attr, type=self.type(i.dtype))
        source = self.kernel.body[i.args[0]].dtype if i.args else ""
        if i.op == "where":
            source = i.dtype
        for key in (f"{i.op}.{source}.{i.dtype}", f"{i.op}.{source}", i.op):
            if key in self.operators:
                return self.operators[key].format(*a, type=self.type(i.dtype), source=self.types[source])
        if i.op in ir.FUNCTIONS:
            return self.function_form[source].format(name=i.op, args=", ".join(a))
        raise UnsupportedError(f"{self.kernel.name}: '{self.kind}' has no {i.op} of {source}")

    def literal(self, x, dtype):
        if dtype == "bool":
            return self.truth[x]
        if dtype in ir.FLOATS:
            return self.real(x, dtype)
        low = -(1 << (ir.BITS[dtype] - 1))
        if x == low and dtype[0] == "i":  # the magnitude is no number of the type
            return f"({x + 1}{self.suffix[dtype]} - 1{self.suffix[dtype]})"
        return f"({x}{self.suffix[dtype]})" if x < 0 else f"{x}{self.suffix[dtype]}"

    def real(self, x, dtype):
        if dtype == "f32" and math.isfinite(x):
            x = round_f32(x)
        if math.isnan(x):
            return self.nan[dtype]
        if math.isinf(x):
            return self.infinity[dtype] if x > 0 else f"(-{self.infinity[dtype]})"
        text = repr(x) + self.suffix[dtype]
        return f"({text})" if text[0] == "-" else text


def round_f32(x):
    """The nearest float32, as a float."""
    try:
        return struct.unpack("f", struct.pack("f", x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)


class Parameters(Renderer):
    """Languages whose kernels are functions with one parameter for each buffer and scalar."""

    kernel_form = ""

    def open(self, kernel):
        buffers = [
            self.buffer_form.format(type=self.stored(b.dtype), name=b.name, const="" if b.written else "const ")
            for b in kernel.buffers
        ]
        scalars = [self.scalar_form.format(type=self.type(s.dtype), name=s.name) for s in kernel.scalars]
        x, y, z = kernel.group
        return self.kernel_form.format(
            name=kernel.name, parameters=", ".join(buffers + scalars), x=x, y=y, z=z, size=x * y * z
        )
