"""report.html: one page of a run that needs nothing else: numbers, curves, confusion, the worst pictures, configuration."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping
from dataclasses import fields
from html import escape
from typing import Any

from .. import uint8
from ..autograd import no_grad
from ..data import Dataset, Loader
from ..tensor import Tensor
from . import curve

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2433; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
svg { max-width: 100%; height: auto; } pre { background: #f4f5f8; padding: .8rem; overflow-x: auto; white-space: pre-wrap; }
figure { display: inline-block; margin: 0 .6rem .6rem 0; text-align: center; font-size: .8rem; }
figure img { width: 6rem; image-rendering: pixelated; border: 1px solid #d5d9e2; }
"""


def draw(title: str, sections: Mapping[str, str]) -> str:
    """The page: sections of HTML under their headings, those that are empty left out."""
    body = "".join(_section(heading, content) for heading, content in sections.items())
    return (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>\n"
        f"<style>{STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n{body}</body></html>\n"
    )


def with_section(content: str, heading: str, section: str) -> str:
    """The page with one more section at its end, or with it in the place of the one of that heading."""
    begin, end = content.find(f"<h2>{escape(heading)}</h2>"), content.rfind("</body>")
    if begin >= 0:
        after = content.find("<h2>", begin + 1)
        return content[:begin] + _section(heading, section) + content[after if after >= 0 else end :]
    return content[:end] + _section(heading, section) + content[end:]


def _section(heading: str, content: str) -> str:
    return f"<h2>{escape(heading)}</h2>\n{content}\n" if content else ""


def of_training(trainer, folder) -> str:
    """The page of a Trainer by itself; a Run writes a fuller one in its place."""
    records = list(folder.records())
    steps = [record for record in records if record["event"] == "step"]
    last = {name: value for name, value in trainer.history[-1].items() if name != "event"}
    chosen = {field.name: getattr(trainer.settings, field.name) for field in fields(trainer.settings)}
    sections = {
        "Result": table(last),
        "Curves": curve.draw(folder.path.name, steps, trainer.history),
        "Epochs": epochs(trainer.history),
        "Settings": table({name: value for name, value in chosen.items() if value is not None}),
        "Model": text(repr(trainer.model)),
        "Environment": text((folder.path / "env.json").read_text(encoding="utf-8")),
    }
    return draw(folder.path.name, sections)


def table(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th><td class='number'>{escape(_shown(value))}</td></tr>"
        for name, value in values.items()
    )
    return f"<table>{rows}</table>" if rows else ""


def epochs(history: list[dict[str, Any]]) -> str:
    """The last twenty epochs."""
    if not history:
        return ""
    names = [name for name in history[-1] if name != "event"]
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
    rows = [
        "".join(f"<td class='number'>{escape(_shown(record.get(name)))}</td>" for name in names)
        for record in history[-20:]
    ]
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def text(content: str) -> str:
    return f"<pre>{escape(content)}</pre>" if content else ""


def _shown(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else "" if value is None else str(value)


# ---- pictures ----------------------------------------------------------------------------------------------


def worst_images(model, test: Dataset, names, device, count: int = 12) -> str:
    """The test images whose right class the model finds least likely; nothing for data of another kind."""
    shape = tuple(test[0][0].shape)
    if len(shape) != 3 or shape[0] not in (1, 3):
        return ""
    found: list[tuple[float, int, int, int]] = []
    for number, (inputs, target) in enumerate(Loader(test, 256)):
        with no_grad():
            shares = model.infer(inputs.to(device)).softmax(-1).cpu()
        likely, guesses = shares.gather(1, target.reshape(-1, 1)).reshape(-1).tolist(), shares.argmax(-1).tolist()
        rows = zip(likely, target.tolist(), guesses, strict=True)
        found += [(p, number * 256 + i, right, guess) for i, (p, right, guess) in enumerate(rows)]
    return "".join(_figure(test[i][0], names[right], names[guess], p) for p, i, right, guess in sorted(found)[:count])


def _figure(image: Tensor, right: str, guess: str, share: float) -> str:
    data = base64.b64encode(png(image)).decode()
    told = f"{escape(right)}, taken for {escape(guess)}" if right != guess else escape(right)
    return f"<figure><img alt='' src='data:image/png;base64,{data}'><figcaption>{told}<br>{share:.3f}</figcaption></figure>"


def png(image: Tensor) -> bytes:
    """(1 or 3, height, width) with values in [0, 1] as a PNG file (RFC 2083)."""
    channels, height, width = image.shape
    pixels = (image.clamp(0.0, 1.0) * 255.0).round().to(uint8).permute(1, 2, 0).contiguous().numpy().tobytes()
    stride = width * channels
    lines = b"".join(b"\0" + pixels[row * stride : (row + 1) * stride] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
