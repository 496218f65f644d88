"""WGSL. There are no 8-bit, 16-bit or 64-bit numbers and no pointers: every buffer is an array of u32 words.

A 64-bit integer is a vec2<u32> (low, high) and its arithmetic a call; elements of 8 and 16 bits are parts of words,
written by an atomic and and an atomic or (passes.py), each work item its own bits. The scalars are one uniform
block of two words each: scalar k is the low or the high half of scalars[k / 2].
"""

from __future__ import annotations

from helix.kernel.ir import UnsupportedError
from helix.kernel.render import Renderer

_HEAD = """fn float_of(x: u32) -> f32 { return bitcast<f32>(x); }
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn mul_wide(a: u32, b: u32) -> vec2<u32> {
  let al = a & 0xffffu; let ah = a >> 16u; let bl = b & 0xffffu; let bh = b >> 16u;
  let low = al * bl; let middle = ah * bl + (low >> 16u); let other = al * bh + (middle & 0xffffu);
  return vec2<u32>((other << 16u) | (low & 0xffffu), ah * bh + (middle >> 16u) + (other >> 16u));
}
"""
_INT64 = """alias long = vec2<u32>;
fn add64(a: long, b: long) -> long { let low = a.x + b.x; return long(low, a.y + b.y + select(0u, 1u, low < a.x)); }
fn sub64(a: long, b: long) -> long { return long(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x)); }
fn neg64(a: long) -> long { return sub64(long(0u, 0u), a); }
fn mul64(a: long, b: long) -> long { return mul_wide(a.x, b.x) + long(0u, a.x * b.y + a.y * b.x); }
fn mulhi64(a: long, b: long) -> long {
  let low = mul_wide(a.x, b.x); let one = add64(mul_wide(a.y, b.x), long(low.y, 0u));
  let two = add64(mul_wide(a.x, b.y), long(one.x, 0u));
  return add64(mul_wide(a.y, b.y), add64(long(one.y, 0u), long(two.y, 0u)));
}
fn below64(a: long, b: long) -> bool { return a.y < b.y || (a.y == b.y && a.x < b.x); }
fn less64(a: long, b: long) -> bool { return below64(long(a.x, a.y ^ 0x80000000u), long(b.x, b.y ^ 0x80000000u)); }
fn shl64(a: long, n: u32) -> long {
  if (n >= 32u) { return long(0u, a.x << (n - 32u)); }
  if (n == 0u) { return a; }
  return long(a.x << n, (a.y << n) | (a.x >> (32u - n)));
}
fn filled64(a: long, n: u32, fill: u32) -> long {
  if (n >= 32u) { return long((a.y >> (n - 32u)) | select(0u, fill << (63u - n) << 1u, n > 32u), fill); }
  if (n == 0u) { return a; }
  return long((a.x >> n) | (a.y << (32u - n)), (a.y >> n) | (fill << (32u - n)));
}
fn shr_u64(a: long, n: u32) -> long { return filled64(a, n, 0u); }
fn shr_i64(a: long, n: u32) -> long { return filled64(a, n, select(0u, 0xffffffffu, a.y >= 0x80000000u)); }
fn divide_u64(a: long, b: long) -> vec4<u32> {
  var q = long(0u, 0u); var r = long(0u, 0u);
  for (var i = 63; i >= 0; i -= 1) {
    r = shl64(r, 1u); r.x |= shr_u64(a, u32(i)).x & 1u;
    if (!below64(r, b)) { r = sub64(r, b); if (i >= 32) { q.y |= 1u << u32(i - 32); } else { q.x |= 1u << u32(i); } }
  }
  return vec4<u32>(q, r);
}
fn abs64(a: long) -> long { if (a.y >= 0x80000000u) { return neg64(a); } return a; }
fn quot_i64(a: long, b: long) -> long {
  let q = divide_u64(abs64(a), abs64(b)).xy;
  if (((a.y ^ b.y) >> 31u) == 1u) { return neg64(q); }
  return q;
}
fn rest_i64(a: long, b: long) -> long {
  let r = divide_u64(abs64(a), abs64(b)).zw;
  if (a.y >= 0x80000000u) { return neg64(r); }
  return r;
}
fn float_u64(a: long) -> f32 {
  if (a.y == 0u) { return f32(a.x); }
  let n = countLeadingZeros(a.y); let v = shl64(a, n);
  return f32(v.y | select(0u, 1u, v.x != 0u)) * float_of((159u - n) << 23u);
}
fn float_i64(a: long) -> f32 { if (a.y >= 0x80000000u) { return -float_u64(neg64(a)); } return float_u64(a); }
fn u64_of(x: f32) -> long { let high = floor(x * float_of(0x2f800000u)); return long(u32(x - high * float_of(0x4f800000u)), u32(high)); }
fn i64_of(x: f32) -> long { if (x < 0.0f) { return neg64(u64_of(-x)); } return u64_of(x); }
"""
_LONG = ("i64", "u64")


def _int64_operators():
    table = {"add": "add64({0}, {1})", "sub": "sub64({0}, {1})", "mul": "mul64({0}, {1})", "neg": "neg64({0})"}
    table |= {"eq": "all({0} == {1})", "ne": "any({0} != {1})", "shl": "shl64({0}, {1}.x)"}
    ops = {f"{op}.{d}": form for op, form in table.items() for d in _LONG}
    for d, less in (("i64", "less64"), ("u64", "below64")):
        ops |= {f"lt.{d}": less + "({0}, {1})", f"gt.{d}": less + "({1}, {0})"}
        ops |= {f"le.{d}": "!" + less + "({1}, {0})", f"ge.{d}": "!" + less + "({0}, {1})"}
        ops |= {
            f"min.{d}": "select({1}, {0}, " + less + "({0}, {1}))",
            f"max.{d}": "select({0}, {1}, " + less + "({0}, {1}))",
        }
        ops |= {
            f"shr.{d}": f"shr_{d}({{0}}, {{1}}.x)",
            f"cast.{d}.f32": f"float_{d}({{0}})",
            f"cast.f32.{d}": f"{d}_of({{0}})",
        }
        ops |= {
            f"cast.i32.{d}": "vec2<u32>(bitcast<u32>({0}), bitcast<u32>({0} >> 31u))",
            f"cast.{d}.i32": "bitcast<i32>({0}.x)",
        }
        ops |= {
            f"cast.u32.{d}": "vec2<u32>({0}, 0u)",
            f"cast.{d}.u32": "{0}.x",
            f"cast.bool.{d}": "vec2<u32>(u32({0}), 0u)",
        }
        ops |= {f"cast.{d}.bool": "any({0} != vec2<u32>(0u, 0u))"}
    ops |= {
        "quot.u64": "divide_u64({0}, {1}).xy",
        "rest.u64": "divide_u64({0}, {1}).zw",
        "mulhi.u64": "mulhi64({0}, {1})",
    }
    ops |= {"quot.i64": "quot_i64({0}, {1})", "rest.i64": "rest_i64({0}, {1})", "abs.i64": "abs64({0})"}
    return ops | {"cast.i64.u64": "{0}", "cast.u64.i64": "{0}", "bitcast.i64": "{0}", "bitcast.u64": "{0}"}


class WGSLRenderer(Renderer):
    kind = "wgsl"
    types = {"bool": "bool", "i32": "i32", "u32": "u32", "i64": "vec2<u32>", "u64": "vec2<u32>", "f32": "f32"}
    storage = dict.fromkeys(("i32", "u32", "f32", "i64", "u64"), "u32")
    functions = frozenset(("sqrt", "floor", "ceil", "trunc", "rint"))
    unique_buffers = words = True
    operators = Renderer.operators | _int64_operators() | {
        "cast": "{type}({0})", "bitcast": "bitcast<{type}>({0})", "where": "select({2}, {1}, {0})", "abs": "abs({0})",
        "min": "select({1}, {0}, {0} < {1})", "max": "select({1}, {0}, {0} > {1})", "isnan": "is_nan({0})",
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
        long = any(i.dtype in _LONG for i in kernel.body)
        kernel_text = super().render(kernel)
        return _HEAD + (_INT64 if long else "") + kernel_text

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
        if s.dtype in _LONG:
            return words + part
        return words + part[0] if s.dtype == "u32" else f"bitcast<{self.type(s.dtype)}>({words}{part[0]})"

    def statement(self, n, i):
        if i.op == "for" and i.dtype in _LONG:
            raise UnsupportedError(f"{self.kernel.name}: 'wgsl' counts in 32 bits")
        if i.op != "store":
            return super().statement(n, i)
        at, value = map(self.operand, i.args)
        buffer = self.kernel.buffers[i.attr]
        if buffer.dtype in _LONG:
            return f"{buffer.name}[2 * {at}] = {value}.x; {buffer.name}[2 * {at} + 1] = {value}.y;"
        word = value if buffer.dtype == "u32" else f"bitcast<u32>({value})"
        return (
            f"atomicStore(&{buffer.name}[{at}], {word});" if i.attr in self.atomic else f"{buffer.name}[{at}] = {word};"
        )

    def expression(self, i, a):
        if i.op != "load":
            return super().expression(i, a)
        buffer = self.kernel.buffers[i.attr]
        if buffer.dtype in _LONG:
            return f"vec2<u32>({buffer.name}[2 * {a[0]}], {buffer.name}[2 * {a[0]} + 1])"
        word = f"atomicLoad(&{buffer.name}[{a[0]}])" if i.attr in self.atomic else f"{buffer.name}[{a[0]}]"
        return word if buffer.dtype == "u32" else f"bitcast<{self.type(i.dtype)}>({word})"

    def literal(self, x, dtype):
        if dtype in _LONG:
            return f"vec2<u32>({x & 0xFFFFFFFF}u, {x >> 32 & 0xFFFFFFFF}u)"
        return super().literal(x, dtype)
