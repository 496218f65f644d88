"""Pictures and pages of graphs: sound for every model, in order, and inert whatever names a file brings."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import helix
from helix import models, nn
from helix.cli.live import Live
from helix.cli.main import cli
from helix.data import DataInfo
from helix.errors import ConfigError
from helix.graph import Dim, Graph, Spec
from helix.graph.drawing import Drawing
from helix.graph.ir import NOWHERE
from helix.graph.layout import FAR, Layout
from helix.graph.svg import deeper_than, drawn
from helix.graph.view import first_open

IMAGE, TEXT = DataInfo("classification", (3, 32, 32), 10), DataInfo("language", (24,), 256, vocabulary=256)
TOKENS = ("decoder", "h3", "hyena", "mamba", "mamba2", "s4", "s4d", "s5", "hybrid")


def kind(name: str) -> Graph:
    info = (
        DataInfo("classification", (24,), 4, vocabulary=256) if name == "textcnn" else TEXT if name in TOKENS else IMAGE
    )
    with nn.init.skipped():
        model = models.build(name, info)
    spec = Spec((2, 24), helix.int64) if name in TOKENS or name == "textcnn" else Spec((2, 3, 32, 32))
    return helix.trace(model, spec)


def step() -> Graph:
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
    return helix.trace(lambda x: (model(x) ** 2).mean().backward() or x.sum(), Spec((Dim("B"), 4, 8)))


def flow() -> Graph:
    def body(carry: helix.Tensor, row: helix.Tensor) -> tuple[helix.Tensor, helix.Tensor]:
        carry = helix.cond(row.sum() > 0, lambda: carry + row, lambda: carry * 0.5)
        return carry, carry.sum()

    return helix.trace(lambda x: helix.scan(body, helix.zeros(4), x), Spec((6, 4)))


def long() -> Graph:
    """A value that is needed again far away, and many ops side by side."""

    def run(x: helix.Tensor) -> helix.Tensor:
        y = x
        for i in range(FAR + 10):
            y = (y + i).sin()
        parts = [(y * i).exp() for i in range(30)]
        return helix.stack(parts).sum(0) + x

    graph = helix.trace(run, Spec((3,)))
    for node in graph.nodes:
        node.place = NOWHERE
    return graph


GRAPHS: dict[str, Callable[[], Graph]] = {
    **{name: lambda name=name: kind(name) for name in models.KINDS},
    "step": step,
    "flow": flow,
    "long": long,
    "no ops": lambda: helix.trace(lambda x: x, Spec((2,))),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_every_picture_is_sound(name: str) -> None:
    graph = GRAPHS[name]()
    root = ElementTree.fromstring(graph.to_svg())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    drawing = Drawing(graph)
    boxes = root.findall(".//*[@data-box]")
    assert len(boxes) == len(drawing.boxes) - 1
    assert graph.dims or drawing.total == graph.cost()
    assert len([box for box in drawing.boxes if box.kind in ("op", "body")]) >= len(graph.nodes)
    whole(Layout(drawing), 0)


def whole(layout: Layout, number: int) -> None:
    """Nothing lies upon another, or outside of what it is part of; wires go down."""
    frame = layout.frames[number]
    wide, high = layout.sizes[number]
    for row in frame.rows:
        for a, b in zip(row, row[1:], strict=False):
            assert a.x + a.width / 2 < b.x - b.width / 2
        for cell in row:
            assert cell.x - cell.width / 2 >= 0 and cell.x + cell.width / 2 <= wide + 1e-6
            if cell.box is not None and cell.box.number in layout.frames:
                whole(layout, cell.box.number)
    assert all(below[0] >= above[1] for above, below in zip(frame.tops, frame.tops[1:], strict=False))
    assert frame.tops[-1][1] <= high
    assert all(b.row == a.row + 1 for a, b, _ in frame.links) and all(b.row > a.row for a, b, _ in frame.far)


def test_wires_lead_from_makers_to_takers() -> None:
    graph = long()
    drawing = Drawing(graph)
    named = {(drawing.boxes[a].title, drawing.boxes[b].title) for a, b in drawing.wires}
    assert {("x", "add"), ("sin", "mul"), ("exp", "stack"), ("stack", "sum"), ("add", "output")} <= named
    layout = Layout(drawing)
    reached: dict[int, set[int]] = {}
    for _, b, source in [*layout.frames[0].links, *layout.frames[0].far]:
        if b.box is not None:
            reached.setdefault(source, set()).add(b.box.number)
    assert {(a, b) for a, ends in reached.items() for b in ends} == set(drawing.wires)
    assert layout.frames[0].far and max(sum(c.box is not None for c in row) for row in layout.frames[0].rows) < 30


def test_modules_open_and_close() -> None:
    graph = kind("resnet18")
    drawing = Drawing(graph)
    titles = [box.title for box in drawing.root.parts if box.kind == "group"]
    assert titles == ["bn1", "layer1", "layer2", "layer3", "layer4"]
    assert drawing.root.parts[1].caption == "conv1" and drawing.root.parts[1].title == "conv2d"
    assert any(line.startswith("→ bn1.running_mean") for box in drawing.boxes for line in box.lines)
    closed = ElementTree.fromstring(graph.to_svg(depth=0))
    assert len(closed.findall(".//*[@data-box]")) == len(drawing.root.parts)
    assert f">{drawing.root.parts[5].ops} ops · " in graph.to_svg(depth=0)
    assert deeper_than(drawing, 1) and drawn(drawing, deeper_than(drawing, 1)) == graph.to_svg(1)
    assert not set(first_open(drawing)) - {box.number for box in drawing.boxes if box.parts}


def test_wires_of_a_closed_group_are_one() -> None:
    drawing = Drawing(step())
    closed = Layout(drawing, deeper_than(drawing, 0))
    (layers,) = [box for box in drawing.root.parts if box.title == "layers"]
    (backward,) = [box for box in drawing.root.parts if box.title.startswith("test_pictures.py:")]
    ends = [b.box.title for _, b, source in closed.frames[0].links if source == layers.number and b.box is not None]
    assert ends == [backward.title] and backward.ops > 20
    assert len([a for a, _ in drawing.wires if drawing.boxes[a] in set(layers.walk())]) > 20


def test_costs_of_open_sizes_are_those_of_the_smallest() -> None:
    model = nn.Linear(4, 8)
    drawing = Drawing(helix.trace(model, Spec((Dim("B", min=3, multiple_of=2), 4))))
    assert drawing.sizes == {"B": 4} and drawing.total == helix.trace(model, Spec((4, 4))).cost()
    assert drawing.told.endswith("at B = 4")


def test_bodies_are_drawn_inside() -> None:
    drawing = Drawing(flow())
    scan = next(box for box in drawing.boxes if box.title == "scan")
    choice = next(box for box in scan.walk() if box.title == "cond")
    assert scan.sealed and [part.kind for part in choice.parts] == ["body", "body"]
    assert {box.title for box in choice.walk()} >= {"add", "mul"}


# ---- names that are hostile ----

EVIL = "</script></title></style><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;]]>\x00\x1b\u202e\ud800"


def hostile() -> Graph:
    graph = helix.trace(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), Spec((1, 2)))
    graph.name = graph.inputs[0].name = graph.captured[0].name = EVIL
    for node in graph.nodes:
        node.place = (f"{EVIL}.0", EVIL, 3)
    return graph


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)


def test_hostile_names_are_text() -> None:
    graph = hostile()
    root = ElementTree.fromstring(graph.to_svg().encode("utf-8"))
    drawn_by = {"svg", "title", "desc", "style", "rect", "path", "g", "text"}
    assert {element.tag.split("}")[1] for element in root.iter()} <= drawn_by
    assert "<script>alert(1)" in "".join(root.itertext())
    page = graph.to_html()
    page.encode("utf-8")
    tags = Tags()
    tags.feed(page)
    assert tags.tags.count("script") == 2 and "img" not in tags.tags
    assert not any(name.startswith("on") for name in tags.attributes) and not tags.attributes & {"src", "href"}
    data = re.search(r'id="graph">(.*?)</script>', page, re.DOTALL)
    assert data is not None and json.loads(data[1])["boxes"][0]["title"].startswith("</script>")
    frame = Tags()
    frame.feed(graph._repr_html_())
    assert frame.tags == ["iframe"]


def test_nothing_comes_from_the_network() -> None:
    page = kind("decoder").to_html()
    assert "default-src" in page and not re.findall(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z]+\.", page)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket", page)


@pytest.mark.skipif(shutil.which("node") is None, reason="node runs the page's script")
@pytest.mark.parametrize("name", ["resnet18", "flow", "long", "step"])
def test_the_page_draws_what_the_picture_shows(name: str) -> None:
    graph = GRAPHS[name]()
    script = Path(__file__).with_name("page.js")
    done = subprocess.run(["node", str(script)], input=graph.to_html(), capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    root = ElementTree.fromstring(graph.to_svg())
    svg = "{http://www.w3.org/2000/svg}"
    for group in root.findall(".//*[@data-box]"):
        rectangle = next(r for r in group.findall(f"{svg}rect") if r.get("class") in ("box", "pill", "group"))
        here = [float(rectangle.get(key, "")) for key in ("x", "y", "width", "height")]
        there = found["boxes"][group.get("data-box")]
        assert [there[0] + 20, there[1] + 20, *there[2:]] == pytest.approx(here, abs=0.21)
    assert sorted(found["wires"]) == begins(root)
    assert sorted(found["closed"]) == begins(ElementTree.fromstring(graph.to_svg(depth=0)))


def begins(picture: ElementTree.Element) -> list[int]:
    """The boxes at which wires begin."""
    return sorted(int(part.get("data-from", "")) for part in picture.iter() if part.get("class") == "wire")


@pytest.mark.skipif(shutil.which("node") is None, reason="node runs the page's script")
def test_the_page_finds() -> None:
    graph = GRAPHS["step"]()
    command = ["node", str(Path(__file__).with_name("page.js")), "layers.1 linear2"]
    done = subprocess.run(command, input=graph.to_html(), capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    wanted = [box for box in Drawing(graph).boxes if "layers.1.linear2" in f"{box.tip} {box.lines}"]
    assert found["status"] == f"{len(wanted)} found" and found["at"] == f"1 of {len(wanted)}"
    names = [text for tag, text in found["panel"] if tag in ("h2", "h3", "button")]
    assert names == ["linear2 · linear", "takes", "dropout · dropout_apply", "goes to", "dropout2 · dropout_apply"]


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(BROWSER is None, reason="Chromium opens the page; on Debian: apt-get install chromium")
@pytest.mark.parametrize("make", [hostile, flow], ids=["hostile", "flow"])
def test_a_browser_draws_the_page(make: Callable[[], Graph], tmp_path: Path) -> None:
    graph, page = make(), tmp_path / "page.html"
    page.write_text(graph.to_html(), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run([str(BROWSER), *options, page.as_uri()], capture_output=True, timeout=120)
    assert done.returncode == 0
    assert done.stdout.count(b'tabindex="0" role=') == len(Drawing(graph).boxes) - 1


# ---- the command ----


def test_the_command(tmp_path: Path) -> None:
    run = CliRunner().invoke
    graph = helix.trace(nn.Linear(2, 3), Spec((Dim("B"), 2)))
    graph.save(tmp_path / "line.safetensors")
    for ending, begin in ((".svg", "<svg"), (".html", "<!doctype html>"), (".txt", "graph ")):
        out = tmp_path / f"picture{ending}"
        done = run(cli, ["graph", str(tmp_path / "line.safetensors"), "--out", str(out), "--json"])
        assert done.exit_code == 0 and json.loads(done.stdout) == {"out": str(out), "nodes": 1}
        assert out.read_text(encoding="utf-8").startswith(begin)
    told = run(cli, ["graph", "mlp", "--spec", "float64[B, 4]", "--classes", "3"])
    assert "float64[B, 4]" in told.stdout and "float32[3, 128]" in told.stdout and ".py:" not in told.stdout
    assert "@body.weight_ih_l0" in run(cli, ["graph", "lstm", "--spec", "2,5,4"]).stdout
    made = run(cli, ["graph", "helix.models:resnet18", "--spec", "1,3,32,32", "--json"])
    assert json.loads(made.stdout)["nodes"] > 50


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["mlp"], "needs the specs"),
        (["mlp", "--spec", "2,?"], "write B,3,32,32"),
        (["mlp", "--spec", "float33[2]"], "is no dtype"),
        (["cnn", "--spec", "B,3,H,W"], "only the first size"),
        (["mlp", "--spec", "2,4", "--out", "x.png"], "the ending must be"),
        (["mlp", "--spec", "2,4", "--out", "none/x.svg"], "there is no folder none"),
        (["mlp", "--spec", "2,4", "--out", "x.svg", "--watch"], "leave --out out"),
    ],
)
def test_wrong_usage(arguments: list[str], text: str) -> None:
    done = CliRunner().invoke(cli, ["graph", *arguments])
    assert done.exit_code == 2 and text in done.output


def test_watching(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("from helix import nn\n\nModel = lambda: nn.Linear(4, 3)\n")
    with Live(f"{program}:Model", ("B,4",), 10, False) as live:
        Thread(target=live.serve_forever, daemon=True).start()

        def asked(path: str, host: str = f"localhost:{live.server_port}") -> tuple[int, str]:
            connection = HTTPConnection("127.0.0.1", live.server_port, timeout=10)
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

        assert asked("/version") == (200, "1") and "<iframe" in asked("/")[1] and not live.follow()
        assert asked("/graph?1") == (200, live.made.page) and "float32[B, 3]" in live.made.page
        assert asked("/graph", "attacker.example")[0] == 403 and asked("/../etc/passwd")[0] == 404
        program.write_text("raise ValueError('<b>not now</b>')\n")
        os.utime(program, (1, 1))
        assert live.follow() and not live.made.sound and str(program) in live.made.files
        assert "ValueError: &lt;b&gt;not now&lt;/b&gt;" in asked("/graph")[1] and asked("/version") == (200, "2")
        program.write_text("import os\nos._exit(3)\n")
        assert live.follow() and "ended at once" in live.made.page
        assert str(program) in live.made.files and not live.follow()
        live.shutdown()


PROGRAM = """
import helix
from helix import nn


class Net(nn.Linear):
    def __init__(self):
        super().__init__(4, 2)


class Crash(Net):
    def forward(self, x):
        return x.nothing


def broken():
    raise ValueError("no such size")
"""


@pytest.mark.parametrize(
    ("name", "specs", "text"),
    [
        ("Nett", ["B,4"], "has no 'Nett'; did you mean 'Net'?"),
        ("Net", ["B,4", "B,4"], "TypeError: "),
        ("Crash", ["B,4"], "no attribute 'nothing' at {}:13"),
        ("broken", ["B,4"], "ValueError: no such size at {}:17"),
    ],
)
@pytest.mark.parametrize("command", ["graph", "estimate", "export"])
def test_programs_that_fail(command: str, name: str, specs: list[str], text: str, tmp_path: Path) -> None:
    program = tmp_path / "failing.py"
    program.write_text(PROGRAM)
    done = CliRunner().invoke(
        cli, [command, f"{program}:{name}", *[part for spec in specs for part in ("--spec", spec)]]
    )
    assert isinstance(done.exception, ConfigError) and "HX3102" in str(done.exception)
    assert text.format(program) in str(done.exception)


@pytest.mark.parametrize(
    "source",
    [
        "mlpp",
        "none.onnx",
        "none.safetensors",
        "none.py:Net",
        "net.py",
        "helix.models:nothing",
        "helix.nn:Linear",
        "helix.nn:__name__.upper",
    ],
)
def test_models_that_are_none(source: str) -> None:
    done = CliRunner().invoke(cli, ["graph", source, "--spec", "2,4"])
    assert isinstance(done.exception, ConfigError) and "HX3102" in str(done.exception)


def test_fused_ops_open() -> None:
    def run(x: helix.Tensor) -> helix.Tensor:
        y = (x.tanh() * 2 + 1).sigmoid()
        return (y - y.mean(-1, keepdim=True)).relu()

    plain = helix.trace(run, Spec((512, 512)))
    graph = helix.graph.optimize(plain, ["fusion"])
    drawing = Drawing(graph)
    (fused,) = [box for box in drawing.boxes if box.title == "fused"]
    ops = [box.title for box in fused.parts if box.kind == "op"]
    assert ops == [node.op for node in plain.nodes] and fused.sealed and fused.family == "fused"
    names = {(drawing.boxes[a].title, drawing.boxes[b].title) for a, b in drawing.wires}
    assert {
        ("x", "fused"),
        ("x", "tanh"),
        ("tanh", "mul"),
        ("sigmoid", "mean"),
        ("sigmoid", "sub"),
        ("relu", "output"),
    } <= names
    assert ("2",) in [box.lines for box in fused.parts] and ElementTree.fromstring(graph.to_svg()) is not None
    assert graph.cost().flops == plain.cost().flops and graph.cost().bytes < plain.cost().bytes / 3
