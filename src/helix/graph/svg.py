"""A graph as SVG: well-formed whatever names a file brings, in light and dark, and without anything from outside."""

from __future__ import annotations

from collections.abc import Iterable

from .drawing import FAMILIES, Box, Drawing, name_of, plain, short
from .ir import Graph
from .layout import Cell, Frame, Layout

MARGIN = 20.0

INKS = {
    "light": {"ink": "#1d2733", "soft": "#5b6876", "wire": "#9aa7b4", "edge": "#cfd6dd", "group": "#f4f6f8", "box": "#ffffff"},
    "dark": {"ink": "#e6eaef", "soft": "#9fabb8", "wire": "#64707d", "edge": "#3d4650", "group": "#191e24", "box": "#222930"},
}  # fmt: skip
COLOURS = {
    "light": ("#2f6fde", "#0b857a", "#7653d3", "#b06a00", "#7b8794", "#9a5b3f", "#c73c82", "#4b50c4", "#24883f"),
    "dark": ("#6ea2ff", "#3cc4b6", "#a68bf5", "#e3a13a", "#93a0ad", "#d09478", "#f07ab5", "#9297f8", "#5bc878"),
}

_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


def escaped(text: str) -> str:
    """Text that is no markup, without the characters that XML cannot hold."""
    return "".join(_MARKUP.get(c, c) for c in plain(text))


def to_svg(graph: Graph, depth: int | None = None) -> str:
    """The picture of a graph; groups that lie deeper than `depth` are closed."""
    drawing = Drawing(graph)
    return drawn(drawing, () if depth is None else deeper_than(drawing, depth))


def deeper_than(drawing: Drawing, depth: int) -> set[int]:
    """The groups that have `depth` groups around them, or more."""
    found: set[int] = set()
    waiting = [(drawing.root, -1)]
    while waiting:
        box, level = waiting.pop()
        if level >= depth and box.parts:
            found.add(box.number)
        else:
            waiting += [(part, level + 1) for part in box.parts]
    return found


def drawn(drawing: Drawing, closed: Iterable[int] = ()) -> str:
    layout = Layout(drawing, frozenset(closed))
    width, height = (size + 2 * MARGIN for size in layout.sizes[0])
    root = drawing.root
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="helix-graph" viewBox="0 0 {_n(width)} {_n(height)}" '
        f'width="{_n(width)}" height="{_n(height)}" role="img">',
        f"<title>{escaped(root.title)}</title>",
        f"<desc>{escaped(drawing.told)}</desc>",
        f"<style>{style()}</style>",
        f'<rect class="paper" width="{_n(width)}" height="{_n(height)}"/>',
    ]
    _frame(lines, layout, layout.frames[0], MARGIN, MARGIN)
    lines.append("</svg>\n")
    return "\n".join(lines)


def style() -> str:
    """Colours and letters; dark only on screens that ask for it."""
    return f"{_FONTS}{_inks('light')}@media screen and (prefers-color-scheme:dark){{{_inks('dark')}}}"


_FONTS = (
    ".helix-graph text{font-family:ui-sans-serif,system-ui,'Segoe UI','DejaVu Sans',sans-serif}"
    ".helix-graph .title{font-size:12.5px;font-weight:600}"
    ".helix-graph .line{font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:10.4px}"
    ".helix-graph .caption{font-size:10px}"
    ".helix-graph .wire{fill:none;stroke-width:1.25}"
    ".helix-graph .from{font-size:10px;font-style:italic;paint-order:stroke;stroke-width:3px}"
)


def _inks(scheme: str) -> str:
    ink = INKS[scheme]
    rules = [
        f".paper{{fill:{ink['group'] if scheme == 'dark' else '#ffffff'}}}",
        f".title{{fill:{ink['ink']}}}",
        f".line,.caption{{fill:{ink['soft']}}}",
        f".from{{fill:{ink['soft']};stroke:{ink['group']}}}",
        f".wire{{stroke:{ink['wire']}}}",
        f".head{{fill:{ink['wire']}}}",
        f".group{{fill:{ink['group']};stroke:{ink['edge']}}}",
        f".box{{fill:{ink['box']};stroke:{ink['edge']}}}",
        f".pill{{fill:{ink['group']};stroke:{ink['wire']}}}",
    ]
    rules += [f".{name}{{fill:{colour}}}" for name, colour in zip(FAMILIES, COLOURS[scheme], strict=True)]
    return "".join(f".helix-graph {rule.replace(',.', ',.helix-graph .')}" for rule in rules)


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


# ---- pieces ------------------------------------------------------------------------------------------------


def _frame(lines: list[str], layout: Layout, frame: Frame, x: float, y: float) -> None:
    """What lies in a group whose corner is at x, y: wires below, boxes above."""
    paths: dict[int, list[str]] = {}
    heads: list[str] = []
    for a, b, source in frame.links:
        paths.setdefault(source, []).append(_link(layout, frame, a, b, source, x, y))
        if b.box is not None and (b.box.number not in layout.frames or b.box.sealed):
            end = x + layout.anchor(b, 0, source), y + _top(layout, frame, b)
            heads.append(f"M{_n(end[0])} {_n(end[1])}l-3.5 -6.5h7z")
    lines += [f'<path class="wire" data-from="{source}" d="{"".join(pieces)}"/>' for source, pieces in paths.items()]
    far: dict[Cell, list[str]] = {}
    for _, b, source in frame.far:
        far.setdefault(b, []).append(name_of(layout.drawing.boxes[source]))
    if heads:
        lines.append(f'<path class="head" d="{"".join(heads)}"/>')
    for row in frame.rows:
        for cell in row:
            if cell.box is not None:
                width = layout.sizes[cell.box.number][0]
                _box(lines, layout, cell.box, x + cell.x - width / 2, y + _top(layout, frame, cell))
    for cell, names in far.items():
        left = x + cell.x - (layout.sizes[cell.box.number][0] / 2 if cell.box is not None else 0)
        lines.append(
            _text("from", left, y + _top(layout, frame, cell) - 5, f"from {short(', '.join(dict.fromkeys(names)))}")
        )


def _top(layout: Layout, frame: Frame, cell: Cell) -> float:
    """Boxes stand in the middle of their row."""
    top, bottom = frame.tops[cell.row]
    return top if cell.box is None else (top + bottom - layout.sizes[cell.box.number][1]) / 2


def _link(layout: Layout, frame: Frame, a: Cell, b: Cell, source: int, x: float, y: float) -> str:
    """Straight within rows, curved between them; a lane begins at the top of its row."""
    x1, x2 = x + layout.anchor(a, 1, source), x + layout.anchor(b, 0, source)
    tall = layout.sizes[a.box.number][1] if a.box is not None else 0.0
    y1, y2 = y + _top(layout, frame, a) + tall, y + _top(layout, frame, b)
    low, high = y + frame.tops[a.row][1], y + frame.tops[b.row][0]
    middle = (low + high) / 2
    start = f"M{_n(x1)} {_n(y1)}" + (f"V{_n(low)}" if low != y1 else "")
    curve = f"C{_n(x1)} {_n(middle)} {_n(x2)} {_n(middle)} {_n(x2)} {_n(high)}" if x1 != x2 else f"V{_n(high)}"
    return start + curve + (f"V{_n(y2)}" if y2 != high else "")


def _box(lines: list[str], layout: Layout, box: Box, x: float, y: float) -> None:
    width, height = layout.sizes[box.number]
    lines.append(f'<g data-box="{box.number}"><title>{escaped(box.tip or box.title)}</title>')
    if box.number in layout.frames:
        _open(lines, layout, box, x, y)
    else:
        _closed(lines, layout, box, x, y, width, height)
    lines.append("</g>")


def _open(lines: list[str], layout: Layout, box: Box, x: float, y: float) -> None:
    frame = layout.frames[box.number]
    lines.append(_rectangle("group", x, y, frame.width, frame.height, 9))
    if box.family:
        lines.append(_rectangle(box.family, x + 10, y + 12, 8, 8, 2))
    left = x + (24 if box.family else 12)
    name = " ".join(part for part in (box.caption, box.title) if part)
    lines.append(_text("title", left, y + 20, name))
    _frame(lines, layout, frame, x, y)


def _closed(lines: list[str], layout: Layout, box: Box, x: float, y: float, width: float, height: float) -> None:
    pill = box.kind in ("input", "output")
    if box.parts:
        lines.append(_rectangle("box under", x + 3, y + 3, width, height, 6))
    lines.append(_rectangle("pill" if pill else "box", x, y, width, height, height / 2 if pill else 6))
    if box.family:
        lines.append(_rectangle(box.family, x + 5, y + 6, 3.5, height - 12, 1.75))
    if not pill:
        _share(lines, layout, box, x, y, width, height)
    left = x + width / 2 if pill else x + 15
    anchor = ' text-anchor="middle"' if pill else ""
    base = y + 18
    if box.caption:
        lines.append(_text("caption", left, base - 2, box.caption))
        base += 13
    lines.append(_text("title", left, base, box.title, anchor))
    for i, line in enumerate(box.said):
        lines.append(_text("line", left, base + 14.5 + 14 * i, line, anchor))


def share(drawing: Drawing, box: Box) -> float:
    """Of the operations of all; of the bytes moved where there are no operations."""
    if drawing.total.flops:
        return box.cost.flops / drawing.total.flops
    return box.cost.bytes / drawing.total.bytes if drawing.total.bytes else 0.0


def _share(lines: list[str], layout: Layout, box: Box, x: float, y: float, width: float, height: float) -> None:
    part = share(layout.drawing, box)
    if part >= 0.01:
        lines.append(_rectangle(box.family or "shape", x + 15, y + height - 5, max(2.0, part * (width - 24)), 2, 1))


def _rectangle(name: str, x: float, y: float, width: float, height: float, radius: float) -> str:
    return f'<rect class="{name}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="{_n(radius)}"/>'


def _text(name: str, x: float, y: float, text: str, more: str = "") -> str:
    return f'<text class="{name}" x="{_n(x)}" y="{_n(y)}"{more}>{escaped(text)}</text>'
