"""What a device reaches, as a part of what it could: beside its own copies and products, and torch where that sees a GPU.

    python -m asv_benchmarks.devices.figures cuda [--json figures.json] [--scale 1] [--seconds 0.5]

Bound by memory: the bytes that the work has to read and write, over the rate of the best copy. Bound by arithmetic: its
operations, over the rate of the best product in the same dtype. `--scale 0.01` makes the work small, to try the program.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DTYPES = ("float32", "float16", "bfloat16")


@dataclass
class Work:
    name: str
    run: Callable[[], Any]
    nbytes: float = 0.0
    operations: float = 0.0
    dtype: str = "float32"
    repeats: int = 1


def sized(n: int, scale: float, multiple: int = 16) -> int:
    return max(multiple, int(n * scale) // multiple * multiple)


def works(lib: Any, place: str, scale: float) -> list[Work]:
    """The same calls for helix and torch, whose names are the same."""
    functional, n = lib.nn.functional, sized(1 << 26, scale, 1024)
    x, y, out = (lib.randn(n, device=place) for _ in range(3))
    small, rows = x[:16], x.reshape(-1, 1024)
    width = rows.shape[1]
    weight, bias = lib.randn(width, device=place), lib.randn(width, device=place)
    found = [
        Work("copy", lambda: out.copy_(x), 8 * n),
        Work("x * y", lambda: x * y, 12 * n),
        Work("gelu", lambda: functional.gelu(x), 8 * n),
        Work("sum", lambda: x.sum(), 4 * n),
        Work("softmax of rows", lambda: functional.softmax(rows, dim=-1), 8 * n),
        Work("layer_norm of rows", lambda: functional.layer_norm(rows, (width,), weight, bias), 8 * n),
        Work("16 numbers, x + x", lambda: [small + small for _ in range(100)], repeats=100),
    ]
    side = sized(4096, scale ** (1 / 3))
    for dtype in DTYPES:
        a = lib.randn(side, side, device=place).to(getattr(lib, dtype))
        found.append(Work(f"product {dtype}", lambda a=a: a @ a, operations=2 * side**3, dtype=dtype))
    return [*found, convolution(lib, place, scale), attention(lib, place, scale), training(lib, place, scale)]


def convolution(lib: Any, place: str, scale: float) -> Work:
    batch, channels, edge = sized(32, scale, 1), 64, 56 if scale == 1 else 8
    x = lib.randn(batch, channels, edge, edge, device=place)
    kernel = lib.randn(channels, channels, 3, 3, device=place)
    operations = 2 * batch * channels**2 * 9 * edge**2
    return Work("conv2d 3 x 3", lambda: lib.nn.functional.conv2d(x, kernel, padding=1), operations=operations)


def attention(lib: Any, place: str, scale: float) -> Work:
    heads, length, width = sized(64, scale, 1), 1024 if scale == 1 else 32, 64
    q, k, v = (lib.randn(1, heads, length, width, device=place) for _ in range(3))
    operations = 4 * heads * length**2 * width
    return Work("attention", lambda: lib.nn.functional.scaled_dot_product_attention(q, k, v), operations=operations)


def training(lib: Any, place: str, scale: float) -> Work:
    """A perceptron: forward, backward and AdamW."""
    width, batch = sized(2048, scale**0.5), sized(2048, scale**0.5)
    layers = [lib.nn.Linear(width, width) for _ in range(3)]
    model = lib.nn.Sequential(layers[0], lib.nn.GELU(), layers[1], lib.nn.GELU(), layers[2]).to(place)
    steps = lib.optim.AdamW(model.parameters(), lr=1e-3)
    x = lib.randn(batch, width, device=place)

    def step() -> None:
        loss = (model(x) ** 2).mean()
        steps.zero_grad()
        loss.backward()
        steps.step()

    return Work("training step", step, operations=3 * 3 * 2 * batch * width**2)


def best(work: Work, wait: Callable[[], Any], seconds: float) -> float:
    """Seconds of the best run, started idle and waited for."""
    work.run()
    wait()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        begun = time.perf_counter()
        work.run()
        wait()
        times.append(time.perf_counter() - begun)
    return min(times) / work.repeats


def measured(lib: Any, place: str, wait: Callable[[], Any], options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """By name of the work: seconds, what bounds it, and its rate in bytes or operations a second."""
    found = {}
    for work in works(lib, place, options.scale):
        one = found[work.name] = {"seconds": best(work, wait, options.seconds)}
        if amount := work.nbytes or work.operations:
            one["bound"] = "copy" if work.nbytes else f"product {work.dtype}"
            one["rate"] = amount / one["seconds"]
    return found


def compare_with_roof(*libraries: dict[str, dict[str, Any]]) -> None:
    """Adds to each rate what part it is of the best copy or product that any library reached."""
    for found in libraries:
        for one in found.values():
            if "rate" in one:
                one["part"] = one["rate"] / max(each[one["bound"]]["rate"] for each in libraries if each)


def with_torch(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    try:
        import torch
    except ImportError:
        return {}
    if options.device.partition(":")[0] != "cuda" or not torch.cuda.is_available():
        return {}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return measured(torch, options.device, torch.cuda.synchronize, options)


def table(ours: dict[str, dict[str, Any]], theirs: dict[str, dict[str, Any]]) -> str:
    lines = [
        "| work | helix, us | of the device | torch, us | of the device | helix / torch |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in ours.items():
        other = theirs.get(name, {})
        cells = [
            f"{1e6 * one['seconds']:.1f}",
            _part(one),
            f"{1e6 * other['seconds']:.1f}" if other else "",
            _part(other),
        ]
        ratio = f"{one['seconds'] / other['seconds']:.2f}" if other else ""
        lines.append(f"| {name} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


def _part(one: dict[str, Any]) -> str:
    return f"{100 * one['part']:.0f} %" if "part" in one else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("device")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args()
    import helix

    device = str(helix.device(options.device))
    facts = dict(helix.devices()).get(device, {})
    helix.set_fallback("error")
    ours = measured(helix, device, lambda: helix.synchronize(device), options)
    theirs = with_torch(options)
    compare_with_roof(ours, theirs)
    emulated = " (emulated: these are times of the emulation)" if facts.get("emulated") else ""
    print(f"{device}: {facts.get('name', '')}{emulated}\n\n{table(ours, theirs)}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(
                {"device": device, "facts": facts, "scale": options.scale, "helix": ours, "torch": theirs},
                file,
                indent=1,
            )


if __name__ == "__main__":
    main()
