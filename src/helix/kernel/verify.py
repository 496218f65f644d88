"""The rules of the language, checked on every kernel that is built: types, scopes, blocks, barriers."""

from __future__ import annotations

from helix.kernel.ir import (
    ARITHMETIC,
    BITS,
    BLOCKS,
    COMPARISONS,
    DTYPES,
    FLOATS,
    FUNCTIONS,
    INTEGERS,
    VALUE_DTYPES,
    WIDE,
    KernelError,
)  # fmt: skip

_INTEGER_ONLY = frozenset(("quot", "rest", "shl", "shr", "mulhi"))
_LOGIC = frozenset(("and", "or", "xor", "not"))
_ARITY = {"neg": 1, "abs": 1, "not": 1, "isnan": 1, "where": 3, "cast": 1, "bitcast": 1, "var": 1, "set": 1, "for": 3}
_ARITY |= {"if": 1, "break_if": 1, "load": 1, "shared_load": 1, "store": 2, "shared_store": 2}
_ARITY |= {"atomic_and": 2, "atomic_or": 2}
_ARITY |= dict.fromkeys(("const", "scalar", "local_id", "group_id", "num_groups", "get", "loop", "else", "end"), 0)
_ARITY |= {"barrier": 0} | dict.fromkeys(FUNCTIONS, 1) | {"atan2": 2, "pow": 2, "fmod": 2, "nextafter": 2}


def verify(kernel):
    """Raises KernelError at the first instruction that breaks a rule."""
    _Verifier(kernel).run()


class _Verifier:
    def __init__(self, kernel):
        self.kernel = kernel
        self.blocks = []  # numbers of the instructions that opened the open blocks
        self.scopes = [set()]  # numbers visible in each
        self.divergent = set()  # values that may differ between the items of a group
        self.number = 0

    def fail(self, text):
        op = self.kernel.body[self.number].op if self.number < len(self.kernel.body) else "end of the kernel"
        raise KernelError(f"{self.kernel.name}: instruction {self.number} ({op}): {text}")

    def require(self, holds, text):
        if not holds:
            self.fail(text)

    def run(self):
        for b in self.kernel.buffers:
            self.require(b.dtype in DTYPES, f"buffer '{b.name}' has the unknown dtype '{b.dtype}'")
        for s in self.kernel.scalars:
            self.require(
                s.dtype in BITS, f"scalar '{s.name}' has the dtype '{s.dtype}', which is no 32 or 64-bit number"
            )
        for number, i in enumerate(self.kernel.body):
            self.number = number
            self.check(i)
        self.number = len(self.kernel.body)
        self.require(not self.blocks, f"{len(self.blocks)} blocks are not closed")

    def check(self, i):
        known = i.op in _ARITY or i.op in ARITHMETIC or i.op in COMPARISONS
        self.require(known, "no such instruction")
        arity = _ARITY.get(i.op, 2)
        self.require(len(i.args) == arity, f"takes {arity} arguments, got {len(i.args)}")
        for a in i.args:
            self.require(any(a in s for s in self.scopes), f"reads %{a}, which is not defined here")
        self.types(i, [self.kernel.body[a].dtype for a in i.args])
        self.spread(i)
        self.structure(i)
        if i.dtype:
            self.require(i.dtype in VALUE_DTYPES, f"'{i.dtype}' is no type of a value")
            self.scopes[-1].add(self.number)

    def types(self, i, got):
        if i.op in ("load", "store", "shared_load", "shared_store"):
            self.memory(i, got)
        elif i.op in ("atomic_and", "atomic_or"):
            self.require(0 <= i.attr < len(self.kernel.buffers), f"there is no buffer {i.attr}")
            self.require(got[1] == "u32", "works on u32 words")
        elif i.op in ("get", "set"):
            target = self.kernel.body[i.attr] if isinstance(i.attr, int) and i.attr < self.number else None
            self.require(target is not None and target.op == "var", f"%{i.attr} is no variable")
            self.require(any(i.attr in s for s in self.scopes), f"variable %{i.attr} is not defined here")
            self.require((got[0] if got else i.dtype) == target.dtype, f"variable %{i.attr} holds {target.dtype}")
        elif i.op == "where":
            self.require(got[0] == "bool", f"the condition is {got[0]}, not bool")
            self.require(got[1] == got[2] == i.dtype, f"chooses between {got[1]} and {got[2]}")
        elif i.op in ("if", "break_if"):
            self.require(got[0] == "bool", f"the condition is {got[0]}, not bool")
        elif i.op == "bitcast":
            self.require(BITS.get(got[0]) == BITS.get(i.dtype), f"{got[0]} and {i.dtype} differ in size")
        elif i.op in (
            "scalar",
            "const",
            "cast",
            "end",
            "loop",
            "barrier",
            "else",
            "local_id",
            "group_id",
            "num_groups",
        ):
            self.require(
                i.op != "scalar" or i.dtype == self.kernel.scalars[i.attr].dtype, "the scalar has another type"
            )
        else:
            self.operands(i, got)

    def operands(self, i, got):
        self.require(len(set(got)) == 1, f"operands have the types {', '.join(got)}; cast them to one")
        if i.op in _INTEGER_ONLY or i.op == "for":
            self.require(got[0] in INTEGERS, f"takes integers, got {got[0]}")
        elif i.op in FUNCTIONS or i.op in ("div", "isnan"):
            self.require(got[0] in FLOATS, f"takes floats, got {got[0]}")
        elif i.op in _LOGIC:
            self.require(got[0] not in FLOATS, f"takes bools or integers, got {got[0]}")
        elif i.op in ARITHMETIC:
            self.require(got[0] != "bool", "takes numbers, got bool")
        expected = "bool" if i.op in COMPARISONS or i.op == "isnan" else "" if i.op == "set" else got[0]
        self.require(i.dtype == expected, f"gives {expected}, not {i.dtype}")

    def memory(self, i, got):
        table = self.kernel.shared if i.op.startswith("shared") else self.kernel.buffers
        self.require(isinstance(i.attr, int) and 0 <= i.attr < len(table), f"there is no memory number {i.attr}")
        memory = table[i.attr]
        self.require(got[0] in INTEGERS, f"the index is {got[0]}")
        wide = WIDE.get(memory.dtype)
        self.require(wide is not None, f"'{memory.name}' is {memory.dtype}: read it as pairs of its parts")
        value = got[1] if i.op.endswith("store") else i.dtype
        self.require(value == wide, f"'{memory.name}' holds {memory.dtype}, which is computed as {wide}, not {value}")
        if i.op == "store":
            self.require(memory.written, f"buffer '{memory.name}' is not declared as written")

    def spread(self, i):
        """Which values may differ within a group: what depends on the item or was read from memory."""
        differs = i.op in ("local_id", "load", "shared_load", "get") or any(a in self.divergent for a in i.args)
        if differs:
            self.divergent.add(self.number)

    def structure(self, i):
        if i.op in ("end", "else"):
            self.require(self.blocks, "closes no block")
            opened = self.kernel.body[self.blocks.pop()]
            self.require(i.op == "end" or opened.op == "if", f"follows '{opened.op}'")
            self.scopes.pop()
        if i.op in BLOCKS:
            self.blocks.append(self.number)
            self.scopes.append(set())
        if i.op == "break_if":
            self.require(any(self.kernel.body[b].op == "loop" for b in self.blocks), "stands in no loop")
            self.require(self.kernel.body[self.blocks[-1]].op == "loop", "must stand directly in its loop")
        if i.op == "barrier":
            for b in self.blocks:
                around = self.kernel.body[b]
                uniform = around.op in ("for", "if") and not any(a in self.divergent for a in around.args)
                self.require(uniform, f"stands in the '{around.op}' at {b}, which not all items of a group run alike")
