"""use_deterministic: kernels of devices that may give other bits are left out, and said so."""

from __future__ import annotations

import array
import itertools
import warnings

import pytest

import helix
from helix.backends import Availability, Backend, Device, DeviceInfo, native, register

CALLS = itertools.count(1)


class Dice(Device):
    """Memory on the host, and a kernel for `neg` whose last bits nobody knows."""

    def alloc(self, nbytes, pinned):
        return bytearray(nbytes)

    def free(self, block):
        block.clear()

    def copy_in(self, block, offset, source, stream):
        block[offset : offset + len(source)] = source

    def copy_out(self, target, block, offset, stream):
        target[:] = block[offset : offset + len(target)]

    def sync(self, stream=None):
        pass

    @native("neg", dtypes="float32", contiguous=True, deterministic=False)
    def neg(self, call):
        source, target = call.inputs[0], call.outputs[0]
        luck = next(CALLS)
        made = array.array("f", (luck for _ in range(source.numel)))
        target.memory[target.offset : target.offset + 4 * source.numel] = made.tobytes()


class Casino(Backend):
    name = "casino"
    device_class = Dice

    def probe(self):
        return Availability([DeviceInfo(name="a table", arch="felt")])


register("casino", Casino)


@pytest.fixture
def x():
    before = helix.get_fallback()
    helix.set_fallback("host")
    yield helix.ones(3).to("casino")
    helix.set_fallback(before)


def test_a_kernel_of_chance_is_used_only_without_the_mode(x):
    assert (-x).tolist() != (-x).tolist()
    with helix.use_deterministic():
        assert (-x).tolist() == [-1, -1, -1]
    assert (-x).tolist() != [-1, -1, -1]


def test_where_nothing_else_helps_the_error_names_the_op(x):
    helix.set_fallback("error")
    with (
        helix.use_deterministic(),
        pytest.raises(helix.errors.UnsupportedOpError, match="neg.*no deterministic kernel"),
    ):
        -x
    assert (-x).tolist() != [-1, -1, -1]


def test_warnings_alone_name_the_op(x):
    with helix.use_deterministic(warn_only=True), pytest.warns(match="neg.*casino.*other bits"):
        assert (-x).tolist() != [-1, -1, -1]
        assert helix.is_deterministic() and helix.is_deterministic_algorithms_warn_only_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        -x


def test_the_modes_are_switches_contexts_and_decorators():
    assert not helix.is_deterministic() and not helix.is_batch_invariant()
    for switch, state in (
        (helix.use_deterministic, helix.is_deterministic),
        (helix.use_batch_invariant, helix.is_batch_invariant),
    ):
        switch(True)
        assert state()
        with switch(False):
            assert not state()
        assert state()
        switch(False)

        @switch()
        def inside(state=state):
            return state()

        assert inside() and not state()
    assert helix.use_deterministic_algorithms is helix.use_deterministic
    assert not helix.are_deterministic_algorithms_enabled()
