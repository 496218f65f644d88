"""Where the time of workloads goes: `python -m asv_benchmarks.profile C.f32_1024 … [--out FOLDER]`.

A tick of the profiling clock notes which instruction runs; samples are counted by function (of helix's own library, and
of the libraries beside it), and shown as a table, and with --out as bars in an SVG for each. Functions that a compiler put
into others count as those.
"""

from __future__ import annotations

import argparse
import bisect
import ctypes
import html
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .peers.libraries import LIBRARIES
from .peers.workloads import ALL, Workload

SHOWN = 12
BAR = 22


@dataclass(frozen=True)
class Profile:
    workload: Workload
    threads: int
    seconds: float  # of a call
    samples: Counter[str]

    @property
    def shares(self) -> list[tuple[str, float]]:
        total = sum(self.samples.values()) or 1
        return [(name, count / total) for name, count in self.samples.most_common(SHOWN)]

    @property
    def title(self) -> str:
        rates = [f"{1e6 * self.seconds:.0f} us"]
        if self.workload.flops:
            rates.append(f"{self.workload.flops / self.seconds / 1e9:.0f} GFLOP/s")
        if self.workload.bytes:
            rates.append(f"{self.workload.bytes / self.seconds / 1e9:.1f} GB/s")
        return f"{self.workload.id}, {self.threads} thread{'s'[: self.threads - 1]}: " + ", ".join(rates)


def sampler(folder: Path) -> ctypes.CDLL:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise SystemExit("a C compiler is needed: none is found")
    library = folder / "sampler.so"
    source = Path(__file__).with_name("sampler.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.sampler_samples.restype = ctypes.POINTER(ctypes.c_size_t)
    return loaded


class Symbols:
    """Names of addresses in this process, from its map and the tables of symbols of what is mapped."""

    def __init__(self) -> None:
        self.regions: list[tuple[int, int, int, str]] = []
        for line in Path("/proc/self/maps").read_text().splitlines():
            fields = line.split()
            if len(fields) > 5 and "x" in fields[1] and fields[5].startswith("/"):
                begin, end = (int(part, 16) for part in fields[0].split("-"))
                self.regions.append((begin, end, int(fields[2], 16), fields[5]))
        self.tables: dict[str, tuple[list[int], list[tuple[int, str]]]] = {}

    def name(self, address: int) -> str:
        for begin, end, offset, file in self.regions:
            if begin <= address < end:
                return self._in_file(file, address - begin + offset)
        return "(kernel)"

    def _in_file(self, file: str, at: int) -> str:
        if file not in self.tables:
            self.tables[file] = self._table(file)
        addresses, names = self.tables[file]
        place = bisect.bisect_right(addresses, at) - 1
        end, name = names[place] if place >= 0 else (0, "")
        short = Path(file).name.split(".")[0]
        if at >= end:
            return f"{short}: without a name"
        return name if short == "_core" else f"{short}: {name}"

    @staticmethod
    def _table(file: str) -> tuple[list[int], list[tuple[int, str]]]:
        rows: list[tuple[int, tuple[int, str]]] = []
        for options in ([], ["-D"]):
            listed = subprocess.run(
                ["nm", "-S", *options, "--defined-only", file], capture_output=True, text=True
            ).stdout
            for line in listed.splitlines():
                fields = line.split(maxsplit=3)
                if len(fields) == 4 and fields[2] in "tTwWi":
                    begin = int(fields[0], 16)
                    rows.append((begin, (begin + int(fields[1], 16), fields[3])))
            if rows:
                break
        rows.sort()
        return [begin for begin, _ in rows], [name for _, name in rows]


def measure(workload: Workload, threads: int, seconds: float) -> Profile:
    with tempfile.TemporaryDirectory() as folder:
        ticks = sampler(Path(folder))
        call = LIBRARIES["helix"](threads).build(workload)
        assert call
        call()
        calls, start = 0, time.process_time()
        ticks.sampler_start()
        while time.process_time() - start < seconds:
            call()
            calls += 1
        used = time.process_time() - start
        count = ticks.sampler_stop()
        symbols, samples = Symbols(), ticks.sampler_samples()
        found = Counter(symbols.name(samples[i]) for i in range(count))
    return Profile(workload, threads, used / calls / workload.inner / threads, found)


def table(profile: Profile) -> str:
    lines = [profile.title] + [f"  {share:6.1%}  {name}" for name, share in profile.shares]
    return "\n".join(lines)


def svg(profile: Profile) -> str:
    width, left = 720, 300
    bars = []
    for i, (name, share) in enumerate(profile.shares):
        y = 30 + i * BAR
        bars.append(
            f'<rect x="{left}" y="{y}" width="{share * (width - left - 60):.1f}" height="{BAR - 4}" fill="#d9722e"/>'
            f'<text x="{left - 6}" y="{y + 13}" text-anchor="end">{html.escape(name[:44])}</text>'
            f'<text x="{left + share * (width - left - 60) + 4:.1f}" y="{y + 13}">{share:.1%}</text>'
        )
    height = 36 + len(bars) * BAR
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="monospace" font-size="11">\n'
        f'<rect width="100%" height="100%" fill="white"/><text x="8" y="18">{html.escape(profile.title)}</text>\n'
        + "\n".join(bars)
        + "\n</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m asv_benchmarks.profile", description=__doc__)
    parser.add_argument("workloads", nargs="+", choices=[w.id for w in ALL], metavar="workload")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="of processor time for each")
    parser.add_argument("--out", type=Path, help="a folder for an SVG of each")
    a = parser.parse_args()
    for workload in ALL:
        if workload.id in a.workloads:
            profile = measure(workload, a.threads, a.seconds)
            print(table(profile), flush=True)
            if a.out:
                a.out.mkdir(parents=True, exist_ok=True)
                (a.out / f"{workload.id}.svg").write_text(svg(profile))


if __name__ == "__main__":
    main()
