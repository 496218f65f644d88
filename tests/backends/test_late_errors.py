"""Work that fails after it was issued: the report names what was issued last; a lost device stays lost, the CPU goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import helix
from helix.backends import DeviceInfo, native

from ..host_memory import HostMemory, offer


class Late(HostMemory):
    """Runs at once, and reports at the next sync what went wrong on the way."""

    def __init__(self, index):
        super().__init__(index)
        self.pending = None

    def sync(self, stream=None):
        error, self.pending = self.pending, None
        if error:
            raise error

    @native("neg", dtypes="float32", contiguous=True)
    def neg(self, call):
        pass

    @native("sqrt", dtypes="float32", contiguous=True)
    def sqrt(self, call):
        raise helix.errors.DeviceLostError("the cable is out")

    @native("exp", dtypes="float32", contiguous=True)
    def exp(self, call):
        self.pending = OSError("unit 3 answered late")


offer(Late, *[DeviceInfo(name="a late device", arch="late")] * 2)


def test_a_late_failure_names_what_was_issued_last():
    x = helix.ones(4).to("late")
    y = -helix.exp(x)
    with pytest.raises(helix.errors.DeviceError, match="unit 3 answered late.* Issued last: neg, exp"):
        helix.synchronize("late")
    assert (-x).shape == (4,)
    helix.synchronize("late")
    del y


def test_a_lost_device_stays_lost_and_the_others_go_on():
    x = helix.ones(4).to("late:1")
    with pytest.raises(helix.errors.DeviceLostError, match="the cable is out"):
        helix.sqrt(x)
    for use in (
        lambda: -x,
        lambda: x.tolist(),
        lambda: helix.ones(9).to("late:1"),
        lambda: helix.synchronize("late:1"),
    ):
        with pytest.raises(helix.errors.DeviceLostError, match="late:1"):
            use()
    helix.empty_cache()
    assert helix.ones(2).to("late:0").tolist() == [1.0, 1.0] and helix.ones(2).sum().item() == 2


def test_each_launch_is_waited_for_when_asked():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import helix\nfrom tests.backends import test_late_errors\n"
        "x = helix.ones(4).to('late')\n"
        "try:\n"
        "    helix.exp(x)\n"
        "except helix.errors.DeviceError as error:\n"
        "    print(error.op, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parents[2])],
        env={**os.environ, "HELIX_LAUNCH_BLOCKING": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith("exp ") and "unit 3" in done.stdout, done
