"""Kernels of every kind in oclgrind: no race, no address outside its block, nothing read that was not written.

Every sample of every op, in two dtypes: `make grind`.
"""

from __future__ import annotations

import pytest

from . import opencl_grind

pytest.importorskip("pyopencl", reason="pip install pyopencl")
if opencl_grind.library() is None:
    pytest.skip(opencl_grind.REMEDY, allow_module_level=True)

PLANTED = {
    "barrier missing": "data race at local memory",
    "two items, one element": "Write-write data race at global memory",
    "written out of bounds": "Invalid write of size 4 at global memory",
    "read out of bounds": "Invalid read of size 4 at global memory",
    "never written": "Uninitialized value",
}


def test_planted_faults_are_reported_and_nothing_else(tmp_path):
    found = opencl_grind.in_simulator(["tests.backends.opencl_planted"], tmp_path, 200)
    missed = [fault for fault, text in PLANTED.items() if text not in found[fault]]
    assert missed == []
    assert {label: found[label] for label in found.keys() - PLANTED.keys() if found[label]} == {}
    assert {"barrier there", "in bounds", "the end"} <= found.keys()


def test_misuse_of_the_interface_is_reported():
    text = "\nOclgrind - OpenCL runtime error detected\n\tFunction: clGetDeviceInfo\n\tError:    CL_INVALID_VALUE\n\n"
    expected = opencl_grind.reports(f"{text}{opencl_grind.NEXT}the end\n{text}", 0)
    assert expected == {"the start": "", "the end": ""}
    other = opencl_grind.reports(f"{opencl_grind.NEXT}a\n{text.replace('GetDeviceInfo', 'SetKernelArg')}", 0)
    assert "clSetKernelArg" in other["a"] and "ended with 0" in other["the end"]


@pytest.mark.parametrize("number", range(2))
def test_kernels_of_every_kind(number, tmp_path):
    ops = opencl_grind.KINDS.split()
    found = opencl_grind.share(number, 2, ",".join(ops), False, tmp_path)
    assert len(found) > len(ops) / 2
    assert {label: text for label, text in found.items() if text} == {}
