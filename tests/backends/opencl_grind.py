"""helix's kernels in oclgrind, a simulator that sees races, bad addresses, uninitialized values and misuse of OpenCL.

    python -m tests.backends.opencl_grind [--ops add,sort] [--every] [--jobs 2]

runs a sample of each op in it, forward and backward, and prints what it reports; --every runs all samples: `make grind`. Each
share is a process of its own, since the simulator takes the place of every OpenCL driver. Its blocks are as long as the
tensors in them, so that an address behind the last element is seen, and none is used again, so that what was not written
is not initialized.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import helix
from helix.errors import HelixError

from ..ops.cases import named
from ..ops.sample import Sample
from ..ops.values import as_list, call_helix, differentiable, numpy_arguments, to_helix

ROOT = Path(__file__).resolve().parents[2]
REMEDY = "oclgrind is needed: apt-get install oclgrind"
# One op or two of every kind of kernel: what the suite runs.
KINDS = """
    add where cast fill sum amax argmax var_mean softmax layer_norm rms_norm group_norm matmul conv2d gather scatter_add
    index_add sort topk cumsum rand randperm scaled_dot_product_attention max_pool2d cat masked_select cross_entropy
"""
ENVIRONMENT = {
    "OCLGRIND_DATA_RACES": "1",
    "OCLGRIND_UNINITIALIZED": "1",
    "OCLGRIND_CHECK_API": "1",
    "OCLGRIND_NUM_THREADS": "1",
    "OCLGRIND_BUILD_OPTIONS": "-cl-opt-disable",  # version 21.10 knows no `freeze`, which LLVM's optimizer writes
    "HELIX_OPENCL": "Oclgrind",
}
NEXT = "---- next: "
REFUSED = "helix refuses it: "
# pyopencl asks a device for what later versions of OpenCL tell.
EXPECTED = re.compile(r"Oclgrind - OpenCL runtime error detected\s+Function: clGetDeviceInfo\n(.*\n)*?\n", re.MULTILINE)


def library() -> Path | None:
    """The simulator as a driver: what an .icd file names."""
    return next(Path("/usr/lib").glob("**/liboclgrind-rt-icd.so"), None)


# ---- in the simulator ----


def open_device() -> str:
    """The plugin on the simulator's device, without a pool."""
    from helix.backends import register

    places = list.__iter__(helix.backends.__path__)
    if str(ROOT / "src" / "helix" / "backends") not in places:  # where the plugin is not installed
        helix.backends.__path__.append(str(ROOT / "src" / "helix" / "backends"))
    from helix.backends import opencl
    from helix.backends.base import Availability

    class Waits(opencl.OpenCLDevice):
        """Blocks are made while nothing runs, and never given back: the simulator's record of memory has no lock."""

        kept: list = []

        def free(self, block) -> None:
            self.kept.append(block)
            self.taken -= block.size

    def waiting(name: str) -> Callable:
        def method(self, *arguments):
            getattr(opencl.OpenCLDevice, name)(self, *arguments)
            self.sync()

        return method

    for name in ("copy_in", "copy_within", "fill", "launch"):
        setattr(Waits, name, waiting(name))

    class Exact(opencl.OpenCLBackend):
        name = "grind"

        def probe(self) -> Availability:
            found = super().probe()
            return replace(found, devices=[replace(info, own_pool=True) for info in found.devices])

        def open(self, index: int) -> opencl.OpenCLDevice:
            from helix.backends.opencl.platforms import working

            device, info = working()[0][index]
            return Waits(index, device, replace(info, own_pool=True))

    register("grind", Exact)
    return "grind"


def say(text: str) -> None:
    """Among the reports, which come on the same stream."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def each(work: dict[str, Callable[[str], object]]) -> None:
    """Every piece of work on the device; what helix refuses there is said, and counts as not run."""
    device = open_device()
    helix.set_fallback("host")
    for label, run in work.items():
        say(NEXT + label)
        try:
            run(device)
            helix.synchronize(device)
        except HelixError as error:
            helix.synchronize(device)
            say(f"{REFUSED}{error}")
    say(NEXT + "the end")


def forward_and_backward(sample: Sample, dtype: str, device: str) -> None:
    arrays = numpy_arguments(sample, dtype)
    tracked = sample.grad and differentiable(dtype)

    def make(values):
        made = to_helix(values).to(device)
        return made.requires_grad_() if tracked and made.dtype.is_floating_point else made

    for result in as_list(call_helix(sample, arrays, make)):
        if isinstance(result, helix.Tensor):
            if result.requires_grad:
                result.sum().backward(retain_graph=True)
            result.to("cpu")


def samples(ops: set[str], every: bool) -> dict[str, tuple[Sample, str]]:
    """By label: the first sample of each op, or all in two dtypes, of which one is not of 4 bytes."""
    found: dict[str, tuple[Sample, str]] = {}
    seen: set[str] = set()
    for label, sample in named():
        if (ops and sample.op not in ops) or "empty" in sample.op or (sample.op in seen and not every):
            continue
        seen.add(sample.op)
        others = [dtype for dtype in ("int8", "bfloat16", "bool", "int64") if dtype in sample.dtypes]
        turn = zlib.crc32(label.encode())
        chosen = ["float32" if "float32" in sample.dtypes else sample.dtypes[0]]
        if others and every:
            chosen.append(others[turn % len(others)])
        elif others and turn % 3 == 0:
            chosen = [others[turn % len(others)]]
        found |= {f"{label} {dtype}": (sample, dtype) for dtype in chosen}
    return found


# ---- outside ----


def in_simulator(arguments: list[str], folder: Path, timeout: float = 3000) -> dict[str, str]:
    """What `python -m arguments` brought up, by the label of what ran; its end has to be reached."""
    (folder / "oclgrind.icd").write_text(f"{library()}\n")
    environment = os.environ | ENVIRONMENT | {
        "OCL_ICD_VENDORS": str(folder), "HELIX_CACHE_DIR": str(folder / "cache"), "TMPDIR": str(folder),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *arguments],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=timeout,
    )  # fmt: skip
    return reports(done.stderr, done.returncode)


def reports(text: str, status: int) -> dict[str, str]:
    """What is neither a label nor expected, by label. Nothing is passed over because its form is not known."""
    before, *parts = EXPECTED.sub("", text.replace("\t", "  ")).split(NEXT)
    found = {"the start": before.strip()}
    for part in parts:
        label, _, rest = part.partition("\n")
        found[label] = rest.strip()
    if "the end" not in found or status:
        found["the end"] = f"{found.get('the end', '')}\nthe process ended with {status}".strip()
    return found


def share(number: int, of: int, ops: str, every: bool, folder: Path) -> dict[str, str]:
    arguments = ["tests.backends.opencl_grind", "--share", f"{number}/{of}", "--ops", ops, *["--every"] * every]
    place = folder / str(number)
    place.mkdir()
    return in_simulator(arguments, place)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ops", default="")
    parser.add_argument("--every", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--share", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.share:
        number, of = map(int, given.share.split("/"))
        chosen = list(samples(set(given.ops.split(",")) - {""}, given.every).items())[number::of]
        each({label: lambda device, s=s: forward_and_backward(*s, device) for label, s in chosen})
        return 0
    if library() is None:
        sys.exit(REMEDY)
    begun, parts = time.monotonic(), 4 * given.jobs if given.every else given.jobs
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.jobs) as pool:
        shares = [pool.submit(share, n, parts, given.ops, given.every, Path(folder)) for n in range(parts)]
        found = [one.result() for one in shares]
    said = {label: text for one in found for label, text in one.items() if text}
    refused = [label for label, text in said.items() if text.startswith(REFUSED)]
    reported = {label: text for label, text in said.items() if label not in refused}
    for label, text in reported.items():
        print(f"==== {label}\n{text[:3000]}")
    ran = sum(len(one) - 2 for one in found) - len(refused)
    print(f"{ran} samples ran, {len(reported)} with reports, {time.monotonic() - begun:.0f} s")
    print(f"{len(refused)} that helix refuses: {', '.join(refused)}")
    return bool(reported)


if __name__ == "__main__":
    sys.exit(main())
