"""One op on torch's samples: what helix does otherwise."""

from __future__ import annotations

import itertools
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

import helix

from .bridge import array_of, dtype_name, tensors_in, to_helix
from .compare import judge
from .ops import UNINITIALIZED, full_name, function_of, is_seeded, method_of

FORWARD = (torch.float32, torch.complex64, torch.int64, torch.bool)
WITH_GRADIENT = (torch.float64, torch.complex128)
compared: Counter[str] = Counter()  # samples that torch takes, and calls that it refuses
POOL = 64  # samples among which the bounded walk chooses


@dataclass(frozen=True)
class Difference:
    """What helix does otherwise: `kind` is refused, value, dtype, shape, names, gradient, error or missing, with
    `.method`, `.inplace` or `.out` behind it for these forms of the call."""

    op: str
    kind: str
    where: str
    text: str


def walk(info: Any, limit: int | None = None, errors: bool = True) -> Iterator[Difference]:
    """All differences of one op. `limit` bounds the samples for each dtype; they are spread over what torch offers."""
    function, name = function_of(info), full_name(info)
    if function is None:
        yield Difference(name, "missing", "", "helix has no such op")
        return
    for dtype in (*FORWARD, *WITH_GRADIENT):
        if info.supports_dtype(dtype, "cpu"):
            gradient = dtype in WITH_GRADIENT and info.supports_autograd
            gradient = gradient and dtype in info.supported_backward_dtypes("cpu")
            for sample in chosen(partial(info.sample_inputs, "cpu", dtype, requires_grad=gradient), limit):
                for kind, text in on_sample(info, function, sample, gradient):
                    yield Difference(name, kind, dtype_name(dtype), f"{text}: {described(sample)}")
    if errors and info.error_inputs_func is not None:
        yield from on_errors(info, function, name, limit)


def chosen(samples: Callable[[], Any], limit: int | None, pool: int = POOL) -> list[Any]:
    """The samples, or at most `limit` of the first `pool`, evenly spread, made from a fixed seed."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    if limit is None:
        return list(samples())
    first = list(itertools.islice(samples(), pool))
    return first if len(first) <= limit else [first[i * len(first) // limit] for i in range(limit)]


def described(sample: Any) -> str:
    def form(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return f"{dtype_name(value.dtype)}{list(value.shape)}"
        if isinstance(value, (list, tuple)):
            return "(" + ", ".join(str(form(v)) for v in value) + ")"
        return repr(value)

    parts = [form(sample.input), *map(form, sample.args), *(f"{k}={form(v)}" for k, v in sample.kwargs.items())]
    return "(" + ", ".join(map(str, parts)) + ")"[:200]


# ---- one sample --------------------------------------------------------------------------------------------------


def on_sample(info: Any, function: Callable[..., Any], sample: Any, gradient: bool) -> Iterator[tuple[str, str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = attempt(info.op, sample.input, sample.args, sample.kwargs)
        if isinstance(expected, Exception):
            return
        compared["samples"] += 1
        exact = info.name not in UNINITIALIZED and not is_seeded(info.op) and not is_random(info.op, sample, expected)
        given = to_helix((sample.input, sample.args, sample.kwargs))
        found = attempt(function, *given)
        judgement = raised(found) or judge(found, expected, values=exact)
        if judgement:
            yield judgement
            return
        if gradient and exact:
            yield from gradients(given, found, sample, expected)
        yield from forms(info, sample, expected, exact)


def attempt(function: Callable[..., Any], input: Any, args: Any, kwargs: Any) -> Any:
    """The result, or the exception."""
    try:
        return function(input, *args, **kwargs)
    except Exception as error:
        return error


def raised(found: Any) -> tuple[str, str] | None:
    return ("refused", f"{type(found).__name__}: {found}") if isinstance(found, Exception) else None


def is_random(function: Callable[..., Any], sample: Any, expected: Any) -> bool:
    """Whether torch itself gives other values with another seed."""
    state = torch.get_rng_state()
    torch.manual_seed(12345)
    again = attempt(function, sample.input, sample.args, sample.kwargs)
    torch.set_rng_state(state)
    pairs = zip(tensors_in(again, torch.Tensor), tensors_in(expected, torch.Tensor))
    return any(a.shape != b.shape or array_of(a).tobytes() != array_of(b).tobytes() for a, b in pairs)


# ---- gradients ---------------------------------------------------------------------------------------------------


def gradients(given: Any, found: Any, sample: Any, expected: Any) -> Iterator[tuple[str, str]]:
    """The gradients of every input for the same incoming gradients."""
    theirs = sample.output_process_fn_grad(expected)
    ours = attempt(sample.output_process_fn_grad, found, (), {})
    results = [t for t in tensors_in(theirs, torch.Tensor) if t.requires_grad]
    leaves = [t for t in tensors_in((sample.input, sample.args, sample.kwargs), torch.Tensor) if t.requires_grad]
    if not results or not leaves:
        return
    pairs = list(zip(tensors_in(ours, helix.Tensor), tensors_in(theirs, torch.Tensor)))
    silent = [i for i, (a, b) in enumerate(pairs) if a.requires_grad != b.requires_grad]
    if silent:
        yield "gradient", f"requires_grad of result {silent[0]} is {pairs[silent[0]][0].requires_grad}"
        return
    incoming = [torch.randn_like(t) for t in results]
    wanted = attempt(torch.autograd.grad, results, (leaves, incoming), {"allow_unused": True, "retain_graph": True})
    if isinstance(wanted, Exception):
        return
    starts = [t for t in tensors_in(given, helix.Tensor) if t.requires_grad]
    ends = [a for a, b in pairs if b.requires_grad]
    got = attempt(helix.autograd.grad, ends, (starts, to_helix(incoming)), {"allow_unused": True, "retain_graph": True})
    if isinstance(got, Exception):
        yield "gradient", f"{type(got).__name__}: {got}"
        return
    for i, (a, b) in enumerate(zip(got, wanted)):
        a = helix.zeros_like(starts[i]) if a is None else a
        judgement = judge(a, torch.zeros_like(leaves[i]) if b is None else b)
        if judgement:
            yield "gradient", f"of tensor {i}: {judgement[1]}"
            return


# ---- the other forms of a call -----------------------------------------------------------------------------------


def forms(info: Any, sample: Any, expected: Any, exact: bool) -> Iterator[tuple[str, str]]:
    """The same call as a method, in place, and with out=."""
    with torch.no_grad(), helix.no_grad():
        for kind, theirs in (("method", info.method_variant), ("inplace", info.inplace_variant)):
            if theirs is None or not isinstance(sample.input, torch.Tensor):
                continue
            wanted = attempt(theirs, sample.input.clone(), sample.args, sample.kwargs)
            if isinstance(wanted, Exception):
                continue
            ours = method_of(theirs)
            if ours is None:
                yield f"missing.{kind}", f"helix has no method {getattr(theirs, '__name__', '')}"
                continue
            found = attempt(ours, *to_helix((sample.input.detach(), sample.args, sample.kwargs)))
            judgement = raised(found) or judge(found, wanted, values=exact)
            if judgement:
                yield f"{judgement[0]}.{kind}", judgement[1]
        if info.supports_out:
            yield from with_out(info, sample, expected, exact)


def with_out(info: Any, sample: Any, expected: Any, exact: bool) -> Iterator[tuple[str, str]]:
    """out= of the right kind is filled, and handed back."""
    function = function_of(info)
    results = expected if isinstance(expected, (tuple, list)) else [expected]
    if function is None or not results or not all(isinstance(t, torch.Tensor) for t in results):
        return
    room = map_tensors(expected, lambda t: torch.empty_like(t, requires_grad=False))
    if isinstance(attempt(info.op, sample.input, sample.args, {**sample.kwargs, "out": room}), Exception):
        return
    out = map_tensors(expected, lambda t: helix.empty(tuple(t.shape), dtype=dtype_name(t.dtype)))
    input, args, kwargs = to_helix((sample.input, sample.args, sample.kwargs))
    found = attempt(function, input, args, {**kwargs, "out": out})
    judgement = raised(found) or judge(found, expected, values=exact)
    if judgement:
        yield f"{judgement[0]}.out", judgement[1]
    elif any(a is not b for a, b in zip(tensors_in(found, helix.Tensor), tensors_in(out, helix.Tensor), strict=True)):
        yield "value.out", "what is handed back is not out"


def map_tensors(results: Any, function: Callable[[torch.Tensor], Any]) -> Any:
    return function(results) if isinstance(results, torch.Tensor) else tuple(map(function, results))


# ---- errors ------------------------------------------------------------------------------------------------------

# torch's RuntimeError stands for anything: helix tells shapes, dtypes, ranges and parameters apart.
ANY_ERROR = (ValueError, TypeError, IndexError, RuntimeError, NotImplementedError, OverflowError)
KINDS = {RuntimeError: ANY_ERROR, NotImplementedError: ANY_ERROR, AssertionError: ANY_ERROR, Exception: ANY_ERROR}


def on_errors(info: Any, function: Callable[..., Any], name: str, limit: int | None) -> Iterator[Difference]:
    """Calls that torch refuses."""
    for case in chosen(partial(info.error_inputs, "cpu"), None if limit is None else 4 * limit):
        sample = case.sample_input
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            refusal = attempt(info.op, sample.input, sample.args, sample.kwargs)
            if not isinstance(refusal, Exception):
                continue
            try:
                given = to_helix((sample.input, sample.args, sample.kwargs))
            except Exception:
                continue  # sparse, meta and quantized tensors cannot be carried over
            compared["refusals"] += 1
            found = attempt(function, *given)
        wanted = f"{type(refusal).__name__} ({str(refusal).splitlines()[0]}): {described(sample)}"
        if not isinstance(found, Exception):
            if not (isinstance(refusal, TypeError) and has_number_operand(sample)):
                yield Difference(name, "error", "", f"nothing for {wanted}")
        elif not isinstance(found, KINDS.get(type(refusal), (type(refusal),))):
            yield Difference(name, "error", "", f"{type(found).__name__} ({found}) for {wanted}")


def has_number_operand(sample: Any) -> bool:
    """helix takes a number wherever it takes a tensor, as the Array API standard asks; torch only in some places."""
    return any(isinstance(value, (bool, int, float, complex)) for value in (sample.input, *sample.args[:1]))
