"""The simulated device finds what it must find, and nothing else."""

import pytest

import helix
from helix.backends import sim
from helix.backends.sim_order import Event
from helix.errors import ConfigError, DeviceError


def device(settings=""):
    return sim.backend("box", settings).open(0)


def put(d, block, text, stream=None, offset=0):
    d.copy_in(block, offset, memoryview(text), stream)


def get(d, block, nbytes, stream=None, offset=0):
    target = bytearray(nbytes)
    d.copy_out(memoryview(target), block, offset, stream)
    d.sync(stream)
    return bytes(target)


def test_tensors_live_there():
    x = helix.arange(10).to("sim")
    y = x.to("sim:1")
    assert x.tolist() == y.tolist() == list(range(10)) and str(y.device) == "sim:1"
    assert x.data_ptr() == 0


def test_memory_is_poisoned_before_it_is_written_and_after_it_is_freed():
    d = device()
    block = d.alloc(8, False)
    assert get(d, block, 8) == b"\xff" * 8
    put(d, block, b"12345678")
    assert get(d, block, 8) == b"12345678"
    data = block.data
    d.free(block)
    assert bytes(data) == b"\xfb" * 8


def test_nothing_runs_before_it_must():
    d = device()
    block = d.alloc(4, False)
    source, target = bytearray(b"late"), bytearray(4)
    put(d, block, source)
    d.copy_out(memoryview(target), block, 0, None)
    assert target == bytes(4)
    source[:] = b"LATE"  # helix must not do this before a sync: the device may still read it
    d.sync()
    assert target == b"LATE"


def test_a_freed_block_keeps_its_bytes_for_work_that_waits():
    d = device()
    block = d.alloc(4, False)
    put(d, block, b"last")
    target = bytearray(4)
    d.copy_out(memoryview(target), block, 0, None)
    d.free(block)
    d.sync()
    assert target == b"last" and bytes(block.data) == b"\xfb" * 4


def test_faults_name_both_operations():
    d = device()
    block = d.alloc(8, False)
    with pytest.raises(DeviceError, match=r"HX5004 fill of 5 bytes from byte 4 reaches bytes 4 to 9 of block 1 of 8"):
        d.fill(block, 4, 5, b"x", None)
    d.free(block)
    with pytest.raises(
        DeviceError, match=r"copy of 8 bytes from the host to byte 0 uses block 1 .* after a free of it"
    ):
        put(d, block, b"12345678")
    with pytest.raises(DeviceError, match="was freed before, by a free of it"):
        d.free(block)


def test_writing_beside_a_block_is_found():
    d = device()
    block = d.alloc(8, False)
    block._whole[3] = 1
    with pytest.raises(DeviceError, match="wrote beside block 1"):
        d.free(block)


def two_streams(seed, order):
    """Two writes of one block on two streams, ordered by `order`; gives what the block then holds."""
    d = device(f"seed={seed}")
    block, one, two = d.alloc(4, False), d.new_stream(), d.new_stream()
    d.fill(block, 0, 4, b"1", one)
    order(d, one, two)
    d.fill(block, 0, 4, b"2", two)
    d.sync()
    return get(d, block, 4)


def by_event(d, one, two):
    event = d.new_event()
    d.record(event, one)
    d.stream_wait(two, event)


def by_host(d, one, two):
    d.sync(one)


def by_event_and_host(d, one, two):
    event = d.new_event()
    d.record(event, one)
    while not d.query(event):
        pass
    d.wait_event(event)


@pytest.mark.parametrize("order", [by_event, by_host, by_event_and_host])
@pytest.mark.parametrize("seed", range(8))
def test_ordered_streams_do_not_race(order, seed):
    assert two_streams(seed, order) == b"2222"


@pytest.mark.parametrize("seed", range(4))
def test_a_race_is_found_whatever_the_order_of_running(seed):
    with pytest.raises(DeviceError, match=r"race on block 1 .* fill .* on stream 1 and fill .* on stream 2"):
        two_streams(seed, lambda *_: None)


def test_an_event_recorded_too_early_orders_nothing():
    d = device()
    block, one, two, event = d.alloc(4, False), d.new_stream(), d.new_stream(), d.new_event()
    d.record(event, one)
    d.fill(block, 0, 4, b"1", one)
    d.stream_wait(two, event)
    with pytest.raises(DeviceError, match="race"):
        d.fill(block, 0, 4, b"2", two)


def test_reads_of_the_same_and_writes_of_other_bytes_do_not_race():
    d = device()
    block, one, two = d.alloc(8, False), d.new_stream(), d.new_stream()
    d.fill(block, 0, 4, b"1", one)
    d.fill(block, 4, 4, b"2", two)
    d.sync()
    target = bytearray(8)
    d.copy_out(memoryview(target), block, 0, one)
    d.copy_out(memoryview(target), block, 0, two)
    d.sync()
    assert target == b"11112222"


@pytest.mark.parametrize("read_first", [True, False])
def test_a_read_and_a_write_without_an_order_race(read_first):
    d = device()
    block, one, two = d.alloc(4, False), d.new_stream(), d.new_stream()
    target = memoryview(bytearray(4))
    steps = [lambda: d.copy_out(target, block, 0, one), lambda: d.fill(block, 0, 4, b"1", two)]
    first, second = steps if read_first else steps[::-1]
    first()
    with pytest.raises(DeviceError, match="race"):
        second()


def test_streams_run_in_many_orders():
    def order(seed):
        d = device(f"seed={seed}")
        seen, streams = [], [d.new_stream() for _ in range(3)]
        for i in range(12):
            d.world.issue(streams[i % 3], "a mark", lambda i=i: seen.append(i))
        d.sync()
        assert [i for i in seen if i % 3 == 1] == [1, 4, 7, 10]
        return tuple(seen)

    assert len({order(seed) for seed in range(10)}) > 5
    assert order(3) == order(3)


def test_copies_between_devices_come_after_the_peer_s_work():
    backend = sim.backend("pair", "seed=1")
    a, b = backend.open(0), backend.open(1)
    source, target = a.alloc(4, False), b.alloc(4, False)
    put(a, source, b"peer")
    assert b.reaches(a)
    b.copy_peer(target, 0, source, 0, 4, a, False, None)
    assert get(b, target, 4) == b"peer"


def test_leaks_are_listed():
    d = device()
    kept, given = d.alloc(3, False), d.alloc(5, False)
    d.free(given)
    assert d.leaks() == [kept.name] == ["block 1 of 3 bytes on box:0"]
    assert d.mem_info() == (sim.MEMORY - 3, sim.MEMORY)
    with pytest.raises(MemoryError):
        d.alloc(sim.MEMORY, False)


@pytest.mark.parametrize("part", sorted(sim.OPTIONAL))
def test_each_optional_part_can_be_taken_away(part):
    from helix.backends.base import overrides

    gone = sim.backend("box", f"without={part}").device_class
    kept = sim.backend("box", "").device_class
    assert not any(overrides(gone, method) for method in sim.OPTIONAL[part])
    assert all(overrides(kept, method) for method in sim.OPTIONAL[part])


def test_every_optional_part_of_the_contract_that_sim_has_can_be_taken_away():
    from helix.backends.base import Device

    required = {"alloc", "free", "copy_in", "copy_out", "sync"}
    methods = {name for name, value in vars(Device).items() if callable(value) and not name.startswith("_")}
    offered = methods & vars(sim.SimDevice).keys()
    assert offered - required == {method for part in sim.OPTIONAL.values() for method in part}


@pytest.mark.parametrize("text", ["seed=x", "without=everything", "quick"])
def test_settings_that_are_not_understood(text):
    with pytest.raises(ConfigError, match="HELIX_SIM"):
        sim.backend("box", text)


def test_an_event_never_recorded_is_done():
    d = device()
    assert d.query(Event())
    d.wait_event(Event())


def test_exact_blocks_are_those_of_the_tensors():
    from helix.backends import register

    register("exact", lambda: sim.backend("exact", "exact=1"))
    x = helix.tensor([1, 2, 3], dtype=helix.int8).to("exact")
    box = sim.backend("exact", "exact=1")
    assert all(info.own_pool for info in box.probe().devices) and box.exact
    assert x.tolist() == [1, 2, 3]
