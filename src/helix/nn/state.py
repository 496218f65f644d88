"""state_dict and load_state_dict: one error that lists everything that does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from ..autograd import no_grad
from ..errors import CheckpointError
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

SHOWN = 12


class Differences(NamedTuple):
    """What load_state_dict(strict=False) left alone."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def _owners(module: Module, prefix: str = ""):
    """(dotted name, owning module, attribute) of every tensor that state_dict carries; shared ones repeatedly."""
    for path, owner in module.named_modules(prefix.rstrip("."), remove_duplicate=False):
        persistent = [name for name, kept in owner._buffers.items() if kept]
        for name in (*owner._parameters, *persistent):
            if owner.__dict__[name] is not None:
                yield f"{path}.{name}" if path else name, owner, name


def state_of(module: Module, prefix: str = "") -> dict[str, Tensor]:
    return {path: owner.__dict__[name].detach() for path, owner, name in _owners(module, prefix)}


def load_state(module: Module, state: Mapping[str, Tensor], strict: bool, assign: bool) -> Differences:
    slots = {path: (owner, name) for path, owner, name in _owners(module)}
    missing = [path for path in slots if path not in state]
    unexpected = [path for path in state if path not in slots]
    mismatched = [
        (path, tuple(owner.__dict__[name].shape), tuple(state[path].shape))
        for path, (owner, name) in slots.items()
        if path in state and tuple(owner.__dict__[name].shape) != tuple(state[path].shape)
    ]
    if mismatched or (strict and (missing or unexpected)):
        raise CheckpointError(
            _report(module, missing if strict else [], unexpected if strict else [], mismatched, slots, state)
        )
    with no_grad():
        for path, (owner, name) in slots.items():
            if path in state:
                _put(owner, name, state[path], assign)
    return Differences(missing, unexpected)


def _put(owner: Module, name: str, tensor: Tensor, assign: bool) -> None:
    from .module import changes
    from .parameter import Parameter

    old = owner.__dict__[name]
    if not assign:
        old.copy_(tensor)
        return
    changes[0] += 1
    if name in owner._parameters:
        owner.__dict__[name] = Parameter(tensor, old.requires_grad)
    else:
        owner.__dict__[name] = tensor


def _report(module, missing, unexpected, mismatched, slots, state) -> str:
    count = len(missing) + len(unexpected) + len(mismatched)
    lines = [
        f"HX3003 load_state_dict: {count} of the names in {type(module).__name__} or in the state "
        f"{'does' if count == 1 else 'do'} not fit; nothing was loaded."
    ]
    lines += _part("shapes differ", [f"{path}: model {wanted}, state {given}" for path, wanted, given in mismatched])
    lines += _part("missing in the state", [path + _nearest(path, unexpected) for path in missing])
    lines += _part("not in the model", [path + _nearest(path, missing) for path in unexpected])
    if not mismatched:
        lines.append("Rename the keys, or pass strict=False to load what fits.")
    return "\n".join(lines)


def _part(title: str, items: list[str]) -> list[str]:
    if not items:
        return []
    more = [f"... and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
    return [f"  {title}:"] + [f"    {item}" for item in items[:SHOWN] + more]


def _nearest(name: str, candidates: list[str]) -> str:
    near = get_close_matches(name, candidates, n=1, cutoff=0.6)
    return f"   (did you mean {near[0]!r}?)" if near else ""
