"""C, for devices whose kernels run on a host: the tests, `sim`, and plugins with a C compiler.

    void name(void *const *buffers, const uint64_t *scalars, const uint32_t *grid, uint64_t begin, uint64_t end)

runs the groups [begin, end) of the grid, counted along x first; groups may run on several threads at once. The items of
a group run one after another (serial.py).
"""

from __future__ import annotations

from helix.kernel import ir
from helix.kernel.serial import SerialRenderer

_HEAD = """#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#define BITS(to, from, x) (__extension__({ union { from a; to b; } u_ = {x}; u_.b; }))
"""


class CRenderer(SerialRenderer):
    kind = "c"
    types = {
        "bool": "bool", "i32": "int32_t", "u32": "uint32_t", "i64": "int64_t", "u64": "uint64_t", "f32": "float",
        "f64": "double",
    }  # fmt: skip
    storage = {
        "i8": "int8_t", "u8": "uint8_t", "i16": "int16_t", "u16": "uint16_t", "i32": "int32_t", "u32": "uint32_t",
        "i64": "int64_t", "u64": "uint64_t", "f32": "float", "f64": "double",
    }  # fmt: skip
    operators = SerialRenderer.operators | {
        "bitcast": "BITS({type}, {source}, {0})", "abs.f32": "fabsf({0})", "abs.f64": "fabs({0})",
        "mulhi.u32": "(uint32_t)(((uint64_t){0} * {1}) >> 32)",
        "mulhi.u64": "(uint64_t)(((unsigned __int128){0} * {1}) >> 64)",
    }  # fmt: skip
    function_form = {"f32": "{name}f({args})", "f64": "{name}({args})"}
    suffix = SerialRenderer.suffix | {"i64": "LL", "u64": "ULL"}
    head = _HEAD
    exact_head = '#pragma GCC optimize("fp-contract=off")\n' + _HEAD
    ids = {"group_id": "({type})group_id{number}",
           "num_groups": "({type})grid[{number}]"}  # fmt: skip
    shared_form = "{type} {name}[{size}];"
    buffer_form = "{const}{type} *{name}"

    def open(self, kernel):
        name, items = kernel.name, kernel.group[0] * kernel.group[1] * kernel.group[2]
        lines = [
            f"void {name}(void *const *buffers, const uint64_t *scalars, const uint32_t *grid, uint64_t begin, uint64_t end) {{"
        ]
        for n, b in enumerate(kernel.buffers):
            const = "" if b.written else "const "
            lines.append(f"  {const}{self.stored(b.dtype)} *{b.name} = buffers[{n}];")
        for n, s in enumerate(kernel.scalars):
            bits = "uint32_t" if ir.BITS[s.dtype] == 32 else "uint64_t"
            lines.append(
                f"  const {self.type(s.dtype)} {s.name} = BITS({self.type(s.dtype)}, {bits}, ({bits})scalars[{n}]);"
            )
        lines += ["  " + self.shared_form.format(type=self.type_of(s), name=s.name, size=s.size) for s in kernel.shared]
        lines += [f"  {self.type(kernel.body[n].dtype)} k{n}[{items}];" for n in sorted(self.kept)]
        lines.append("  for (uint64_t group = begin; group < end; group++) {")
        lines.append(
            "    const uint32_t group_id0 = (uint32_t)(group % grid[0]), group_id1 = (uint32_t)(group / grid[0] % grid[1]);"
        )
        lines.append("    const uint32_t group_id2 = (uint32_t)(group / grid[0] / grid[1]);")
        lines.append("    (void)group_id0, (void)group_id1, (void)group_id2, (void)scalars;")
        return "\n".join(lines)
