"""Every kernel that helix renders in CUDA C, through NVIDIA's own compiler, which needs no GPU.

    python -m tests.backends.cuda_compile [--arch 75,80,86,89,90] [--jobs 2]      all of them: a few minutes
    python -m tests.backends.cuda_compile --kernels FILE --arch 80                those of a file

The kernels are what the samples of all ops load on a device that runs nothing. NVRTC takes as long to start as for a small
kernel, so many are compiled as one text, each in a namespace of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ARCHITECTURES = (75, 80, 86, 89, 90)
TOGETHER = 60  # kernels in one text
CUDA_MACHINE = 190  # e_machine of a cubin
SIZED = ("char", "short", "long long", "double", "float")  # classes of dtypes, by a kernel's buffers
Kernel = tuple[str, str, bool]  # name, text, exact


# ---- what there is to compile ----


def collect(every: bool = True) -> list[Kernel]:
    """The kernels of all samples in all dtypes, dense and transposed; or of one dense sample of each op."""
    import helix
    from helix.errors import HelixError

    from ..ops.samples import SAMPLES
    from ..ops.values import call_helix, numpy_arguments, to_helix
    from .cuda_collector import found, register

    device = register()

    def dense(values):
        return to_helix(values).to(device)

    def turned(values):
        return dense(values.T).permute(*reversed(range(values.ndim))) if values.ndim > 1 else dense(values)

    before = helix.set_fallback("error")
    try:
        for sample in SAMPLES if every else {sample.op: sample for sample in reversed(SAMPLES)}.values():
            for make in (dense, turned) if every else (dense,):
                for dtype in sample.dtypes:
                    arrays = numpy_arguments(sample, dtype)
                    try:
                        call_helix(sample, arrays, make)
                    except (HelixError, TypeError, ValueError, IndexError):
                        continue  # no kernel for it, or results that nobody computed are refused further on
    finally:
        helix.set_fallback(before)
    return sorted({(s.entry, s.text.decode(), s.exact) for s in found})


def class_of(kernel: Kernel) -> str:
    """The dtypes that a kernel is about, from the parameters in its text."""
    text = kernel[1]
    start = text.index("__global__")
    parameters = text[start : text.index(") {", start)]
    return next((word for word in SIZED if f"{word} *" in parameters), "int")


def one_of_each(kernels: Iterable[Kernel]) -> dict[str, dict[str, Kernel]]:
    """The shortest kernel of each name and class of dtypes."""
    chosen: dict[str, dict[str, Kernel]] = {}
    for kernel in sorted(kernels, key=lambda kernel: -len(kernel[1])):
        chosen.setdefault(kernel[0], {})[class_of(kernel)] = kernel
    return chosen


def turn_by_turn(chosen: dict[str, dict[str, Kernel]]) -> list[Kernel]:
    """One kernel of each name; the classes of dtypes take turns."""
    return [[*classes.values()][turn % len(classes)] for turn, classes in enumerate(chosen.values())]


# ---- compiling ----


def joined(kernels: list[Kernel]) -> str:
    if len(kernels) == 1:
        return kernels[0][1]
    numbered = enumerate(text.replace('extern "C" ', "") for _, text, _ in kernels)
    return "".join(f"namespace kernel{number} {{\n{text}}}\n" for number, text in numbered)


def batches(kernels: list[Kernel]) -> Iterator[list[Kernel]]:
    for exact in (False, True):
        same = [kernel for kernel in kernels if kernel[2] == exact]
        for start in range(0, len(same), TOGETHER):
            yield same[start : start + TOGETHER]


def faults(kernels: list[Kernel], arch: int) -> list[str]:
    """What the compiler has against them; a batch that fails is tried again one by one."""
    from helix.backends.cuda.nvrtc import Compiler
    from helix.errors import CompileError

    compiler = Compiler(arch, 13000)
    if compiler.architecture != f"sm_{arch}":
        return [f"NVRTC {compiler.version} does not know sm_{arch}"]
    found = []
    for batch in batches(kernels):
        options = compiler.options(batch[0][2], "")
        try:
            cubin = compiler.compile(joined(batch).encode(), "kernels", options)
            if int.from_bytes(cubin[18:20], "little") != CUDA_MACHINE:
                found.append("what was compiled is no program for a GPU")
        except CompileError:
            found += _one_by_one(compiler, batch, options)
    return found


def _one_by_one(compiler, batch: list[Kernel], options: tuple[str, ...]) -> list[str]:
    from helix.errors import CompileError

    found = []
    for name, text, _ in batch:
        try:
            compiler.compile(text.encode(), name, options)
        except CompileError as error:
            found.append(str(error))
    return found or ["kernels that compile one by one do not compile together"]


def write(kernels: list[Kernel], path: Path) -> None:
    path.write_text(json.dumps(kernels))


def in_a_process(path: Path, arch: int, **options) -> subprocess.CompletedProcess:
    """A process for each architecture: one that has loaded the emulated NVRTC gets no other."""
    command = [sys.executable, "-m", "tests.backends.cuda_compile", "--kernels", str(path), "--arch", str(arch)]
    return subprocess.run(command, cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, **options)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default=",".join(map(str, ARCHITECTURES)))
    parser.add_argument("--kernels", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    architectures = [int(word) for word in given.arch.split(",")]
    if given.kernels:
        from .cuda_collector import find_sources

        find_sources()
        found = faults([tuple(kernel) for kernel in json.loads(given.kernels.read_text())], architectures[0])
        print("\n".join(found))
        return bool(found)
    begun = time.monotonic()
    kernels = collect()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.jobs) as pool:
        path = Path(folder) / "kernels.json"
        write(kernels, path)
        results = [*pool.map(lambda arch: in_a_process(path, arch), architectures)]
    for arch, done in zip(architectures, results, strict=True):
        print(f"sm_{arch}: {len(kernels)} kernels", "compile" if done.returncode == 0 else done.stdout + done.stderr)
    print(f"{time.monotonic() - begun:.0f} s")
    return any(done.returncode for done in results)


if __name__ == "__main__":
    sys.exit(main())
