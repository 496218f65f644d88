"""Command line of the peers comparison."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from .libraries import LIBRARIES
from .run import CLOCKS, ratio, run, text, worker

IMPORTS = {
    "python": ("pass", "1"),
    "numpy": ("import numpy", "numpy.ones(4) + numpy.ones(4)"),
    "jax": ("import jax.numpy", "(jax.numpy.ones(4) + jax.numpy.ones(4)).block_until_ready()"),
    "onnxruntime": ("import onnxruntime", "pass"),
    "torch": ("import torch", "torch.ones(4) + torch.ones(4)"),
    "helix": ("import helix", "helix.ones(4) + helix.ones(4)"),
}
PROBE = """
import time
start = time.perf_counter()
{load}
loaded = time.perf_counter()
{first}
done = time.perf_counter()
rss = next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]
print(loaded - start, done - loaded, int(rss) / 1024)
"""


def table(files: list[Path]) -> str:
    """Markdown: helix's median, and for each peer its median and how many times as fast helix is."""
    rows = [row for file in files for row in json.loads(file.read_text())["rows"]]
    peers = [name for name in LIBRARIES if name != "helix" and any(name in row["times"] for row in rows)]
    lines = ["| workload | threads | helix | " + " | ".join(peers) + " |", "|---|---|---|" + "---|" * len(peers)]
    for row in rows:
        if not row["times"].get("helix"):
            continue
        cells = []
        for peer in peers:
            factor = ratio(row, peer)
            cells.append(f"{text(statistics.median(row['times'][peer]))} ({factor:.2f}x)" if factor else "")
        ours = text(statistics.median(row["times"]["helix"]))
        lines.append(f"| {row['id']} | {row['threads']} | {ours} | " + " | ".join(cells) + " |")
    for peer in peers:
        factors = [f for row in rows if (f := ratio(row, peer))]
        if factors:
            lines.append(
                f"\nGeometric mean over {len(factors)} workloads, helix against {peer}: "
                f"{statistics.geometric_mean(factors):.2f}x"
            )
    return "\n".join(lines)


def imports(rounds: int, out: Path | None = None) -> None:
    """Group I: seconds to import, to the first result, and resident memory, in fresh processes."""
    found: dict[str, list[float]] = {}
    for name, (load, first) in IMPORTS.items():
        samples = []
        for _ in range(rounds + 1):
            done = subprocess.run(
                [sys.executable, "-c", PROBE.format(load=load, first=first)], capture_output=True, text=True
            )
            if done.returncode == 0:
                samples.append([float(v) for v in done.stdout.split()])
        if len(samples) > 1:
            found[name] = [statistics.median(column) for column in zip(*samples[1:], strict=True)]
            load_s, first_s, rss = found[name]
            print(f"{name:8s} import {load_s * 1e3:7.1f} ms   first result {first_s * 1e3:6.1f} ms   RSS {rss:6.1f} MB")
    if out:
        out.write_text(json.dumps({"format_version": 1, "start": found}))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m asv_benchmarks.peers", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    runner = verbs.add_parser("run", help="measure and print as it goes")
    runner.add_argument(
        "--libs",
        default="helix,helix_compile,torch,torch_tuned,torch_compile,numpy,jax,jax_jit,ort",
        help="those that are not installed are left out",
    )
    runner.add_argument("--threads", default="1,2")
    runner.add_argument("--only", default="", help="regular expression over workload names")
    runner.add_argument("--rounds", type=int, default=7)
    runner.add_argument("--sample", type=float, default=0.03, help="seconds a sample")
    runner.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: of the process, for one thread on a busy machine"
    )
    runner.add_argument("--out", type=Path, default=Path("peers.json"))
    verbs.add_parser("table", help="markdown from results").add_argument("files", nargs="+", type=Path)
    start = verbs.add_parser("imports", help="import time and memory")
    start.add_argument("--rounds", type=int, default=7)
    start.add_argument("--out", type=Path, help="for the page")
    one = verbs.add_parser("worker")
    one.add_argument("name")
    one.add_argument("threads", type=int)
    a = parser.parse_args()
    if a.verb == "run":
        os.environ["PEERS_CLOCK"] = a.clock
        run(a.libs.split(","), [int(t) for t in a.threads.split(",")], a.only, a.rounds, a.sample, a.out)
    elif a.verb == "table":
        print(table(a.files))
    elif a.verb == "imports":
        imports(a.rounds, a.out)
    else:
        worker(a.name, a.threads)


if __name__ == "__main__":
    main()
