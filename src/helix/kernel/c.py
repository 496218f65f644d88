"""C, for devices whose kernels run on a host: the tests, `sim`, and plugins with a C compiler.

    void name(void *const *buffers, const uint64_t *scalars, const uint32_t *grid, uint64_t begin, uint64_t end)

runs the groups [begin, end) of the grid, counted along x first; groups may run on several threads at once. The items of
a group run one after another between two barriers: what stands between them becomes a loop over the items, loops and
conditions around a barrier are run once by the group (the verifier has made sure that all items agree on them), and
values that live across a barrier are kept in an array with a place for each item.
"""

from __future__ import annotations

from helix.kernel import ir
from helix.kernel.render import Renderer

_HEAD = """#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#define BITS(to, from, x) (__extension__({ union { from a; to b; } u_ = {x}; u_.b; }))
"""
_PURE = ir.ARITHMETIC | ir.COMPARISONS | ir.FUNCTIONS | {"cast", "bitcast", "group_id", "num_groups"}


class CRenderer(Renderer):
    kind = "c"
    types = {
        "bool": "bool", "i32": "int32_t", "u32": "uint32_t", "i64": "int64_t", "u64": "uint64_t", "f32": "float",
        "f64": "double",
    }  # fmt: skip
    storage = {
        "i8": "int8_t", "u8": "uint8_t", "i16": "int16_t", "u16": "uint16_t", "i32": "int32_t", "u32": "uint32_t",
        "i64": "int64_t", "u64": "uint64_t", "f32": "float", "f64": "double",
    }  # fmt: skip
    operators = Renderer.operators | {
        "bitcast": "BITS({type}, {source}, {0})", "abs.f32": "fabsf({0})", "abs.f64": "fabs({0})",
        "mulhi.u32": "(uint32_t)(((uint64_t){0} * {1}) >> 32)",
        "mulhi.u64": "(uint64_t)(((unsigned __int128){0} * {1}) >> 64)",
    }  # fmt: skip
    function_form = {"f32": "{name}f({args})", "f64": "{name}({args})"}
    suffix = Renderer.suffix | {"i64": "LL", "u64": "ULL"}
    head = _HEAD
    exact_head = '#pragma GCC optimize("fp-contract=off")\n' + _HEAD
    ids = {"group_id": "({type})group_id{number}",
           "num_groups": "({type})grid[{number}]"}  # fmt: skip
    shared_form = "{type} {name}[{size}];"
    buffer_form = "{const}{type} *{name}"
    kept: frozenset[int] | set[int] = frozenset()  # values that live across a barrier

    def render(self, kernel):
        self.kernel = kernel
        tree, _ = _tree(kernel.body, 0)
        self.kept, self.segment = set(), {}
        self.uniform = set()
        if any(i.op == "barrier" for i in kernel.body):
            self.number_segments(tree, [0])
            self.find_kept()
            body = self.sequence(tree, 2)
        else:
            body = self.item_loop(self.block(range(len(kernel.body)), 3), 2)
        lines = [self.open(kernel), *body, "  }", "}"]
        return (self.exact_head if kernel.exact else self.head) + "\n".join(lines) + "\n"

    def inside(self, written):
        return [*self.item_loop(super().inside(written), 2), "  }"]

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

    # ---- groups with barriers ----

    def number_segments(self, tree, counter):
        """The segment of each instruction, and which instructions the group runs once."""
        counter[0] += 1
        for node in tree:
            n, i = node[0], self.kernel.body[node[0]]
            if i.op == "barrier":
                counter[0] += 1
            elif _has_barrier(node, self.kernel.body):
                self.uniform.add(n)
                for part in node[1:]:
                    self.number_segments(part, counter)
                counter[0] += 1
            else:
                given = i.op in ("const", "scalar") or (i.op in _PURE and len(node) == 1)
                if given and all(a in self.uniform for a in i.args):
                    self.uniform.add(n)
                for m in _numbers(node):
                    self.segment[m] = counter[0]

    def find_kept(self):
        for n, i in enumerate(self.kernel.body):
            if n not in self.segment:
                continue
            uses = [*i.args, i.attr] if i.op in ("get", "set") else i.args
            for a in uses:
                if self.kernel.body[a].op == "local_id":
                    continue
                if a not in self.uniform and a in self.segment and self.segment[a] != self.segment[n]:
                    self.kept.add(a)

    def sequence(self, tree, depth):
        lines, pending = [], []

        def flush():
            if pending:
                lines.extend(self.item_loop(list(pending), depth))
                pending.clear()

        for node in tree:
            n, i = node[0], self.kernel.body[node[0]]
            if i.op == "barrier":
                flush()
            elif n in self.uniform and len(node) == 1:
                lines += self.block([n], depth)
            elif n in self.uniform:
                flush()
                lines += self.block([n], depth)
                for k, part in enumerate(node[1:]):
                    lines += ["  " * depth + "} else {"] if k else []
                    lines += self.sequence(part, depth + 1)
                lines.append("  " * depth + "}")
            else:
                pending += self.block(_numbers(node), depth + 1)
        flush()
        return lines

    def item_loop(self, lines, depth):
        x, y, z = self.kernel.group
        items = x * y * z
        pad = "  " * depth
        text = "\n".join(lines)
        first = f"item % {x}" if items > x else "item"
        ids = (("local_id0", first), ("local_id1", f"item / {x} % {y}"), ("local_id2", f"item / {x * y}"))
        used = [f"{pad}  const uint32_t {name} = {value};" for name, value in ids if name in text]
        return [f"{pad}for (uint32_t item = 0; item < {items}; item++) {{", *used, *lines, pad + "}"]

    def statement(self, n, i):
        return "" if i.op == "local_id" else super().statement(n, i)

    def operand(self, n):
        i = self.kernel.body[n]
        return f"({self.type(i.dtype)})local_id{i.attr}" if i.op == "local_id" else super().operand(n)

    def name(self, n):
        return f"k{n}[item]" if n in self.kept else f"v{n}"

    def define(self, n, text):
        return f"k{n}[item] = {text.split(' = ', 1)[1]}" if n in self.kept else text


def _tree(body, start):
    """Nodes (number,) or (number, children[, children of else]), and where the sequence ended."""
    nodes, n = [], start
    while n < len(body) and body[n].op not in ("end", "else"):
        if body[n].op in ir.BLOCKS:
            inside, stop = _tree(body, n + 1)
            node = [n, inside]
            if body[stop].op == "else":
                other, stop = _tree(body, stop + 1)
                node.append(other)
            node_end = stop
            nodes.append(_Block(node, node_end))
            n = stop + 1
        else:
            nodes.append((n,))
            n += 1
    return nodes, n


class _Block(tuple):
    """A node with children that knows the number of its `end`."""

    def __new__(cls, parts, stop):
        self = super().__new__(cls, parts)
        self.stop = stop
        return self


def _numbers(node):
    return range(node[0], node.stop + 1) if isinstance(node, _Block) else range(node[0], node[0] + 1)


def _has_barrier(node, body):
    return isinstance(node, _Block) and any(body[n].op == "barrier" for n in _numbers(node))
