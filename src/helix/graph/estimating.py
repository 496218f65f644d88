"""helix.estimate: what a model will need, before it runs: nothing is computed, and no memory taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from math import prod
from time import perf_counter
from typing import Any, NamedTuple

from .. import _core
from .._core import Tensor, storage_number
from ..autograd import no_grad
from ..errors import ArgumentError
from ..nn.module import Module
from .analysis import BLOCK, Cost, cost
from .drawing import number_text
from .ir import Graph
from .lives import Lives, held_at_end, watched
from .spec import Spec
from .symbols import Dim, Expr, at

UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
PRECISIONS = ("float32", "bfloat16", "float16")


class Estimate(NamedTuple):
    """Bytes of what a model needs on one device, and operations and bytes moved of a run, or of a training step.

    `activations` is all that is held for a while: at the moment when most is held, results, saved tensors, and the workspace of
    kernels, without gradients of parameters. `total` is the most that is held at any moment. `seconds` is None unless measured.
    """

    name: str
    batch: int | None
    parameter_count: int
    parameters: int
    buffers: int
    inputs: int
    gradients: int
    optimizer: int
    activations: int
    total: int
    flops: int
    bytes_moved: int
    nodes: int
    seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return self._asdict()

    def __str__(self) -> str:
        rows = [(name, getattr(self, name)) for name in Estimate._fields[3:10]]
        lines = [f"{self.name}{f', batch {self.batch}' if self.batch is not None else ''}"]
        lines += [f"  {name:<12} {number_text(value, 'B'):>10}" for name, value in rows if value]
        lines.append(
            f"  {self.parameter_count:,} parameters, {self.nodes} ops, {number_text(self.flops, 'FLOP')}, "
            f"{number_text(self.bytes_moved, 'B')} moved"
        )
        if self.seconds is not None:
            lines.append(f"  about {self.seconds * 1e3:,.2f} ms here")
        return "\n".join(lines)


def estimate(
    model: Callable[..., Any],
    *specs: Any,
    batch: int | None = None,
    optimizer: str | Callable[..., Any] | None = None,
    loss: Callable[[Any], Tensor] | None = None,
    precision: str = "float32",
    checkpoint: bool = False,
    measure: bool = False,
) -> Estimate:
    """Memory, operations and bytes moved of a run of `model`, or of a step of its training, before it runs.

    The model is traced on shapes, backward pass and all; when its values come and go is watched, so that the total is what the pool
    of an eager run measures: within 6 % for inference, 8 % for training, 13 % with `checkpoint` or half precision; a compiled run holds
    up to a quarter more, or less (docs/graph.md has figures, and what its plan tells).

    specs: of the inputs, as for `helix.trace`. Open sizes `Dim("B")` are `batch`.
    optimizer: "adamw", "sgd", … or a function of parameters that makes one: a step of training is estimated. None: inference.
    loss: of what the model returns, a number; by default the cross-entropy over the last axis.
    precision: "bfloat16" or "float16": under autocast. checkpoint: layers that repeat compute forward again in backward.
    measure: tells `seconds` too, from how fast this machine multiplies and moves, which takes a moment to measure.

    Raises ArgumentError (HX1103) for an open size without `batch`, another precision, an unknown optimizer, or one for a model of
    which nothing can be trained; what `helix.trace` raises for what cannot be traced.

    Example:
        >>> found = helix.estimate(helix.nn.Linear(4, 8), helix.graph.Spec((16, 4)), optimizer="adam")
        >>> found.parameter_count, found.parameters, found.gradients, found.optimizer
        (40, 192, 192, 384)
    """
    if precision not in PRECISIONS:
        raise _refused("precision", f"must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    given = [_sized(spec, batch) for spec in specs]
    make = _maker(optimizer) if optimizer is not None else None
    name = model.name if isinstance(model, Graph) else getattr(model, "__name__", type(model).__name__)
    if make is not None:
        _require_trainable(model, name)
    parameters, buffers = _distinct(_own(model, "parameter")), _distinct(_own(model, "buffer"))
    tracer = watched()
    training = make is not None
    with ExitStack() as stack:
        stack.enter_context(_prepared(model, training, checkpoint))
        stack.enter_context(tracer)
        inputs = [tracer.input(spec.shape, spec.dtype, spec.device) for spec in given]
        if precision != "float32":
            from ..precision import autocast

            stack.enter_context(autocast("cpu", getattr(_core, precision)))
        if make is None:
            with no_grad():
                held: Any = model(*inputs)
            lives, state = Lives(tracer), 0
        else:
            held = _default_loss(tracer, model(*inputs)) if loss is None else loss(model(*inputs))
            if not held.requires_grad:
                raise _refused("optimizer", f"has nothing to do: no parameter of {name} has influence on the loss")
            held.backward()
            lives = Lives(tracer)
            state = _total(list({tracer.trace.number(t): t for t in _states(make, model)}.values()))
        moment = lives.peak()
        gradients = held_at_end(lives, [p.grad for p in parameters if p.grad is not None and _is_new(tracer, p.grad)])
        at_end = lives.held()
        del held
    graph, _ = tracer.graph(name=name)
    known = {storage_number(tensor) for tensor in (*parameters, *buffers)}
    other = sum(_bytes(t) for t in _distinct(lives.outside()) if storage_number(t) not in known)
    fixed = _total(parameters) + _total(buffers) + other + lives.inputs() + state
    working = max(moment.bytes, at_end)
    costs = [cost(node) for node in graph.nodes]
    return Estimate(
        name=graph.name,
        batch=batch,
        parameter_count=sum(p.numel() for p in parameters),
        parameters=_total(parameters),
        buffers=_total(buffers) + other,
        inputs=lives.inputs(),
        gradients=gradients,
        optimizer=state,
        activations=moment.bytes - moment.gradients,
        total=fixed + working,
        flops=sum(c.flops for c in costs),
        bytes_moved=sum(c.bytes for c in costs),
        nodes=len(graph),
        seconds=_seconds(costs, graph) if measure else None,
    )


def largest_batch(model: Callable[..., Any], *specs: Any, memory: int | str, **options: Any) -> int:
    """The largest batch with which `estimate(model, *specs, batch=…, **options)` stays within `memory`, bytes or "8GB"; 0 where
    not even one sample does.

    Example:
        >>> layer = helix.nn.Linear(1000, 1000)
        >>> helix.graph.largest_batch(layer, helix.graph.Spec((helix.graph.Dim("B"), 1000)), memory="100MB") > 1000
        True
    """
    room = memory_of(memory)

    def total(batch: int) -> int:
        return estimate(model, *specs, batch=batch, **options).total

    fits, over = 0, 1
    while total(over) <= room:
        fits, over = over, 2 * over
        if over > 1 << 40:
            return fits
    while over - fits > 1:
        low, high = total(max(fits, 1)), total(over)
        guess = fits + int((over - fits) * (room - low) / max(high - low, 1))  # memory grows about evenly
        guess = min(max(guess, fits + 1), over - 1)
        for middle in (guess, guess + 1, (fits + over) // 2):
            if fits < middle < over:
                if total(middle) <= room:
                    fits = middle
                else:
                    over = middle
    return fits


def memory_of(text: int | str) -> int:
    """Bytes of 8000000000, "8GB" or "8 GiB"."""
    if isinstance(text, int):
        return text
    digits = text.strip().rstrip("BKMGTibkmgt ")
    unit = text.strip()[len(digits) :].strip().upper()
    try:
        return int(float(digits) * UNITS[unit])
    except (KeyError, ValueError):
        raise _refused("memory", f"must be bytes, or a text such as 8GB or 512MiB, got {text!r}") from None


# ---- parts -------------------------------------------------------------------------------------------------


def _refused(argument: str, text: str) -> ArgumentError:
    return ArgumentError(f"HX1103 estimate: {argument} {text}", code="HX1103", argument=argument)


def _sized(spec: Any, batch: int | None) -> Spec:
    if not isinstance(spec, Spec):
        return Spec(spec.shape, spec.dtype, spec.device)
    open_sizes = {name for size in spec.shape if isinstance(size, Expr) for name in size.names}
    if open_sizes and batch is None:
        raise _refused("batch", f"is needed for {', '.join(sorted(open_sizes))} of {spec!r}")
    for size in spec.shape:
        if isinstance(size, Dim) and batch is not None:
            size.check(batch)
    return Spec(at(spec.shape, dict.fromkeys(open_sizes, batch or 0)), spec.dtype, spec.device)


def _maker(optimizer: str | Callable[..., Any]) -> Callable[..., Any]:
    if callable(optimizer):
        return optimizer
    from .. import optim

    known: dict[str, Any] = {name.lower(): found for name, found in vars(optim).items() if isinstance(found, type)}
    found = known.get(optimizer.lower())
    if found is None or not issubclass(found, optim.Optimizer):
        names = sorted(name for name, one in known.items() if issubclass(one, optim.Optimizer) and name != "optimizer")
        raise _refused("optimizer", f"must be one of {', '.join(names)}, got {optimizer!r}")
    return partial(found, lr=1e-3)


@contextmanager
def _prepared(model: Any, training: bool, checkpoint: bool) -> Iterator[None]:
    """The model as it would be in use: its mode, no gradients yet, repeated layers checkpointed; afterwards as before."""
    if not isinstance(model, Module):
        yield
        return
    modes = [(module, module.training) for module in model.modules()]
    gradients = [(p, p.grad) for p in model.parameters()]
    layers = _repeated(model) if checkpoint else []
    try:
        model.train(training)
        for parameter, _ in gradients:
            parameter.grad = None
        for layer in layers:
            from ..checkpointing import checkpoint as again

            layer.__dict__["forward"] = partial(again, layer.forward, use_reentrant=False)
        yield
    finally:
        for layer in layers:
            del layer.__dict__["forward"]
        for module, mode in modes:
            module.training = mode
        for parameter, gradient in gradients:
            parameter.grad = gradient


def _repeated(model: Module) -> list[Module]:
    """The outermost layers of which a list holds two of a kind or more, and that hold layers themselves."""
    found: list[Module] = []
    waiting: list[Module] = [model]
    while waiting:
        children = list(waiting.pop().children())
        kinds = [type(child) for child in children]
        for child in children:
            if kinds.count(type(child)) > 1 and next(iter(child.children()), None) is not None:
                found.append(child)
            else:
                waiting.append(child)
    return found


def _default_loss(tracer: Any, result: Any) -> Tensor:
    from ..nn.functional import cross_entropy

    if not isinstance(result, Tensor) or result.ndim < 1:
        raise _refused("loss", f"must be told for a model that returns {type(result).__name__}")
    targets = tracer.input(result.shape[:-1], _core.int64)
    loss: Tensor = cross_entropy(result.reshape((-1, result.shape[-1])), targets.reshape((-1,)))
    return loss


def _require_trainable(model: Any, name: str) -> None:
    if not isinstance(model, Module):
        raise _refused("optimizer", f"needs a model that is a helix.nn.Module, which {name} is not")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise _refused(
            "optimizer",
            f"has nothing to train: {name} has no parameter that requires grad; leave optimizer out to estimate a run",
        )


def _states(make: Callable[..., Any], model: Any) -> list[Tensor]:
    """The tensors that an optimizer keeps after its first step."""
    optimizer = make([p for p in model.parameters() if p.requires_grad])
    found: list[Tensor] = []
    with no_grad():
        groups = [(group, optimizer.with_gradients(group)) for group in optimizer.param_groups]
        for update in optimizer.planned(groups):
            for values in update.states.values():
                found += [value for value in values.values() if isinstance(value, Tensor) and value.ndim]
    return found


def _own(model: Any, kind: str) -> list[Tensor]:
    if isinstance(model, Module):
        return list(model.parameters() if kind == "parameter" else model.buffers())
    return [value.source for value in model.captured if value.kind == kind] if isinstance(model, Graph) else []


def _is_new(tracer: Any, gradient: Tensor) -> bool:
    return bool(tracer.trace.number(gradient) >= 0)


def _distinct(tensors: Any) -> list[Tensor]:
    """One tensor for each piece of memory."""
    return list({storage_number(tensor): tensor for tensor in tensors}.values())


def _bytes(tensor: Tensor) -> int:
    return -(-prod(tensor.shape) * tensor.dtype.itemsize // BLOCK) * BLOCK


def _total(tensors: Sequence[Tensor]) -> int:
    return sum(map(_bytes, tensors))


# ---- time --------------------------------------------------------------------------------------------------


def _seconds(costs: Sequence[Cost], graph: Graph) -> float:
    """Every op takes the time of its operations or of its bytes, whichever is longer, and that of a call."""
    rate, speed, call = _rates()
    return sum(max(c.flops / rate, c.bytes / speed) for c in costs) + call * len(graph)


def _rates() -> tuple[float, float, float]:
    """Operations and bytes a second, and the seconds of the smallest call, on this machine, now."""
    a, big, one = _core.ones((512, 512)), _core.ones((1 << 23,)), _core.ones((1,))
    return 2 * 512**3 / _best(lambda: a @ a), 8 * big.numel() / _best(lambda: big + 1), _best(lambda: one + 1)


def _best(run: Callable[[], Any]) -> float:
    taken = []
    for _ in range(5):
        begin = perf_counter()
        run()
        taken.append(perf_counter() - begin)
    return min(taken)
