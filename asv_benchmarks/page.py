"""The page of benchmarks: ratios to the peers, parts of what the machine can do, instructions of a call, and the history.

    python -m asv_benchmarks.page build/peers.json … [--start build/start.json] [--note TEXT] [--out build/benchmarks.md] [--keep]

Reads what `peers run` wrote (in one file or in slices) and `peers imports`, measures the machine's limits, counts instructions
where valgrind is installed. --keep: writes docs/benchmarks.md and adds a line to asv_benchmarks/history.jsonl, which is kept
with the sources. The text about missed goals is asv_benchmarks/missed.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from . import instructions
from .peers.__main__ import table
from .peers.run import ratio, text

HERE = Path(__file__).parent
HISTORY = HERE / "history.jsonl"
MISSED = HERE / "missed.md"  # what is written by hand: goals that are missed, and what would close them
GROUPS = {
    "A": "calls",
    "B": "elementwise, reductions, transforms",
    "C": "products",
    "D": "convolution, pooling, normalisation",
    "E": "training steps and sequence layers",
    "F": "attention",
    "G": "optimizers",
    "H": "inference",
    "J": "chains of single ops that can be fused",
}
STOCK = ("torch", "numpy", "jax", "jax_jit", "ort")  # as installed; torch_tuned is none of them
BEST = "best stock"
ALL_GROUPS = "all"
Row = dict[str, Any]


def machine() -> str:
    """What results can be compared within: the processor and how many of its cores are ours."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    best = next((f for f in ("amx_tile", "avx512f", "avx2") if f in flags), "")
    return f"{name} {best} x{os.cpu_count()}".replace("  ", " ")


def limits(threads: int) -> dict[str, float]:
    """Multiply-adds a second, and bytes a second of copies by their size (limits.c)."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "limits"
        compiler = os.environ.get("CC", "cc").split()
        subprocess.run(
            [*compiler, "-O3", "-march=native", "-pthread", str(HERE / "limits.c"), "-o", str(program)], check=True
        )
        done = subprocess.run([str(program), str(threads)], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def attained(row: Row, roof: dict[str, float]) -> float | None:
    """The part of the machine's limit that helix reaches: of multiply-adds, else of a copy of that size."""
    times = row["times"].get("helix")
    if not times:
        return None
    seconds = statistics.median(times)
    if row["flops"] and "bf16" not in row["id"]:
        return float(row["flops"] / seconds / roof["flops"])
    if not row["bytes"]:
        return None
    sizes = sorted(int(name.split("_")[1]) for name in roof if name.startswith("copy_"))
    size = min(sizes, key=lambda s: abs(s.bit_length() - int(row["bytes"] / 2).bit_length()))
    return float(row["bytes"] / seconds / roof[f"copy_{size}"])


def group_ratios(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Of each peer and group the geometric mean of ratios."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        factors = {peer: f for peer in row["times"] if peer != "helix" and (f := ratio(row, peer))}
        stock = [factors[peer] for peer in STOCK if peer in factors]
        for peer, factor in ({**factors, BEST: min(stock)} if stock else factors).items():
            for group in (row["id"][0], ALL_GROUPS):
                found.setdefault(peer, {}).setdefault(group, []).append(factor)
    return {
        peer: {g: round(statistics.geometric_mean(f), 3) for g, f in groups.items()} for peer, groups in found.items()
    }


def group_table(ratios: dict[str, dict[str, float]]) -> list[str]:
    peers = list(ratios)
    lines = ["| group | " + " | ".join(peers) + " |", "|---|" + "---|" * len(peers)]
    for group, title in {
        **{g: f"{g}: {t}" for g, t in GROUPS.items()},
        ALL_GROUPS: "all workloads that both have",
    }.items():
        if any(group in ratios[p] for p in peers):
            cells = [f"{ratios[p][group]:.2f}x" if group in ratios[p] else "" for p in peers]
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return lines


def limit_table(rows: list[Row], roofs: dict[int, dict[str, float]]) -> list[str]:
    lines = ["| workload | threads | helix | of the limit |", "|---|---|---|---|"]
    for row in rows:
        part = attained(row, roofs[row["threads"]])
        if part is not None:
            ours = text(statistics.median(row["times"]["helix"]))
            lines.append(f"| {row['id']} | {row['threads']} | {ours} | {part:.0%} |")
    return lines


def start_table(start: dict[str, list[float]]) -> list[str]:
    lines = ["| start | import | first result | resident memory |", "|---|---|---|---|"]
    return lines + [f"| {name} | {text(a)} | {text(b)} | {rss:.0f} MB |" for name, (a, b, rss) in start.items()]


def instruction_table(counted: dict[str, int]) -> list[str]:
    if not counted:
        return []
    return [
        "## Instructions of a call",
        "",
        "Inside helix's module, counted by callgrind (`python -m asv_benchmarks.instructions`).",
        "",
        "| call | instructions |",
        "|---|---|",
        *(f"| {name} | {number} |" for name, number in counted.items()),
        "",
    ]


def history_table(entries: list[dict[str, Any]]) -> list[str]:
    lines = ["| date | commit | machine | " + " | ".join(GROUPS) + " |", "|---|---|---|" + "---|" * len(GROUPS)]
    for e in entries:
        torch = e["ratios"].get("torch", {})
        cells = [f"{torch[g]:.2f}x" if g in torch else "" for g in GROUPS]
        lines.append(f"| {e['date']} | {e['commit']} | {e['machine']} | " + " | ".join(cells) + " |")
    return lines


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE)
    return done.stdout.strip() or "unknown"


def entry(rows: list[Row], counted: dict[str, int]) -> dict[str, Any]:
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "machine": machine(),
        "workloads": len(rows),
        "ratios": group_ratios(rows),
        "instructions": counted,
    }


def page(
    rows: list[Row],
    files: list[Path],
    history: list[dict[str, Any]],
    counted: dict[str, int],
    start: dict[str, list[float]],
    note: str,
) -> str:
    roofs = {threads: limits(threads) for threads in sorted({row["threads"] for row in rows})}
    lines = [
        "# helix beside its peers",
        "",
        f"Written by `make bench` on {history[-1]['date']} at {history[-1]['commit']}; machine: {machine()}. Each library runs in a process",
        "of its own, sampled in turn; times are medians, ratios medians of quotients of one round: above 1 helix is faster. Ratios",
        "hold better than times, single rows move by 10 % from run to run, and by more at 2 threads.",
        *(["", note] if note else []),
        "",
        "## By group",
        "",
        f"`{BEST}`: row by row the fastest of those as installed ({', '.join(STOCK)}).",
        "",
        *group_table(group_ratios(rows)),
        "",
        *([*start_table(start), ""] if start else []),
        *instruction_table(counted),
        "## Of the machine's limit",
        "",
        "Multiply-adds of float32 for products and attention, else bytes against the best copy of like size, measured in the same run.",
        "",
        "| threads | " + " | ".join(next(iter(roofs.values()))) + " |",
        "|---|" + "---|" * len(next(iter(roofs.values()))),
        *(f"| {t} | " + " | ".join(f"{v / 1e9:.0f} G/s" for v in roof.values()) + " |" for t, roof in roofs.items()),
        "",
        *limit_table(rows, roofs),
        "",
        *MISSED.read_text().splitlines(),
        "",
        "## Every workload",
        "",
        table(files),
        "",
        "## History: geometric means against torch",
        "",
        *history_table(history),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m asv_benchmarks.page", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks.md"))
    parser.add_argument("--start", type=Path, help="what `peers imports --out` wrote")
    parser.add_argument(
        "--note", default="", help="what a reader should know of this run, as that others used the machine"
    )
    parser.add_argument("--keep", action="store_true", help="write docs/benchmarks.md and a line of history")
    options = parser.parse_args()
    rows = [row for file in options.files for row in json.loads(file.read_text())["rows"]]
    counted = instructions.count()["calls"] if instructions.available() else {}
    history = [json.loads(line) for line in HISTORY.read_text().splitlines()] if HISTORY.exists() else []
    history.append(entry(rows, counted))
    if options.keep:
        options.out = HERE.parent / "docs/benchmarks.md"
        HISTORY.write_text("".join(json.dumps(e) + "\n" for e in history))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    start = json.loads(options.start.read_text())["start"] if options.start else {}
    made = page(rows, options.files, history, counted, start, options.note)
    options.out.write_text(made)
    print(options.out)


if __name__ == "__main__":
    main()
