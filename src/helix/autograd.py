"""Gradients: modes, backward, custom functions, anomaly detection, numerical checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar, overload

from helix import _core
from helix._core import Node, Tensor, backward, grad, is_grad_enabled, is_inference_mode_enabled
from helix.errors import ArgumentError, GradientError

__all__ = [
    "Function",
    "GradientError",
    "Node",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "saved_tensors_hooks",
    "set_grad_enabled",
]


F = TypeVar("F", bound=Callable[..., Any])


class _Mode:
    """A switch of the thread, as context manager and decorator."""

    _switch = staticmethod(_core.grad_mode)

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        self._before.append(self._switch(self._enabled))
        return self

    def __exit__(self, *exception: object) -> None:
        self._switch(self._before.pop())

    def __call__(self, function: F) -> F:
        from functools import wraps

        @wraps(function)
        def inside(*args, **kwargs):
            before = self._switch(self._enabled)
            try:
                return function(*args, **kwargs)
            finally:
                self._switch(before)

        return inside  # type: ignore[return-value]  # with the parameters of the function


class _FixedMode(_Mode):
    """A mode without parameters: also a decorator without parentheses."""

    _wanted = False

    @overload
    def __new__(cls, function: None = None) -> Self: ...
    @overload
    def __new__(cls, function: F) -> F: ...  # type: ignore[misc]  # used as a decorator
    def __new__(cls, function: Any = None) -> Any:
        made = super().__new__(cls)
        made.__init__()  # type: ignore[misc]  # which no mode of this kind changes
        return made if function is None else made(function)

    def __init__(self) -> None:
        super().__init__(self._wanted)


class no_grad(_FixedMode):
    """Ops inside are not recorded.

    >>> x = helix.tensor([1.0], requires_grad=True)
    >>> with helix.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """


class enable_grad(_FixedMode):
    """Ops inside are recorded, also within no_grad."""

    _wanted = True


class inference_mode(_Mode):
    """Ops inside leave nothing for autograd, not even version counts; their results may not enter autograd later."""

    _switch = staticmethod(_core.inference)


class detect_anomaly(_Mode):
    """A gradient with NaN inside is an error that names the op, and the line of yours that called it."""

    _switch = staticmethod(_core.anomaly_mode)


class set_grad_enabled(_Mode):
    """Switches recording on or off at once; as a context manager, until its end."""

    def __init__(self, enabled: bool) -> None:
        super().__init__(bool(enabled))
        super().__enter__()

    def __enter__(self) -> Self:
        return self

    def __call__(self, function: F) -> F:
        self.__exit__()
        return super().__call__(function)


class saved_tensors_hooks:
    """Inside, what ops save for backward is kept as `pack(tensor)`, and `unpack` of that is the tensor again.

    A context manager. Leaves whose gradient is wanted are not packed: they live on anyhow.

    >>> x = helix.tensor([2.0], requires_grad=True)
    >>> with helix.autograd.saved_tensors_hooks(lambda t: t.numpy(), helix.from_numpy):
    ...     y = x.exp()
    >>> helix.autograd.grad(y, x)[0].tolist() == y.tolist()
    True
    """

    def __init__(self, pack_hook, unpack_hook):
        self._pair = (pack_hook, unpack_hook)
        self._before = []

    def __enter__(self):
        self._before.append(_core.saver_mode(self._pair))

    def __exit__(self, *exception):
        _core.saver_mode(self._before.pop())


class _Packed:
    """What a pack hook made of a saved tensor: of its values alone, the node knows which input they are."""

    def __init__(self, pair: tuple[Any, Any], tensor: Tensor, inputs: Sequence[Tensor]) -> None:
        self.unpack, self.kept = pair[1], pair[0](tensor.detach())
        self.place = next((i for i, t in enumerate(inputs) if t is tensor), None)

    def restored(self, node):
        tensor = self.unpack(self.kept)
        return tensor if self.place is None else node.input(tensor, self.place)


class FunctionContext:
    """What `forward` leaves for `backward`: saved tensors, and any attributes."""

    _saved = ()
    _non_differentiable = ()
    _materialize = True
    _node = None

    _name: str
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors):
        """Keeps tensors (or None) for `backward`, which finds them in `saved_tensors`."""
        self._saved = tuple((t, None if t is None else t._version, None) for t in tensors)

    def _forget_outputs(self, outputs):
        """Outputs are kept without their history, which leads to the node that keeps them."""
        numbers = {id(output): number for number, output in enumerate(outputs)}
        self._saved = tuple(
            (t, version, None) if id(t) not in numbers else (t.detach(), version, numbers[id(t)])
            for t, version, _ in self._saved
        )

    def _pack(self, inputs):
        """Hands what is saved to saved_tensors_hooks, if they are on."""
        pair = _core.saver_mode(None)
        try:
            if pair is not None:
                self._saved = tuple(
                    (t if t is None or (t.is_leaf and t.requires_grad) else _Packed(pair, t, inputs), version, number)
                    for t, version, number in self._saved
                )
        finally:
            _core.saver_mode(pair)

    @property
    def saved_tensors(self):
        """The tensors of save_for_backward; an error when one was changed in place since."""
        saved = [(t.restored(self._node) if isinstance(t, _Packed) else t, t, *rest) for t, *rest in self._saved]
        for tensor, kept, version, _ in saved:
            if tensor is kept and tensor is not None and tensor._version != version:
                raise GradientError(
                    f"HX1501 {self._name}: a tensor saved for backward, shape {tensor.shape}, was changed in place "
                    f"afterwards (version {version} to {tensor._version}). Use an out-of-place update, or save a clone.",
                    op=self._name,
                    code="HX1501",
                )
        return tuple(tensor if number is None else self._node.output(tensor, number) for tensor, _, _, number in saved)

    def mark_non_differentiable(self, *outputs):
        """Says that no gradient flows through these outputs."""
        self._non_differentiable = outputs

    def set_materialize_grads(self, value):
        """With False, `backward` gets None instead of zeros for outputs that were not used."""
        self._materialize = value


class Function:
    """A custom op: subclass with static `forward(ctx, *args)` and `backward(ctx, *grads)`, call with `apply`.

    `backward` returns one gradient, or None, for each argument of `forward`. What it computes from ops is
    differentiable again.
    """

    inline = False  # within a trace: is a call no step of its own?

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """Computes the result."""
        raise NotImplementedError("a Function needs a static method forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Computes the gradients of the arguments."""
        raise NotImplementedError("a Function that is differentiated needs a static method backward(ctx, *grads)")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Calls forward, and leaves a node that will call backward. Within `helix.trace` both are recorded."""
        if _core.tracing() and not cls.inline and is_grad_enabled() and _is_traced(args):
            from helix.graph.custom import record

            return record(cls, args, kwargs)
        ctx = FunctionContext()
        ctx._name = cls.__name__
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        recording = is_grad_enabled() and any(ctx.needs_input_grad)
        with no_grad():
            results = cls.forward(ctx, *args, **kwargs)
        if not recording:
            return results
        raw = results if isinstance(results, tuple) else (results,)
        outputs = tuple(_fresh(o, args) for o in raw)
        followed = [i for i, o in enumerate(raw) if _follows(o, ctx)]
        if followed:
            _record(cls, ctx, args, outputs, followed)
        return outputs if isinstance(results, tuple) else outputs[0]


def _is_traced(args):
    """Is there a trace that can keep a gradient of these arguments?"""
    from helix.graph.tracer import active

    smooth = any(isinstance(a, Tensor) and (a.is_floating_point() or a.is_complex()) for a in args)
    return smooth and active() is not None


def gradients_of(cls: Any, ctx: Any, given: Any, count: int) -> tuple[Any, ...]:
    """What backward returns for these gradients of the outputs: a tuple, one for each of `count` arguments."""
    found = cls.backward(ctx, *given)
    found = found if isinstance(found, tuple) else (found,)
    if len(found) < count or any(extra is not None for extra in found[count:]):
        raise ArgumentError(
            f"HX1103 {cls.__name__}: backward must return {count} gradients, one for each argument of forward, "
            f"got {len(found)}.",
            op=cls.__name__,
            code="HX1103",
        )
    return found


def _fresh(output, args):
    """A result that forward handed through gets an object of its own, so that its history can differ."""
    if isinstance(output, Tensor) and (output.requires_grad or any(output is a for a in args)):
        return output.detach()
    return output


def _follows(output, ctx):
    return (
        isinstance(output, Tensor)
        and (output.is_floating_point() or output.is_complex())
        and not any(output is other for other in ctx._non_differentiable)
    )


def _record(cls, ctx, args, outputs, followed):
    """Leaves the node: the engine calls `call` with the gradients of the followed outputs."""
    places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
    kinds = [(o.shape, o.dtype) if isinstance(o, Tensor) else None for o in outputs]

    def call(gradients, needed):
        given = [None] * len(kinds)
        for i, gradient in zip(followed, gradients):
            given[i] = gradient
        if ctx._materialize:
            given = [_zeros(*kinds[i]) if g is None and kinds[i] else g for i, g in enumerate(given)]
        found = gradients_of(cls, ctx, given, len(args))
        return [found[place] for place in places]

    linked = [outputs[i] for i in followed]
    ctx._forget_outputs(linked)
    inputs = [args[i] for i in places]
    ctx._pack(inputs)
    ctx._node = _core.record_custom(cls.__name__ + "Backward", inputs, linked, call)


def _zeros(shape, dtype):
    return _core.op_named("zeros")(shape, dtype=dtype)


def gradcheck(function, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True):
    """True when the gradients of `function` at `inputs` agree with numerical differences. See helix.gradients."""
    from helix.gradients import gradcheck as run

    return run(function, inputs, eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)


def gradgradcheck(function, inputs, grad_outputs=None, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True):
    """gradcheck of the gradients themselves."""
    from helix.gradients import gradgradcheck as run

    return run(function, inputs, grad_outputs, eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)
