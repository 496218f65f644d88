"""A sum of a product and one row is one kernel: the row is added as the product is written."""

import pytest

import helix


@pytest.mark.parametrize("device", ["cpu", "sim"])
def test_a_row_is_added_in_the_pass_of_the_product(device):
    row, a, b = (helix.rand(*shape).to(device) for shape in ((5,), (8, 9), (9, 5)))
    helix.addmm(row, a, b)
    before = helix._core.kernels_run()
    fused = helix.addmm(row, a, b)
    assert helix._core.kernels_run() == before + 1
    apart = row + a @ b
    assert ((fused - apart).abs() <= 1e-6 * apart.abs()).all().item()


def test_scaled_sums_stay_apart():
    row, a, b = helix.rand(5), helix.rand(8, 9), helix.rand(9, 5)
    scaled = helix.addmm(row, a, b, beta=2, alpha=3)
    assert ((scaled - (2 * row + 3 * (a @ b))).abs() <= 1e-5).all().item()
