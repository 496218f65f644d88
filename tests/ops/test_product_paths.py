"""Every kernel of products gives the exact result, reads nothing past its operands, and the same bits for any threads."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import helix

from . import product_paths

ROOT = Path(__file__).parents[2]
PATHS = [
    ("scalar", "none"),
    ("avx2", "none"),
    ("avx2", "dot"),
    ("avx512", "none"),
    ("avx512", "dot"),
    ("avx512", "tile"),
]


@pytest.mark.parametrize(("isa", "unit"), PATHS)
def test_products_are_exact_on_every_path(isa, unit):
    env = {**os.environ, "HELIX_CPU_ISA": isa, "HELIX_CPU_UNIT": unit}
    chosen = "from helix._core import cpu_isa; print(cpu_isa())"
    if subprocess.check_output([sys.executable, "-c", chosen], env=env, cwd=ROOT, text=True).strip() != isa:
        pytest.skip(f"this machine or build has no {isa}")
    answer = subprocess.check_output([sys.executable, "-m", "tests.ops.product_paths"], env=env, cwd=ROOT, text=True)
    found = json.loads(answer)
    assert not any(found.values()), {check: cases[:5] for check, cases in found.items() if cases}


@pytest.mark.parametrize("rows", [slice(0, -1), slice(1, None)])
def test_a_product_that_leaves_out_a_line_of_k_is_seen(rows):
    def faulty(a, b):
        return product_paths.matmul(a[:, rows], b[rows]) if a.shape[1] > 1 else product_paths.matmul(a, b)

    found = product_paths.differing(faulty, dtypes=(("float32", "float32"), ("int8", "int8")))
    assert len(found) > len(list(product_paths.shapes()))


def test_a_read_past_an_operand_ends_the_process():
    read = "from tests.ops.product_paths import *; ctypes.string_at(PLACES[0].ctypes.data + ROOM - 1, 2)"
    assert subprocess.run([sys.executable, "-c", read], cwd=ROOT, capture_output=True).returncode == -signal.SIGSEGV


def test_sums_of_bytes_wrap():
    a = helix.full((1, 140000), -128, dtype=helix.int8)
    assert helix.int_mm(a, a.mT).item() == 140000 * 128 * 128 - 2**32


def test_large_factors_scale_every_block_of_k():
    a, b = helix.ones(3, 9000), helix.ones(9000, 40)
    assert (helix.addmm(helix.ones(3, 40), a, b, beta=2, alpha=0.5) == 4502).all()


@pytest.mark.parametrize(("shape", "order"), [((6, 5, 7), (1, 0, 2)), ((3, 4, 5, 7), (2, 0, 1, 3)), ((7, 5, 6), (2, 1, 0)),
                                              ((4, 3, 0), (1, 0, 2)), ((0, 3, 5), (1, 0, 2))])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "int32"])
def test_a_linear_layer_of_turned_rows_is_one_of_lined_up_rows(shape, order, dtype):
    x = (4 * helix.randn(*shape)).to(getattr(helix, dtype)).permute(*order)
    w, b = ((4 * helix.randn(*s)).to(x.dtype) for s in ((9, x.shape[-1]), (9,)))
    linear = helix.nn.functional.linear
    assert linear(x, w, b).tolist() == linear(x.contiguous(), w, b).tolist()
    assert linear(x[:, ::2], w).tolist() == linear(x[:, ::2].contiguous(), w).tolist()
