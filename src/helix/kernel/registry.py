"""Which template serves which op."""

from __future__ import annotations

from helix.kernel.ir import UnsupportedError
from helix.kernel.plan import Call, Plan, Target

_templates: dict = {}


def template(*ops):
    """Registers a function of (Call, Target) that returns a Plan, or raises UnsupportedError."""

    def enter(function):
        _templates.update(dict.fromkeys(ops, function))
        return function

    return enter


def offered():
    return frozenset(_templates)


def plan(call: Call, target: Target) -> Plan:
    if call.op not in _templates:
        raise UnsupportedError(f"no template for '{call.op}'")
    return _templates[call.op](call, target)
