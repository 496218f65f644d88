"""Optimizer: groups of parameters with their options, and a state for each parameter, kept under its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from .. import _core
from ..autograd import enable_grad, no_grad
from ..errors import CheckpointError
from ..tensor import Tensor


class Update(NamedTuple):
    """One fused call that is ready to run, and the states its parameters have from then on.

    A step makes all of its updates first, new states included, and then runs them, the one of most tensors first: it
    takes the memory that the others need too. So a step that fails has changed neither parameters nor states, and one that
    Ctrl-C interrupts has changed neither or all of both.
    """

    function: Callable[..., None]
    tensors: list[Tensor]
    options: dict[str, Any]
    states: dict[str, dict[str, Any]]


class Optimizer:
    """The base of all optimizers.

    `params` is what `model.parameters()` or `model.named_parameters()` gives, or a list of groups:
    `[{"params": model.body.named_parameters(), "lr": 1e-4}, {"params": model.head.named_parameters()}]`.
    Without names, parameters are called "0", "1", …; with names, saved states survive a reordered model.
    """

    def __init__(self, params: Iterable, defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[str, dict[str, Any]] = {}
        if isinstance(params, Tensor):
            raise TypeError(
                f"{type(self).__name__}: params must be an iterable of tensors, got one tensor; write [tensor]"
            )
        entries = list(params)
        if not entries:
            raise ValueError(f"{type(self).__name__}: got no parameters to optimize")
        for group in entries if isinstance(entries[0], Mapping) else [{"params": entries}]:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Adds parameters with options of their own; options not given are the optimizer's defaults."""
        unknown = set(group) - {"params", "names"} - set(self.defaults)
        if unknown:
            raise TypeError(
                f"{type(self).__name__}: unknown option {sorted(unknown)[0]!r} in a parameter group; "
                f"known: {', '.join(sorted(self.defaults))}"
            )
        options = {**self.defaults, **{k: v for k, v in group.items() if k != "params"}}
        self.check(options)
        names, tensors = self._named(group["params"])
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for name, tensor in zip(names, tensors, strict=True):
            if id(tensor) in known:
                raise ValueError(f"{type(self).__name__}: parameter {name!r} is in two groups or twice in one")
            if not tensor.is_leaf:
                raise ValueError(
                    f"{type(self).__name__}: {name!r} is the result of an operation; only leaves can be optimized"
                )
            known.add(id(tensor))
        self.param_groups.append({**options, "params": tensors, "names": names})

    def _named(self, params) -> tuple[list[str], list[Tensor]]:
        entries = [params] if isinstance(params, Tensor) else list(params)
        start = sum(len(group["params"]) for group in self.param_groups)
        pairs = [entry if isinstance(entry, tuple) else (str(start + i), entry) for i, entry in enumerate(entries)]
        for name, tensor in pairs:
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"{type(self).__name__}: can only optimize tensors, {name!r} is a {type(tensor).__name__}"
                )
        taken = {name for group in self.param_groups for name in group["names"]}
        for name, _ in pairs:
            if name in taken:
                raise ValueError(f"{type(self).__name__}: the name {name!r} is used twice")
            taken.add(name)
        return [name for name, _ in pairs], [tensor for _, tensor in pairs]

    def check(self, options: Mapping[str, Any]) -> None:
        """Raises ValueError for an option outside its domain."""
        for name in ("lr", "weight_decay", "eps", "momentum"):
            if name in options and not options[name] >= 0:
                raise ValueError(f"{type(self).__name__}: {name} must not be negative, got {options[name]}")

    # ---- use -----------------------------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad = parameter.grad.detach() * 0

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Changes every parameter that has a gradient. `closure` computes the loss again, if given."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            updates = [update for group in self.param_groups for update in self.updates(group, _with_gradients(group))]
            _core.run_step(sorted(updates, key=lambda u: -len(u.tensors)), self.state)
        return loss

    def updates(self, group: dict[str, Any], named: list[tuple[str, Tensor]]) -> Iterable[Update]:
        """What a step is for the parameters of a group that have gradients; said by the subclass."""
        raise NotImplementedError(f"{type(self).__name__} does not say in updates() what a step is")

    # ---- state ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"state": {name: {…}}, "param_groups": [{options…, "names": […]}]}; tensors are shared, not copied."""
        return {
            "state": {name: dict(values) for name, values in self.state.items()},
            "param_groups": [{k: v for k, v in group.items() if k != "params"} for group in self.param_groups],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over options and states; names and shapes must be those of this optimizer's parameters."""
        groups, state = state_dict["param_groups"], state_dict["state"]
        if [list(g["names"]) for g in groups] != [g["names"] for g in self.param_groups]:
            raise CheckpointError(self._difference(groups))
        shapes = {
            name: tuple(p.shape) for g in self.param_groups for name, p in zip(g["names"], g["params"], strict=True)
        }
        for name, values in state.items():
            for key, value in values.items():
                if name not in shapes or (
                    isinstance(value, Tensor) and value.ndim and tuple(value.shape) != shapes[name]
                ):
                    raise CheckpointError(
                        f"HX3004 {type(self).__name__}: saved {key} of {name!r} does not fit the "
                        f"parameter of shape {shapes.get(name)}; nothing was loaded."
                    )
        for group, saved in zip(self.param_groups, groups, strict=True):
            group.update({k: _restored(v) for k, v in saved.items() if k not in ("names", "params")})
        self.state = {
            name: {k: v.detach().clone() if isinstance(v, Tensor) else v for k, v in values.items()}
            for name, values in state.items()
        }

    def _difference(self, groups: list) -> str:
        mine = [name for g in self.param_groups for name in g["names"]]
        saved = [name for g in groups for name in g["names"]]
        missing = [n for n in mine if n not in saved]
        extra = [n for n in saved if n not in mine]
        detail = "; ".join(
            f"{what}: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}"
            for what, names in (("not in the state", missing), ("not in the model", extra))
            if names
        )
        return f"HX3004 {type(self).__name__}: the saved state is of other parameters; nothing was loaded. " + (
            detail or "The names are the same but their order or grouping differs."
        )

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {i}"] + [
                f"    {k}: {group[k]}" for k in sorted(group) if k not in ("params", "names")
            ]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


def _with_gradients(group: dict[str, Any]) -> list[tuple[str, Tensor]]:
    return [(name, p) for name, p in zip(group["names"], group["params"], strict=True) if p.grad is not None]


def _restored(value):
    return tuple(value) if isinstance(value, list) else value
