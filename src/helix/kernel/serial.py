"""Groups for languages that run one item at a time: loops over the items of a group, cut at barriers.

The parts of a kernel between barriers are loops of their own; loops and conditions around a barrier are run once by the
group (the verifier has made sure that all items agree on them), and values that live across a barrier are kept in an
array with a place for each item.
"""

from __future__ import annotations

from helix.kernel import ir
from helix.kernel.render import Renderer

_PURE = ir.ARITHMETIC | ir.COMPARISONS | ir.FUNCTIONS | {"cast", "bitcast", "group_id", "num_groups"}


class SerialRenderer(Renderer):
    """`open` ends inside a loop over groups, and declares the values that are `kept`."""

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
