"""The table of schedules: which line is taken, and that no device gets more than it holds."""

import pytest

from helix.kernel import schedule
from helix.kernel.matmul import tile_of
from helix.kernel.plan import Target
from helix.kernel.schedule import Schedule, Tile, schedule_of


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setattr(schedule, "schedules", list(schedule.schedules))
    schedule_of.cache_clear()
    yield schedule.schedules
    schedule_of.cache_clear()


def test_the_first_line_that_fits_is_taken(table):
    own = Schedule(flat=96)
    table.insert(0, ("cuda-c", "sm_9*", own))
    assert Target("cuda-c", "sm_90").schedule is own
    assert Target("cuda-c", "sm_80").schedule == Schedule()
    assert Target("opencl-c", "Portable Computing Language 3.1").schedule.flat == 64
    assert Target("opencl-c", "OpenCL 3.0 CUDA").schedule.flat == 256


@pytest.mark.parametrize("kind", ["c", "cuda-c"])
@pytest.mark.parametrize("max_group", [1, 4, 16, 64, 256, 1024])
@pytest.mark.parametrize("shared", [0, 1024, 16384, 49152])
def test_a_tile_fits_the_device(kind, max_group, shared):
    for m, n in ((1, 1), (20, 300), (512, 512)):
        tile = tile_of(Target(kind, max_group=max_group, shared_bytes=shared), m, n)
        assert tile.side**2 <= max_group
        assert 2 * tile.span * tile.depth * 4 <= max(shared, 4096)


def test_a_small_result_gets_a_small_tile():
    target = Target("cuda-c", max_group=1024, shared_bytes=49152)
    assert tile_of(target, 512, 512) == Tile(16, 4) and tile_of(target, 20, 512) == Tile(16, 2)
    assert tile_of(target, 4, 512) == Tile(16, 1)
