"""64-bit integers as two 32-bit words, low and high, for WGSL: functions and the operators that call them."""

from __future__ import annotations

FUNCTIONS = """alias long = vec2<u32>;
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
LONG = ("i64", "u64")


def operators():
    table = {"add": "add64({0}, {1})", "sub": "sub64({0}, {1})", "mul": "mul64({0}, {1})", "neg": "neg64({0})"}
    table |= {"eq": "all({0} == {1})", "ne": "any({0} != {1})", "shl": "shl64({0}, {1}.x)"}
    ops = {f"{op}.{d}": form for op, form in table.items() for d in LONG}
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
