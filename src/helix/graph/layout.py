"""Where boxes lie: in rows by how deep they stand in the flow, ordered by the mean place of their neighbours.

Each group is laid out by itself. A wire that goes past rows has a cell of its own, a lane, in each of them; one that comes into a
group or leaves it does so by a port at the group's edge. Every step takes time in proportion to boxes, wires and lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from .drawing import Box, Drawing

ROW_GAP, BOX_GAP, LANE_GAP = 30.0, 26.0, 12.0
PAD, HEAD = 16.0, 30.0  # around what is in a group, and above it
WIDEST = 10  # boxes in a row
FAR = 48  # rows beyond which a wire has no lanes
SWEEPS = 8
BOX_PULL = 4.0  # how much more a box draws its neighbours than a lane does
LANE_WEIGHT = 3.0  # how much less a lane gives way than a box does
LOOSE = 0.3  # of a cell without neighbours, and of a lane that begins or ends at boxes: it bends there
TITLE, LINE = 7.4, 6.3  # pixels that a letter of a title, and of a line, is wide


class Cell:
    """A place in a row: of a box, a lane, or a port. `x` is its middle."""

    __slots__ = ("after", "before", "box", "row", "source", "width", "x")

    def __init__(self, row: int, box: Box | None, source: int) -> None:
        self.row, self.box, self.source = row, box, source
        self.x = self.width = 0.0
        self.before: list[Cell] = []
        self.after: list[Cell] = []


class Frame:
    """A group that is open: its rows, the first and last of them ports, and the links between cells of neighbouring rows, each
    with the number of the box where the wire begins. Wires of `far` go straight."""

    __slots__ = ("box", "far", "height", "links", "ports", "rows", "tops", "width")

    def __init__(self, box: Box, rows: list[list[Cell]]) -> None:
        self.box, self.rows = box, rows
        self.links: list[tuple[Cell, Cell, int]] = []
        self.far: list[tuple[Cell, Cell, int]] = []
        self.ports: tuple[dict[int, Cell], dict[int, Cell]] = ({}, {})
        self.tops: list[tuple[float, float]] = []
        self.width = self.height = 0.0


class Layout:
    """The places of all boxes of a drawing. `closed` are numbers of groups that are drawn as one box."""

    def __init__(self, drawing: Drawing, closed: Collection[int] = ()) -> None:
        self.drawing = drawing
        self.closed = closed
        self.frames: dict[int, Frame] = {}
        self.sizes: dict[int, tuple[float, float]] = {}
        routes = _routes(drawing, self._outermost())
        for box in reversed(drawing.boxes):  # what is inside comes before what is around it
            if self.is_open(box):
                frame = self.frames[box.number] = _framed(box, routes.get(box.number, {}))
                self._place(frame)
                self.sizes[box.number] = (frame.width, frame.height)
            else:
                self.sizes[box.number] = size_of(box)

    def _outermost(self) -> list[int]:
        """For each box the outermost closed group around it, or itself: where its wires are seen to begin."""
        found: list[int] = []
        for box in self.drawing.boxes:  # what is around comes before what is inside
            above = box.parent
            hidden = above is not None and (found[above.number] != above.number or not self.is_open(above))
            found.append(found[above.number] if above is not None and hidden else box.number)
        return found

    def is_open(self, box: Box) -> bool:
        return bool(box.parts or box.kind == "graph") and box.number not in self.closed

    def anchor(self, cell: Cell, end: int, source: int) -> float:
        """The x at which the wire of a source meets a cell from above (end 0) or below (end 1)."""
        if cell.box is not None and (frame := self.frames.get(cell.box.number)) is not None:
            port = frame.ports[end].get(source)
            if port is not None:
                return cell.x - frame.width / 2 + port.x
        return cell.x

    def _place(self, frame: Frame) -> None:
        for row in frame.rows:
            for cell in row:
                cell.width = self.sizes[cell.box.number][0] if cell.box is not None else 2.0
        _spread(frame.rows)
        across(frame)
        down(frame, self.sizes)


def size_of(box: Box) -> tuple[float, float]:
    """Width and height of a box that is closed."""
    wide = max([TITLE * len(box.title), *[LINE * len(line) for line in (*box.said, box.caption)]])
    return max(88.0, float(int(wide + 26.5))), 29.0 + 14 * len(box.said) + (13 if box.caption else 0)


# ---- rows --------------------------------------------------------------------------------------------------

Route = tuple[int, int, int]  # source; from and to: number of a box, -1 for the edge of the group


def _routes(drawing: Drawing, outermost: list[int]) -> dict[int, dict[Route, None]]:
    """What wires do in each group: from box to box, from the edge to a box, from a box to the edge. Those of a closed group are one."""
    found: dict[int, dict[Route, None]] = {}
    for a, b in dict.fromkeys((outermost[a], outermost[b]) for a, b in drawing.wires):
        if a == b:
            continue
        left, right = _path(drawing.boxes[a]), _path(drawing.boxes[b])
        shared = 0
        while left[shared + 1] == right[shared + 1]:
            shared += 1
        found.setdefault(left[shared], {})[a, left[shared + 1], right[shared + 1]] = None
        for path, out in ((left, True), (right, False)):
            for group, part in zip(path[shared + 1 :], path[shared + 2 :], strict=False):
                found.setdefault(group, {})[(a, part, -1) if out else (a, -1, part)] = None
    return found


def _path(box: Box) -> list[int]:
    """The numbers of the groups around a box, the outermost first, and its own."""
    path = [box.number]
    while box.parent is not None:
        box = box.parent
        path.append(box.number)
    return path[::-1]


def _ranks(box: Box, routes: Iterable[Route]) -> dict[int, int]:
    """The row of each part: below all that it takes; views, and what takes nothing, near what takes them."""
    before: dict[int, list[int]] = {part.number: [] for part in box.parts}
    after: dict[int, list[int]] = {part.number: [] for part in box.parts}
    entered = set()
    for _, a, b in routes:
        if a >= 0 and b >= 0:
            before[b].append(a)
            after[a].append(b)
        elif a < 0:
            entered.add(b)
    ranks: dict[int, int] = {}
    count: dict[int, int] = {}
    full: dict[int, int] = {}  # rows found full, and one that may have room
    for part in box.parts:
        row = 1 + max((ranks[a] for a in before[part.number]), default=-1)
        if part.kind == "output" and part.number not in entered and not before[part.number]:
            row = max(count, default=0)
        while count.get(row, 0) >= WIDEST:
            row = full.get(row, row + 1)
        ranks[part.number] = row
        count[row] = count.get(row, 0) + 1
        if count[row] >= WIDEST:
            full[row] = row + 1
    for part in reversed(box.parts):
        idle = part.family == "shape" or (not before[part.number] and part.number not in entered)
        if part.kind != "input" and idle and after[part.number]:
            ranks[part.number] = max(ranks[part.number], min(ranks[b] for b in after[part.number]) - 1)
    return ranks


def _framed(box: Box, routes: dict[Route, None]) -> Frame:
    ranks = _ranks(box, routes)
    last = max(ranks.values(), default=-1) + 2
    rows: list[list[Cell]] = [[] for _ in range(last + 1)]
    frame = Frame(box, rows)
    cells: dict[int, Cell] = {}
    for part in box.parts:
        cell = cells[part.number] = Cell(ranks[part.number] + 1, part, part.number)
        rows[cell.row].append(cell)
    starts: dict[tuple[int, int], list[Cell]] = {}
    for source, a, b in routes:
        starts.setdefault((source, a), []).append(cells[b] if b >= 0 else _port(frame, 1, source, last))
    for (source, a), ends in starts.items():
        _run(frame, cells[a] if a >= 0 else _port(frame, 0, source, 0), ends, source)
    for _ in range(4):
        _order(rows)
    return frame


def _port(frame: Frame, end: int, source: int, row: int) -> Cell:
    ports = frame.ports[end]
    if source not in ports:
        ports[source] = Cell(row, None, source)
        frame.rows[row].append(ports[source])
    return ports[source]


def _run(frame: Frame, start: Cell, ends: list[Cell], source: int) -> None:
    """Links a cell with those that it goes to, along lanes that they share."""
    near = [end for end in ends if end.row - start.row <= FAR]
    frame.far += [(start, end, source) for end in ends if end.row - start.row > FAR]
    lane = start
    for row in range(start.row + 1, max((end.row for end in near), default=0) + 1):
        for end in near:
            if end.row == row:
                _link(frame, lane, end, source)
        if any(end.row > row for end in near):
            further = Cell(row, None, source)
            frame.rows[row].append(further)
            _link(frame, lane, further, source)
            lane = further


def _link(frame: Frame, a: Cell, b: Cell, source: int) -> None:
    frame.links.append((a, b, source))
    a.after.append(b)
    b.before.append(a)


def _order(rows: list[list[Cell]]) -> None:
    """Once down and once up, each row by the mean place of its neighbours."""
    for step, neighbours in ((1, _before), (-1, _after)):
        place: dict[Cell, float] = {}
        for row in rows[::step]:
            wanted: dict[Cell, float] = {}
            for i, cell in enumerate(row):
                near = neighbours(cell)
                wanted[cell] = sum(place[other] for other in near) / len(near) if near else (i + 0.5) / len(row)
            row.sort(key=wanted.__getitem__)
            place = {cell: (i + 0.5) / len(row) for i, cell in enumerate(row)}


def _before(cell: Cell) -> list[Cell]:
    return cell.before


def _after(cell: Cell) -> list[Cell]:
    return cell.after


# ---- coordinates -------------------------------------------------------------------------------------------


def _gap(a: Cell, b: Cell) -> float:
    """Between the middles of two neighbours."""
    return (a.width + b.width) / 2 + (BOX_GAP if a.box is not None and b.box is not None else LANE_GAP)


def _spread(rows: list[list[Cell]]) -> None:
    for row in rows:
        x = 0.0
        for i, cell in enumerate(row):
            x += _gap(row[i - 1], cell) if i else 0.0
            cell.x = x
        for cell in row:
            cell.x -= x / 2


def across(frame: Frame) -> None:
    """Draws cells to the middle of their neighbours, as near as order and gaps allow; then moves all so that they begin at the pad."""
    for sweep in range(SWEEPS):
        upwards = sweep % 2 == 1
        neighbours: Callable[[Cell], list[Cell]] = _after if upwards else _before
        for row in frame.rows[::-1] if upwards else frame.rows:
            _settle(row, neighbours)
    left = min((cell.x - cell.width / 2 for row in frame.rows for cell in row), default=0.0)
    right = max((cell.x + cell.width / 2 for row in frame.rows for cell in row), default=0.0)
    wanted = max(right - left + 2 * PAD, TITLE * len(frame.box.title) + 2 * PAD + 24)
    shift = (wanted - (right - left)) / 2 - left
    for row in frame.rows:
        for cell in row:
            cell.x += shift
    frame.width = wanted


def _settle(row: list[Cell], neighbours: Callable[[Cell], list[Cell]]) -> None:
    """Least squares with gaps: what would overlap moves together (pool adjacent violators)."""
    blocks: list[list[float]] = []  # sum of weight times place, weight, cells
    offset, offsets = 0.0, []
    for i, cell in enumerate(row):
        offset += _gap(row[i - 1], cell) if i else 0.0
        offsets.append(offset)
        near = neighbours(cell)
        pull = [1.0 if other.box is None else BOX_PULL for other in near]
        wanted = sum(w * other.x for w, other in zip(pull, near, strict=True)) / sum(pull) if near else cell.x
        weight = LOOSE if not near else 1.0 if cell.box is not None else LANE_WEIGHT if min(pull) < BOX_PULL else LOOSE
        blocks.append([weight * (wanted - offset), weight, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, heavy, many = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += heavy
            blocks[-1][2] += many
    i = 0
    for total, heavy, many in blocks:
        for _ in range(int(many)):
            row[i].x = total / heavy + offsets[i]
            i += 1


def down(frame: Frame, sizes: dict[int, tuple[float, float]]) -> None:
    """The top and bottom of each row."""
    y = 0.0
    for i, row in enumerate(frame.rows):
        tall = max((sizes[cell.box.number][1] for cell in row if cell.box is not None), default=0.0)
        frame.tops.append((y, y + tall))
        if i == 0:
            y = 0.0 if frame.box.kind == "graph" else HEAD + PAD / 2
        else:
            y += tall + (PAD if i >= len(frame.rows) - 2 else ROW_GAP)
    frame.height = frame.tops[-1][1]
