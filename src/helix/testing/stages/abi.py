"""t0_abi: the backend loads, says what it is, and is quiet about it."""

from __future__ import annotations

from collections.abc import Iterator

import helix
from helix.backends import discovery

from ..case import Case, NotOffered, Target
from ..slots import NO, Slots
from . import listed

REQUIRED = ("mem_alloc", "mem_free", "copy", "sync")
GROUPS = (
    ("program_load", "program_unload", "launch"),
    ("stream_create", "stream_destroy"),
    ("event_create", "event_destroy", "event_record", "event_query", "event_sync"),
)


def loads(target: Target) -> str:
    found = discovery.loaded(target.backend)
    assert found.state == "ready", found.reason
    helix.device(target.name)
    abi = next(abi for name, _, abi, _, _ in helix._core.registered_backends() if name == target.backend)
    return f"ABI {abi[0]}.{abi[1]}, {found.origin}"


def is_quiet_while_it_loads(target: Target) -> str | None:
    found = discovery.loaded(target.backend)
    assert not found.notes, "; ".join(found.notes)
    return None


def required_slots(target: Target) -> str | None:
    slots = Slots(target.name)
    missing = [name for name in REQUIRED if name not in slots]
    assert not missing, f"missing: {', '.join(missing)}"
    for group in GROUPS:
        there = [name for name in group if name in slots]
        assert len(there) in (0, len(group)), f"{', '.join(there)} without the rest of {', '.join(group)}"
    return None


def tells_what_it_is(target: Target) -> str:
    facts = target.facts
    assert facts["name"].strip(), "the device has no name"
    return ", ".join(f"{key} {value}" for key, value in facts.items() if value and isinstance(value, str | int))


def keeps_names_of_ops_apart(target: Target) -> str | None:
    slots = Slots(target.name)
    slots.need("op_query")
    for name in ("", "no_such_op", "add2", "ad", "ADD", "add\n"):
        assert slots.support(name).verdict == NO, f"op_query claims an op named {name!r}"
    return None


def claims_dtypes_that_exist(target: Target) -> str:
    claims = Slots(target.name).claims()
    if not claims:
        raise NotOffered("no native ops")
    bad = [op for op, answer in claims.items() if not answer.dtypes or answer.dtypes >> 15]
    assert not bad, f"no dtype, or one that does not exist: {', '.join(bad)}"
    return f"{len(claims)} native ops"


def can_be_probed_in_another_process(target: Target) -> str:
    """Also says how long that takes; it must not print."""
    from helix.backends import trial

    found = discovery.loaded(target.backend)
    if found.factory is not None and target.backend != "sim":
        raise NotOffered("registered by the program")
    answer = trial.run(found, "probe")
    assert answer["state"] == "ready", answer["reason"]
    assert not answer["notes"], "; ".join(answer["notes"])
    return f"{answer['seconds']} s"


CASES = (
    loads, is_quiet_while_it_loads, required_slots, tells_what_it_is, keeps_names_of_ops_apart,
    claims_dtypes_that_exist, can_be_probed_in_another_process,
)  # fmt: skip


def cases(target: Target) -> Iterator[Case]:
    return listed("t0_abi", {case.__name__: case for case in CASES})
