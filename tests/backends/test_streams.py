"""Streams, events and the pool of device memory, on the simulated device."""

import os
import subprocess
import sys

import pytest

import helix
from helix.device import Event, Stream, current_stream, device_memory_stats, synchronize


@pytest.fixture
def fresh():
    helix.empty_cache()
    helix.device("sim:0")
    return device_memory_stats("sim:0")


def big(n=3000):
    return helix.ones(n).to("sim:0")


def test_a_stream_takes_the_work_of_its_thread_and_gives_it_back():
    own = current_stream("sim:0")
    stream = Stream("sim:0")
    assert stream != own and str(stream.device) == "sim:0"
    with stream:
        assert current_stream("sim:0") == stream
        with own:
            assert current_stream("sim:0") == own
        assert current_stream("sim:0") == stream
    assert current_stream("sim:0") == own


def test_work_of_another_stream_is_waited_for():
    own, stream = current_stream("sim:0"), Stream("sim:0")
    x = big() + 1
    stream.wait(own)
    with stream:
        y = x * 3
    own.wait(stream.record())
    assert (y - x).sum().item() == 3000 * 4


def test_a_missing_wait_is_a_race_that_names_both_sides():
    stream = Stream("sim:0")
    x = big() + 1
    with pytest.raises(helix.errors.HelixError, match="add"), stream:
        (x * 3).tolist()
    synchronize("sim:0")


def test_the_cpu_has_one_stream():
    assert Stream() == Stream("cpu") == current_stream()
    event = Stream().record()
    assert event.done()
    event.synchronize()


def test_an_event_stays_with_its_device():
    event = Event(current_stream("sim:0"))
    assert isinstance(event.done(), bool)
    current_stream("sim:1").wait(event)  # through the host
    with pytest.raises(TypeError, match="Stream or an Event"):
        current_stream().wait(3)


def test_a_freed_block_serves_the_next_tensor_of_its_size(fresh):
    x = big()
    asked = device_memory_stats("sim:0")["allocations"]
    for _ in range(5):
        del x
        assert device_memory_stats("sim:0")["cached_bytes"] >= 12000
        x = big()
    assert device_memory_stats("sim:0")["allocations"] == asked
    assert device_memory_stats("sim:0")["live_bytes"] - fresh["live_bytes"] == 12288
    del x
    helix.empty_cache()
    assert device_memory_stats("sim:0")["cached_bytes"] == 0


def test_a_block_that_another_stream_reads_is_not_handed_out(fresh):
    """The simulated device runs late and checks: handing it out at once would be a race or a wrong value."""
    own, stream = current_stream("sim:0"), Stream("sim:0")
    for _ in range(4):
        x = big()
        stream.wait(own)
        with stream:
            y = x + 1
        del x
        z = big() * 0
        own.wait(stream)
        assert y.sum().item() == 6000 and z.sum().item() == 0


def test_what_the_pool_keeps_is_given_back_before_memory_runs_out():
    """The device has 1 GiB: 12 blocks of 100 MiB of different sizes fit one after the other."""
    for i in range(12):
        helix.ones(26_000_000 + i * 600_000).to("sim:1")


def test_out_of_memory_names_the_device_and_what_is_in_use():
    with pytest.raises(helix.errors.OutOfMemoryError, match=r"needed on sim:1; \d+ in use"):
        keep = [helix.ones(50_000_000).to("sim:1") for _ in range(10)]
        del keep
    helix.empty_cache()


def test_a_forked_child_is_refused_the_device():
    code = (
        "import os, sys, helix\n"
        "x = helix.ones(3).to('sim:0')\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    try:\n"
        "        helix.ones(3).to('sim:0')\n"
        "    except helix.errors.DeviceError as error:\n"
        "        os._exit(7 if 'fork' in str(error) and 'spawn' in str(error) else 1)\n"
        "    os._exit(2)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=dict(os.environ), timeout=60)
    assert done.returncode == 7


def test_all_pairs_of_devices_copy():
    x = helix.randn(70, 90).T
    for first in ("cpu", "sim:0", "sim:1"):
        for second in ("cpu", "sim:0", "sim:1"):
            assert (x.to(first).to(second).cpu() == x).all().item()


def test_a_large_copy_goes_in_stages():
    x = helix.arange(3_000_000)
    assert (x.to("sim:0").to("sim:1").cpu() == x).all().item()
