"""A graph as one HTML file: zoom, search, groups that open and close, shapes and costs; nothing comes from the network."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from importlib import resources
from typing import Any

from . import layout as places
from .drawing import FAMILIES, Box, Drawing, tree_data
from .ir import Graph
from .layout import Cell, Frame, Layout
from .svg import COLOURS, drawn, escaped, style

FIRST = 60  # boxes that are seen at first, about


def to_html(graph: Graph) -> str:
    """The page of a graph."""
    drawing = Drawing(graph)
    layout = Layout(drawing)
    data = {
        "boxes": tree_data(drawing),
        "frames": {str(number): _frame_data(frame) for number, frame in layout.frames.items()},
        "wires": drawing.wires,
        "open": first_open(drawing),
        "total": {"flops": drawing.total.flops, "bytes": drawing.total.bytes},
        "sizes": {
            "title": places.TITLE,
            "line": places.LINE,
            "boxGap": places.BOX_GAP,
            "laneGap": places.LANE_GAP,
            "rowGap": places.ROW_GAP,
            "pad": places.PAD,
            "head": places.HEAD,
            "sweeps": places.SWEEPS,
            "boxPull": places.BOX_PULL,
            "laneWeight": places.LANE_WEIGHT,
            "loose": places.LOOSE,
        },
    }
    script = _file("viewer.js")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escaped(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escaped(graph.name)} · graph</title>",
            f"<style>{_file('page.css')}{style()}{_dots()}</style>",
            _header(drawing),
            "<main>",
            '<div id="canvas" tabindex="0" aria-label="the graph"></div>',
            '<aside id="panel" aria-live="polite" hidden></aside>',
            f"<footer>{_legend(drawing)}</footer>",
            f"<noscript>{drawn(drawing)}</noscript>",
            "</main>",
            f'<script type="application/json" id="graph">{_inert(data)}</script>',
            f"<script>{script}</script>",
            "</html>\n",
        ]
    )


def in_notebook(graph: Graph) -> str:
    """The page in a frame of its own, so that its style stays in it."""
    return (
        f'<iframe srcdoc="{escaped(to_html(graph))}" sandbox="allow-scripts" title="{escaped(graph.name)}" '
        'style="width:100%;height:560px;border:1px solid #8886;border-radius:8px"></iframe>'
    )


def first_open(drawing: Drawing) -> list[int]:
    """The groups that are open at first: level by level, as long as not too much is seen."""
    found: list[int] = []
    level = [part for part in drawing.root.parts if part.parts]
    seen = len(drawing.root.parts)
    while level and seen + sum(len(box.parts) for box in level) <= FIRST:
        seen += sum(len(box.parts) for box in level)
        found += [box.number for box in level]
        level = [part for box in level for part in box.parts if part.parts]
    return found


def _header(drawing: Drawing) -> str:
    buttons = [
        ("close", "close all", "c"),
        ("open", "open all", "e"),
        ("zoom-out", "−", "-"),
        ("zoom-in", "+", "+"),
        ("fit", "fit", "0"),
        ("whole", "whole", "w"),
    ]
    made = "".join([f'<button id="{name}" title="key {key}">{text}</button>' for name, text, key in buttons])
    return (
        f'<header><h1>{escaped(drawing.root.title)}</h1><span class="sum">{escaped(drawing.told)}</span><div class="tools">'
        f'<span id="status" role="status"></span><input id="search" type="search" placeholder="search ( / )" '
        f'aria-label="search">{made}</div></header>'
    )


def _legend(drawing: Drawing) -> str:
    """The colours that are there, and what else a box shows."""
    there = {box.family for box in drawing.boxes}
    told = [f'<span class="dot {name}">{name}</span>' for name in FAMILIES if name in there]
    if any(box.parts for box in drawing.boxes[1:]):
        told.append('<span class="stack">closed group: double-click or Enter opens it</span>')
    told.append(f'<span class="bar">share of {"operations" if drawing.total.flops else "bytes moved"}</span>')
    return "".join(told)


def _dots() -> str:
    light, dark = (
        "".join(f"footer .{name}{{--dot:{colour}}}" for name, colour in zip(FAMILIES, COLOURS[scheme], strict=True))
        for scheme in ("light", "dark")
    )
    return f"{light}@media screen and (prefers-color-scheme:dark){{{dark}}}"


def _inert(data: Any) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _file(name: str) -> str:
    return resources.files(__package__).joinpath("viewer", name).read_text(encoding="utf-8")


# ---- rows as numbers ---------------------------------------------------------------------------------------


def _frame_data(frame: Frame) -> dict[str, Any]:
    """Rows of cells (a box's number, -1 for a lane, -2 - source for a port) and links between cells by row and place."""
    place = {cell: (r, i) for r, row in enumerate(frame.rows) for i, cell in enumerate(row)}
    ports = {cell: -2 - cell.source for end in frame.ports for cell in end.values()}
    return {
        "rows": [[_reference(cell, ports) for cell in row] for row in frame.rows],
        "links": [[*place[a], place[b][1], source] for a, b, source in frame.links],
        "far": [[*place[a], *place[b], source] for a, b, source in frame.far],
    }


def _reference(cell: Cell, ports: dict[Cell, int]) -> int:
    box: Box | None = cell.box
    return box.number if box is not None else ports.get(cell, -1)
