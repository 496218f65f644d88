"""Kernels of users: one source a language, called on tensors of any device that compiles one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from inspect import Parameter, Signature
from math import prod

from helix import _core
from helix.dtypes import TYPES
from helix.errors import ArgumentError, DeviceError, DTypeError, GradientError, ParameterError, UnsupportedOpError
from helix.kernel.build import Builder
from helix.kernel.ir import BITS, DTYPES, INTEGERS, Buffer, Scalar, UnsupportedError
from helix.kernel.layout import Operand
from helix.kernel.plan import Launch, Number, Offset, Plan, launch
from helix.kernel.written import Written

_DTYPES = dict(zip(DTYPES, (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "bfloat16", "float32",
    "float64",
)))  # fmt: skip
_NAMES = {name: dtype for dtype, name in _DTYPES.items()}


class Elements:
    """A tensor in a kernel built by a function: element i from the tensor's own first one."""

    def __init__(self, operand):
        self._operand = operand

    def __getitem__(self, i):
        return self._operand.read(i)

    def __setitem__(self, i, value):
        self._operand.write(value, i)


@dataclass(frozen=True, slots=True)
class _Declared:
    name: str
    role: str  # "in", "out", "inout"; "" for numbers
    dtype: str  # as in helix.kernel.ir


def _error(kind, code, kernel, text, argument=None):
    return kind(f"{code} {kernel}: {text}", op=kernel, code=code, argument=argument)


class RawKernel:
    """A kernel of yours; helix.kernel.raw makes it, a call launches it."""

    def __init__(self, name, sources, parameters, group, fallback):
        self.name, self.sources, self.fallback = name, dict(sources), fallback
        self.group = (*_sizes(name, "group", group), 1, 1)[:3]
        declared = [_declared(name, *p) for p in parameters.items()]
        self._tensors = [p for p in declared if p.role]
        self._numbers = [p for p in declared if not p.role]
        if not any(p.role.endswith("out") for p in self._tensors):
            raise _error(
                ArgumentError, "HX1103", name, "no parameter is 'out' or 'inout': a call would have no effect."
            )
        given = [Parameter(p.name, Parameter.POSITIONAL_OR_KEYWORD) for p in declared if p.role != "out"]
        named = [p.name for p in declared if p.role == "out"] + ["grid"]
        self._signature = Signature(given + [Parameter(n, Parameter.KEYWORD_ONLY, default=None) for n in named])
        self._refusals = {}
        self._kernel = _core.RawKernel(name, [p.name for p in self._numbers], self._plan)

    # ---- a call ----

    def __call__(self, *arguments, **named):
        """Launches the kernel. Gives what is written: one tensor, or a tuple.

        An `out` parameter may be given a tensor, which is written, or a shape; without either it has the first tensor's
        shape. `grid` is the number of groups, an int or up to three; without it there is a work item for every element
        of the first tensor that is written.
        """
        try:
            values = self._signature.bind(*arguments, **named).arguments
        except TypeError as error:
            raise _error(ArgumentError, "HX1103", self.name, f"{error}.") from None
        first = self._first(values)
        if self.fallback and not _core.source_kind(first):
            return self.fallback(*arguments, **{k: v for k, v in named.items() if k != "grid"})
        numbers = tuple(self._number(p, values[p.name]) for p in self._numbers)
        tensors = [self._tensor(p, values.get(p.name), first) for p in self._tensors]
        read = tuple(t for p, t in zip(self._tensors, tensors) if p.role == "in")
        written = tuple(t for p, t in zip(self._tensors, tensors) if p.role != "in")
        grid = self._grid(values.get("grid"), written[0])
        if all(grid) and not self._kernel.run(read, written, numbers, grid):
            raise self._refusal(first)
        made = tuple(t for p, t in zip(self._tensors, tensors) if p.role == "out") or written
        return made[0] if len(made) == 1 else made

    def _first(self, values):
        """The tensor that decides device and shape."""
        for p in sorted(self._tensors, key=lambda p: p.role == "out"):
            if isinstance(values.get(p.name), _core.Tensor):
                return values[p.name]
        raise _error(ArgumentError, "HX1103", self.name, "at least one argument must be a tensor.")

    def _tensor(self, p, value, first):
        dtype = TYPES[_DTYPES[p.dtype]]
        if p.role == "out" and not isinstance(value, _core.Tensor):
            shape = first.shape if value is None else _sizes(self.name, p.name, value, 16)
            return _core.op_named("empty")(shape, dtype=dtype, device=first.device)
        self._check(p, value, dtype, first)
        return value.contiguous() if p.role == "in" else value

    def _check(self, p, value, dtype, first):
        if not isinstance(value, _core.Tensor):
            kind, code, text = ArgumentError, "HX1103", f"must be a tensor, got {type(value).__name__}."
        elif value.dtype != dtype:
            kind, code, text = DTypeError, "HX1101", f"must be {_DTYPES[p.dtype]}, got {_name(value.dtype)}."
        elif value.device != first.device:
            kind, code, text = DeviceError, "HX1201", f"lives on {value.device}, other arguments on {first.device}."
        elif value.requires_grad and _core.is_grad_enabled():
            kind, code, text = (
                GradientError,
                "HX1503",
                (
                    "requires grad, and a kernel has no gradient of its own. Call it in the forward of a "
                    "helix.autograd.Function, or under helix.no_grad()."
                ),
            )
        elif p.role != "in" and not value.is_contiguous():
            kind, code, text = ParameterError, "HX1006", "is written and must be contiguous."
        else:
            return
        raise _error(kind, code, self.name, f"{p.name} {text}", p.name)

    def _number(self, p, value):
        whole = p.dtype in INTEGERS
        try:
            number = value.__index__() if whole else float(value)
        except (AttributeError, TypeError, ValueError):
            text = f"{p.name} must be {'an int' if whole else 'a number'}, got {type(value).__name__}."
            raise _error(ArgumentError, "HX1103", self.name, text, p.name) from None
        low = -(1 << (BITS[p.dtype] - 1)) if p.dtype[0] == "i" else 0
        if whole and not low <= number < low + (1 << BITS[p.dtype]):
            text = f"{p.name} must fit in {_DTYPES[p.dtype]}, got {number}."
            raise _error(ParameterError, "HX1403", self.name, text, p.name)
        return number

    def _grid(self, given, written):
        grid = (-(-written.numel() // prod(self.group)),) if given is None else _sizes(self.name, "grid", given)
        return (*grid, 1, 1)[:3]

    def _refusal(self, tensor):
        kind = _core.source_kind(tensor)
        text = (
            f"{tensor.device} takes {repr(kind) if kind else 'no sources'}; {self._refusals.get(kind, self._known())}."
        )
        return _error(UnsupportedOpError, "HX1701", self.name, text + " Add a source, or a fallback made of ops.")

    def _known(self):
        return f"there are sources for {', '.join(sorted(self.sources))}"

    # ---- plans, made once for each kind of call ----

    def _plan(self, call, target):
        try:
            return self._plan_for(call, target)
        except UnsupportedError as error:
            self._refusals[target.kind] = str(error)
            raise

    def _plan_for(self, call, target):
        inputs, outputs = iter(call.inputs), iter(call.outputs)
        tensors = {p.name: next(inputs if p.role == "in" else outputs) for p in self._tensors}
        if prod(self.group) > max(target.max_group, 1):
            raise UnsupportedError(f"a group has {prod(self.group)} items, the device takes {target.max_group}")
        numbers = {p.name: Number(n) for n, p in enumerate(self._numbers)}
        grid = call.attributes["grid"]
        if target.kind in self.sources:
            return self._text_plan(self.sources[target.kind], tensors, numbers, grid, call.index)
        if "hxir" not in self.sources:
            raise UnsupportedError(self._known())
        kernel = self._built(call.index)
        return Plan((launch(kernel, tensors, numbers, grid),))

    def _text_plan(self, source, tensors, numbers, grid, index):
        functions, text = ("", source) if isinstance(source, str) else source
        named = tuple(Buffer(p.name, p.dtype, p.role != "in") for p in self._tensors)
        scalars = [Scalar(p.name, p.dtype) for p in self._numbers] + [
            Scalar(f"{p.name}_at", index) for p in self._tensors
        ]
        kernel = Written(
            "helix_" + self.name, named, tuple(replace(b, name=b.name + "_block") for b in named),
            tuple(range(len(named))), tuple(scalars), self.group, text, functions,
        )  # fmt: skip
        references = tuple(t.reference for t in tensors.values())
        places = tuple(Offset(t.reference, t.size) for t in tensors.values())
        return Plan((Launch(kernel, references, (*numbers.values(), *places), grid),))

    def _built(self, index):
        k = Builder(self.name, self.group, index)
        arguments = {p.name: Elements(Operand(k, p.name, p.dtype, "dense", 1, p.role != "in")) for p in self._tensors}
        arguments |= {p.name: k.scalar(p.name, p.dtype) for p in self._numbers}
        self.sources["hxir"](k, **arguments)
        return k.finish()

    def __repr__(self):
        return f"<kernel {self.name}{self._signature}>"


def _name(dtype):
    return str(dtype).removeprefix("helix.")


def _sizes(kernel, argument, value, most=3):
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(sizes) > most or not all(isinstance(n, int) and n >= 0 for n in sizes):
        raise _error(
            ParameterError, "HX1403", kernel, f"{argument} must be up to {most} sizes, got {value!r}.", argument
        )
    return sizes


def _declared(kernel, name, text):
    role, _, dtype = text.rpartition(" ")
    known = _NAMES.get(dtype)
    if not name.isidentifier() or name == "grid" or name.endswith(("_at", "_block")):
        raise _error(ArgumentError, "HX1103", kernel, f"{name!r} cannot name a parameter.")
    if role not in ("", "in", "out", "inout") or known is None or (not role and known not in BITS):
        says = (
            f"{name} is declared {text!r}; tensors are 'in', 'out' or 'inout' and a dtype, as in 'out float32'; numbers a "
            "dtype of 32 or 64 bits alone, as in 'float32'."
        )
        raise _error(ArgumentError, "HX1103", kernel, says, name)
    return _Declared(name, role, known)


def raw(name, sources, parameters, group=64, fallback=None):
    """A kernel of your own, from a source for each language that you have one in.

    `sources` maps "c", "opencl-c", "cuda-c", "msl" or "wgsl" to the text of the kernel's body (or to a pair: functions
    that stand before the kernel, and the body), and "hxir" to a function that writes it with a Builder, for every other
    device. `parameters` names what the body sees, in order: tensors as "in", "out" or "inout" and a dtype, numbers as a
    dtype. `group` is the number of work items in a group, an int or up to three. `fallback`, a function of the same
    arguments made of ops, serves devices that compile nothing, as the CPU.

    helix writes the head: in C, OpenCL C, CUDA C and MSL a tensor is a pointer to its first element. In WGSL it is a
    pointer to its block, in which it starts at element `name_at`: `(*x)[x_at + i]`. The body finds its item by the means
    of its language; in MSL and WGSL by local_id, group_id and num_groups, in C by local_id0 and group_id0 (items of a C
    kernel run one after the other: no barriers). Tensors come contiguous and their dtypes are checked.

    A kernel has no gradient of its own: call it in a helix.autograd.Function.

    >>> double = helix.kernel.raw(
    ...     "double",
    ...     {"opencl-c": "int i = get_global_id(0); if (i < n) y[i] = 2 * x[i];"},
    ...     {"x": "in float32", "y": "out float32", "n": "int32"},
    ...     fallback=lambda x, n: 2 * x,
    ... )
    >>> double(helix.ones(3), n=3).tolist()
    [2.0, 2.0, 2.0]
    """
    if not name.isidentifier():
        raise _error(ArgumentError, "HX1103", "raw", f"the name {name!r} is no identifier.", "name")
    return RawKernel(name, sources, parameters, group, fallback)
