"""Optimizer: groups of parameters with their options, and a state for each parameter, kept under its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple, TypedDict

from .. import _core, bfloat16, float16, float32
from ..autograd import enable_grad, no_grad
from ..tensor import Tensor
from .hooks import Hooks, Removable
from .state import restored_state
from .whole import Whole, is_torn_by_handlers


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


class Entry(NamedTuple):
    """What a step works on: a parameter (or its master weights), its gradient, and its state so far."""

    name: str
    parameter: Tensor
    gradient: Tensor
    state: dict[str, Any]


Given = tuple[str, Tensor, Tensor]  # name, parameter, gradient


class Choices(TypedDict, total=False):
    """Arguments that all optimizers take.

    `foreach`, `fused` and `capturable` choose among torch's implementations and change nothing here: every step is a
    fused multi-tensor one. `differentiable=True` is refused. `master_weights=True` keeps a float32 copy of each float16
    and bfloat16 parameter: the step is made on the copy, and the parameter is the copy rounded.
    """

    foreach: bool | None
    fused: bool | None
    capturable: bool
    differentiable: bool
    master_weights: bool


class Optimizer:
    """The base of all optimizers.

    `params` is what `model.parameters()` or `model.named_parameters()` gives, or a list of groups:
    `[{"params": model.body.named_parameters(), "lr": 1e-4}, {"params": model.head.named_parameters()}]`.
    Without names, parameters are called "0", "1", …; with names, saved states survive a reordered model.
    """

    not_negative: tuple[str, ...] = ("lr", "weight_decay", "eps", "momentum")

    def __init__(self, params: Iterable, defaults: Mapping[str, Any], choices: Mapping[str, Any] | None = None) -> None:
        self.defaults = {**defaults, "master_weights": self._chosen(choices or {})}
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[str, dict[str, Any]] = {}
        self.ahead: dict[tuple[str, str], Tensor] = {}  # states that traced steps will begin
        self._hooks = Hooks()
        if isinstance(params, Tensor):
            raise TypeError(
                f"{type(self).__name__}: params must be an iterable of tensors, got one tensor; write [tensor]"
            )
        entries = list(params)
        if not entries:
            raise ValueError(f"{type(self).__name__}: got no parameters to optimize")
        for group in entries if isinstance(entries[0], Mapping) else [{"params": entries}]:
            self.add_param_group(group)

    def _chosen(self, choices: Mapping[str, Any]) -> bool:
        unknown = set(choices) - set(Choices.__annotations__)
        if unknown:
            raise TypeError(f"{type(self).__name__}: unknown argument {sorted(unknown)[0]!r}")
        if choices.get("differentiable"):
            raise ValueError(
                f"{type(self).__name__}: a step cannot be differentiated through (differentiable=True); "
                "write the update with tensor operations instead"
            )
        return bool(choices.get("master_weights", False))

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Adds parameters with options of their own; options not given are the optimizer's defaults."""
        unknown = set(group) - {"params", "names", "initial_lr"} - set(self.defaults)
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
            self.check_parameter(name, tensor)
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
        for name in self.not_negative:
            if isinstance(options.get(name), (int, float)) and not options[name] >= 0:
                raise ValueError(f"{type(self).__name__}: {name} must not be negative, got {options[name]}")
        for i, beta in enumerate(options.get("betas", ())):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"{type(self).__name__}: betas[{i}] must be at least 0 and below 1, got {beta}")

    def check_parameter(self, name: str, parameter: Tensor) -> None:
        """Raises ValueError for a parameter that this optimizer cannot change."""

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
        self._hooks.run("step_pre", self, (closure,), {})
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if _core.tracing():
            from .traced import record

            record(self)
        else:
            with no_grad():
                given = [(group, self.with_gradients(group)) for group in self.param_groups]
                updates = self.planned(given)
                with Whole() if is_torn_by_handlers(updates) else nullcontext():
                    _core.run_step(updates, self.state)
        self._hooks.run("step_post", self, (closure,), {})
        return loss

    def planned(self, groups: Iterable[tuple[dict[str, Any], list[Given]]]) -> list[Update]:
        """The calls that make a step of these parameters; nothing is changed yet."""
        updates: list[Update] = []
        copies: list[Update] = []
        for group, given in groups:
            entries = self._entries(group, given)
            updates += self.updates(group, entries)
            copies += _rounded(group, entries)
        return sorted(updates, key=lambda u: -len(u.tensors)) + copies

    @staticmethod
    def with_gradients(group: dict[str, Any]) -> list[Given]:
        """(name, parameter, gradient) of those that have one."""
        pairs = zip(group["names"], group["params"], strict=True)
        return [(name, p, gradient) for name, p in pairs if (gradient := p.grad) is not None]

    def _entries(self, group: dict[str, Any], given: list[Given]) -> list[Entry]:
        entries = []
        for name, parameter, gradient in given:
            state, changed = self.state.get(name, {}), parameter
            if group["master_weights"] and parameter.dtype in (float16, bfloat16):
                if "master_weight" not in state:
                    state = {**state, "master_weight": parameter.detach().to(float32)}
                changed = state["master_weight"]
            entries.append(Entry(name, changed, gradient, state))
        return entries

    def updates(self, group: dict[str, Any], entries: list[Entry]) -> Iterable[Update]:
        """What a step is for the parameters of a group that have gradients; said by the subclass."""
        raise NotImplementedError(f"{type(self).__name__} does not say in updates() what a step is")

    # ---- state ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"state": {name: {…}}, "param_groups": [{options…, "names": […]}]}; tensors are shared, not copied."""
        self._hooks.run("state_dict_pre", self)
        state = {
            "state": {name: dict(values) for name, values in self.state.items()},
            "param_groups": [{k: v for k, v in group.items() if k != "params"} for group in self.param_groups],
        }
        return self._hooks.change("state_dict_post", self, state)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over options and states; names and shapes must be those of this optimizer's parameters.

        torch's own optimizer state, which counts parameters instead of naming them, is taken in the order of the
        parameters here.
        """
        state_dict = self._hooks.change("load_state_dict_pre", self, dict(state_dict))
        groups, self.state = restored_state(self, state_dict)
        for group, saved in zip(self.param_groups, groups, strict=True):
            group.update(saved)
        self._hooks.run("load_state_dict_post", self)

    def fits(self, key: str, value: Any, shape: Any) -> bool:
        """Can a saved value of this name belong to a parameter of this shape (None: to no parameter)?"""
        return shape is not None and (not isinstance(value, Tensor) or not value.ndim or value.shape == shape)

    def register_step_pre_hook(self, hook: Callable) -> Removable:
        """`hook(optimizer, args, kwargs)` runs before each step."""
        return self._hooks.add("step_pre", hook)

    def register_step_post_hook(self, hook: Callable) -> Removable:
        """`hook(optimizer, args, kwargs)` runs after each step."""
        return self._hooks.add("step_post", hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> Removable:
        """`hook(optimizer)` runs before the state is given out."""
        return self._hooks.add("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> Removable:
        """`hook(optimizer, state_dict)` may change the state that is given out, or return another."""
        return self._hooks.add("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> Removable:
        """`hook(optimizer, state_dict)` may change the state before it is taken over, or return another."""
        return self._hooks.add("load_state_dict_pre", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> Removable:
        """`hook(optimizer)` runs after a state was taken over."""
        return self._hooks.add("load_state_dict_post", hook, prepend)

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {i}"] + [
                f"    {k}: {group[k]}" for k in sorted(group) if k not in ("params", "names")
            ]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


def _rounded(group: dict[str, Any], entries: list[Entry]) -> list[Update]:
    """The parameters that have master weights become those, rounded."""
    if not group["master_weights"]:
        return []
    masters = {e.name: e.parameter for e in entries if e.state.get("master_weight") is e.parameter}
    mine = [p for name, p in zip(group["names"], group["params"], strict=True) if name in masters]
    return [Update(_copy_lists, mine + list(masters.values()), {}, {})]


def _copy_lists(tensors: list[Tensor]) -> None:
    half = len(tensors) // 2
    for target, source in zip(tensors[:half], tensors[half:], strict=True):
        target.copy_(source)
