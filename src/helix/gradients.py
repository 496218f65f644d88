"""Numerical checks of gradients: central differences against what autograd gives, in float64."""

from __future__ import annotations

from helix import _core
from helix._core import Tensor, grad
from helix.errors import GradientError

_op = _core.op_named


def gradcheck(function, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True):
    """True when the gradients of `function` at `inputs` agree with numerical differences.

    `function` takes the inputs and returns a tensor or a tuple of them. Inputs that require grad must be float64 or
    complex128, and are changed a little and put back. The tolerance is atol + rtol * |numerical|.
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    try:
        _check_inputs(inputs, checked)
        outputs = _outputs(function, inputs)
        for k, output in enumerate(outputs):
            if output.requires_grad:
                for i in checked:
                    _compare(function, inputs, i, k, eps, atol, rtol)
    except GradientError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(function, inputs, grad_outputs=None, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True):
    """gradcheck of the gradients of `function`, with `grad_outputs` (random by default) as further inputs."""
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    outputs = [o for o in _outputs(function, inputs) if o.requires_grad]
    if grad_outputs is None:
        grad_outputs = [_noise(o, seed).requires_grad_() for seed, o in enumerate(outputs)]
    grad_outputs = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    wanted = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]

    def gradients(*arguments):
        values, cotangents = arguments[: len(inputs)], arguments[len(inputs) :]
        results = [o for o in _outputs(function, values) if o.requires_grad]
        found = grad(results, [values[i] for i in wanted], cotangents, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradients, inputs + tuple(grad_outputs), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception
    )


def _check_inputs(inputs, checked):
    if not checked:
        raise GradientError("HX1503 gradcheck: no input requires grad.", op="gradcheck", code="HX1503")
    for i in checked:
        if inputs[i].dtype not in (_core.float64, _core.complex128):
            raise GradientError(
                f"HX1503 gradcheck: input {i} is {inputs[i].dtype.name}; differences need float64 or complex128.",
                op="gradcheck",
                code="HX1503",
            )


def _outputs(function, inputs):
    results = function(*inputs)
    return tuple(o for o in ((results,) if isinstance(results, Tensor) else results) if isinstance(o, Tensor))


def _noise(like, seed):
    """Numbers of both signs that depend on the position alone."""
    count = like.numel()
    values = [((seed + 1) * 0.37 + 0.618034 * (i + 1)) % 1.0 - 0.5 for i in range(2 * count)]
    if like.is_complex():
        values = [complex(a, b) for a, b in zip(values[:count], values[count:])]
    return _op("reshape")(_core.tensor(values[:count], dtype=like.dtype), like.shape)


def _compare(function, inputs, i, k, eps, atol, rtol):
    """Every entry of the Jacobian of output k by input i."""
    analytic = _analytic(function, inputs, i, k)
    parts = (1.0, 1j) if inputs[i].is_complex() else (1.0,)
    for column in range(inputs[i].numel()):
        for part in parts:
            difference = _difference(function, inputs, i, k, column, part * eps, eps)
            for row, expected in enumerate(difference):
                for weight in (1.0, 1j) if isinstance(expected, complex) else (1.0,):
                    found = _directional(analytic[row, weight], column, part)
                    wanted = expected.real if weight == 1.0 else expected.imag
                    if not abs(found - wanted) <= atol + rtol * abs(wanted):
                        _disagree(inputs[i], i, k, column, row, part, found, wanted)


def _disagree(x, i, k, column, row, part, found, wanted):
    place = []
    for size in reversed(x.shape):
        column, at = divmod(column, size)
        place.insert(0, at)
    raise GradientError(
        f"HX1505 gradcheck: the gradient of element {row} of output {k} by input {i} at {tuple(place)}"
        f"{' (imaginary direction)' if part == 1j else ''} is {found!r}, but differences give {wanted!r}.",
        op="gradcheck",
        code="HX1505",
    )


def _directional(gradient, column, part):
    """Change of the real number behind `gradient` along a step in element `column`: Re(conj(g) * part)."""
    if gradient is None:
        return 0.0
    value = gradient[column]
    return (complex(value).conjugate() * part).real


def _analytic(function, inputs, i, k):
    """For each element of output k (real, and imaginary part of complex ones), the gradient by input i as a list."""
    output = _outputs(function, inputs)[k]
    found = {}
    for row in range(output.numel()):
        for weight in (1.0, 1j) if output.is_complex() else (1.0,):
            chosen = [0.0] * output.numel()
            chosen[row] = weight
            cotangent = _op("reshape")(_core.tensor(chosen, dtype=output.dtype), output.shape)
            (gradient,) = grad(output, inputs[i], cotangent, retain_graph=True, allow_unused=True)
            found[row, weight] = None if gradient is None else _flat(gradient)
    return found


def _flat(x):
    return _op("reshape")(x.detach(), (-1,)).tolist()


def _difference(function, inputs, i, k, column, step, eps):
    """(f(x + step) - f(x - step)) / (2 eps) for every element of output k."""
    changed = inputs[i].detach()
    flat = _flat(changed)
    sides = []
    try:
        for sign in (1, -1):
            moved = list(flat)
            moved[column] += sign * step
            _put(changed, moved)
            sides.append(_flat(_outputs(function, inputs)[k]))
    finally:
        _put(changed, flat)
    return [(a - b) / (2 * eps) for a, b in zip(*sides)]


def _put(x, values):
    with_shape = _op("reshape")(_core.tensor(values, dtype=x.dtype), x.shape)
    _op("copy_")(x, with_shape)
