"""WGSL. There are no 8-bit, 16-bit or 64-bit numbers and no pointers: every buffer is an array of u32 words.

A 64-bit integer is a vec2<u32> (low, high) and its arithmetic a call; elements of 8 and 16 bits are parts of words,
written by an atomic and and an atomic or (passes.py), each work item its own bits. The scalars are one uniform
block of two words each: scalar k is the low or the high half of scalars[k / 2].
"""

from __future__ import annotations

from helix.kernel import pairs
from helix.kernel.ir import UnsupportedError
from helix.kernel.pairs import LONG
from helix.kernel.render import Renderer

_HEAD = """fn float_of(x: u32) -> f32 { return bitcast<f32>(x); }
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn mul_wide(a: u32, b: u32) -> vec2<u32> {
  let al = a & 0xffffu; let ah = a >> 16u; let bl = b & 0xffffu; let bh = b >> 16u;
  let low = al * bl; let middle = ah * bl + (low >> 16u); let other = al * bh + (middle & 0xffffu);
  return vec2<u32>((other << 16u) | (low & 0xffffu), ah * bh + (middle >> 16u) + (other >> 16u));
}
"""


class WGSLRenderer(Renderer):
    kind = "wgsl"
    types = {"bool": "bool", "i32": "i32", "u32": "u32", "i64": "vec2<u32>", "u64": "vec2<u32>", "f32": "f32"}
    storage = dict.fromkeys(("i32", "u32", "f32", "i64", "u64"), "u32")
    functions = frozenset(("sqrt", "floor", "ceil", "trunc", "rint"))
    unique_buffers = words = True
    operators = Renderer.operators | pairs.operators() | {
        "cast": "{type}({0})", "bitcast": "bitcast<{type}>({0})", "where": "select({2}, {1}, {0})", "abs": "abs({0})",
        "min": "select({1}, {0}, {0} < {1})", "max": "select({1}, {0}, {0} > {1})", "isnan": "is_nan({0})",
        "ne.f32": "!({0} == {1})",  # its own is ordered: false for NaN
        "shl.i32": "{0} << u32({1})", "shr.i32": "{0} >> u32({1})", "mulhi.u32": "mul_wide({0}, {1}).y",
        "rint.f32": "round({0})",
        "atomic_and": "atomicAnd(&{buffer}[{0}], {1});", "atomic_or": "atomicOr(&{buffer}[{0}], {1});",
    }  # fmt: skip
    infinity, nan = {"f32": "float_of(0x7f800000u)"}, {"f32": "float_of(0x7fc00000u)"}
    declare, constant = "var v{n}: {type} = {value};", "let v{n} = {value};"
    for_form = "for (var {n}: {type} = {0}; {n} < {1}; {n} += {2}) {{"
    loop_form = "loop {"
    ids = {"local_id": "{type}(local_id.{axis})", "group_id": "{type}(group_id.{axis})",
           "num_groups": "{type}(num_groups.{axis})"}  # fmt: skip
    barrier = "workgroupBarrier(); storageBarrier();"

    def render(self, kernel):
        self.atomic = {i.attr for i in kernel.body if i.op in ("atomic_and", "atomic_or")}
        long = any(i.dtype in LONG for i in kernel.body)
        kernel_text = super().render(kernel)
        return _HEAD + (pairs.FUNCTIONS if long else "") + kernel_text

    def enclose(self, written):
        self.atomic, self.storage = set(), {d: d for d in ("i32", "u32", "f32")}
        return super().enclose(written)

    def inside(self, written):
        scalars = [f"  let {s.name} = {self.scalar(n)};" for n, s in enumerate(written.scalars)]
        return scalars + super().inside(written)

    def place(self, written, number, tensor):
        return f"let {tensor.name} = &{written.buffers[written.places[number]].name};"

    def open(self, kernel):
        lines = []
        for n, b in enumerate(kernel.buffers):
            word = "atomic<u32>" if n in self.atomic else self.stored(b.dtype)
            lines.append(f"@group(0) @binding({n}) var<storage, read_write> {b.name}: array<{word}>;")
        if kernel.scalars:
            count = (len(kernel.scalars) + 1) // 2
            lines.append(f"@group(0) @binding({len(kernel.buffers)}) var<uniform> scalars: array<vec4<u32>, {count}>;")
        lines += [f"var<workgroup> {s.name}: array<{self.type_of(s)}, {s.size}>;" for s in kernel.shared]
        lines.append(f"@compute @workgroup_size({', '.join(map(str, kernel.group))})")
        lines.append(f"fn {kernel.name}(@builtin(local_invocation_id) local_id: vec3<u32>,")
        lines.append(
            "    @builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) num_groups: vec3<u32>) {"
        )
        return "\n".join(lines)

    def scalar(self, number):
        s, part = self.kernel.scalars[number], ("xy", "zw")[number % 2]
        words = f"scalars[{number // 2}]."
        if s.dtype in LONG:
            return words + part
        return words + part[0] if s.dtype == "u32" else f"bitcast<{self.type(s.dtype)}>({words}{part[0]})"

    def statement(self, n, i):
        if i.op == "for" and i.dtype in LONG:
            raise UnsupportedError(f"{self.kernel.name}: 'wgsl' counts in 32 bits")
        if i.op != "store":
            return super().statement(n, i)
        at, value = map(self.operand, i.args)
        buffer = self.kernel.buffers[i.attr]
        if buffer.dtype in LONG:
            return f"{buffer.name}[2 * {at}] = {value}.x; {buffer.name}[2 * {at} + 1] = {value}.y;"
        word = value if buffer.dtype == "u32" else f"bitcast<u32>({value})"
        return (
            f"atomicStore(&{buffer.name}[{at}], {word});" if i.attr in self.atomic else f"{buffer.name}[{at}] = {word};"
        )

    def expression(self, i, a):
        if i.op != "load":
            return super().expression(i, a)
        buffer = self.kernel.buffers[i.attr]
        if buffer.dtype in LONG:
            return f"vec2<u32>({buffer.name}[2 * {a[0]}], {buffer.name}[2 * {a[0]} + 1])"
        word = f"atomicLoad(&{buffer.name}[{a[0]}])" if i.attr in self.atomic else f"{buffer.name}[{a[0]}]"
        return word if buffer.dtype == "u32" else f"bitcast<{self.type(i.dtype)}>({word})"

    def literal(self, x, dtype):
        if dtype in LONG:
            return f"vec2<u32>({x & 0xFFFFFFFF}u, {x >> 32 & 0xFFFFFFFF}u)"
        return super().literal(x, dtype)
