"""What was saved of an optimizer, checked and brought to the form that the optimizer keeps: helix's own or torch's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import as_tensor
from ..errors import CheckpointError
from ..tensor import Tensor

if TYPE_CHECKING:
    from .optimizer import Optimizer

State = dict[str, dict[str, Any]]


def restored_state(optimizer: Optimizer, saved: Mapping[str, Any]) -> tuple[list[dict[str, Any]], State]:
    """The options of each group, and the state of each parameter by name. Raises CheckpointError if it does not fit."""
    kind, mine = type(optimizer).__name__, [g["names"] for g in optimizer.param_groups]
    groups, state = saved["param_groups"], saved["state"]
    if any("names" not in group for group in groups):
        groups, state = _named(kind, mine, groups, state)
    if [list(g["names"]) for g in groups] != mine:
        raise CheckpointError(_difference(kind, mine, groups))
    shapes = {name: p.shape for g in optimizer.param_groups for name, p in zip(g["names"], g["params"], strict=True)}
    for name, values in state.items():
        for key, value in values.items():
            if not optimizer.fits(key, value, shapes.get(name)):
                raise CheckpointError(
                    f"HX3004 {kind}: saved {key} of {name!r} does not fit the "
                    f"parameter of shape {tuple(shapes[name]) if name in shapes else None}; nothing was loaded."
                )
    known = {*optimizer.defaults, "initial_lr"}
    options = [{k: _option(v) for k, v in group.items() if k in known} for group in groups]
    places = {name: p.device for g in optimizer.param_groups for name, p in zip(g["names"], g["params"], strict=True)}
    first = next(iter(places.values()))
    return options, {
        name: {k: _value(v, places.get(name, first)) for k, v in values.items()} for name, values in state.items()
    }


def _named(kind: str, mine: list[list[str]], groups: list, state: Mapping) -> tuple[list[dict[str, Any]], State]:
    """torch's form, in which parameters are counted and steps are tensors."""
    counts = [len(group["params"]) for group in groups]
    if counts != [len(names) for names in mine]:
        raise CheckpointError(
            f"HX3004 {kind}: the saved groups hold {counts} parameters, those here {[len(names) for names in mine]}; "
            "nothing was loaded."
        )
    name_of = {
        number: name
        for group, names in zip(groups, mine, strict=True)
        for number, name in zip(group["params"], names, strict=True)
    }
    renamed = [{**group, "names": list(names)} for group, names in zip(groups, mine, strict=True)]
    return renamed, {
        name_of[number]: {key: _plain(value) for key, value in values.items() if value is not None}
        for number, values in state.items()
    }


def _plain(value: Any) -> Any:
    """A tensor of ours for a tensor of any library, a number for a tensor without axes."""
    if not hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return value
    if value.ndim == 0:
        number = value.item()
        return int(number) if number == int(number) else number
    return value if isinstance(value, Tensor) else as_tensor(value)


def _option(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _value(value: Any, device: Any) -> Any:
    """A copy where the parameter is."""
    if isinstance(value, list):
        return [_value(part, device) for part in value]
    return value.detach().to(device, copy=True) if isinstance(value, Tensor) else value


def _difference(kind: str, mine: list[list[str]], groups: list) -> str:
    here = [name for names in mine for name in names]
    saved = [name for g in groups for name in g["names"]]
    missing = [n for n in here if n not in saved]
    extra = [n for n in saved if n not in here]
    detail = "; ".join(
        f"{what}: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}"
        for what, names in (("not in the state", missing), ("not in the model", extra))
        if names
    )
    return f"HX3004 {kind}: the saved state is of other parameters; nothing was loaded. " + (
        detail or "The names are the same but their order or grouping differs."
    )
