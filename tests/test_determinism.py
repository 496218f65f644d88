"""use_deterministic: kernels of devices that may give other bits are left out, and said so."""

from __future__ import annotations

import array
import itertools
import warnings

import pytest

import helix
from helix.backends import native

from .host_memory import HostMemory, offer

CALLS = itertools.count(1)


class Casino(HostMemory):
    """A kernel for `neg` whose last bits nobody knows."""

    @native("neg", dtypes="float32", contiguous=True, deterministic=False)
    def neg(self, call):
        source, target = call.inputs[0], call.outputs[0]
        luck = next(CALLS)
        made = array.array("f", (luck for _ in range(source.numel)))
        target.memory[target.offset : target.offset + 4 * source.numel] = made.tobytes()


offer(Casino)


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
