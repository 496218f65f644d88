"""Arguments of ops that ship with helix: for each op a few calls, which the kit makes in every dtype and layout.

An op that is not in the table gets arguments from its record where that says enough: all tensors of one shape, other
parameters at their defaults.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Any

import helix

from .arguments import T


@dataclass(frozen=True)
class Sample:
    op: str
    arguments: tuple
    named: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    length: int = 1  # numbers added up into one result
    same: bool = False  # compared with the CPU in the same dtype, bit for bit
    plain: bool = False  # contiguous only
    elementwise: bool = False
    dtypes: tuple[str, ...] = ()  # others are not tried


REAL = ("float16", "bfloat16", "float32", "float64")
WHOLE = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def _index(*shape: int, high: int) -> T:
    return T(shape, 0, high, "int64")


def _calls(op: str, *calls: tuple, **options: Any) -> list[Sample]:
    """Each call: arguments, and a dictionary of named ones at the end where there are any."""
    made = []
    for number, call in enumerate(calls):
        named = call[-1] if call and isinstance(call[-1], dict) else {}
        label = f"{number + 1}" if len(calls) > 1 else ""
        made.append(Sample(op, call[: len(call) - bool(named)], named, label, **options))
    return made


POSITIVE, SMALL, BIG = T(low=0.1), T(low=-0.9, high=0.9), T((5, 33))
APART, ROWS = T(distinct=True), T((6, 9), distinct=True)
IMAGE, WEIGHT = T((2, 4, 7, 6)), T((6, 2, 3, 3))
WINDOW: dict[str, Any] = dict(stride=[2, 1], padding=[1, 0], dilation=[1, 1])
STATES = {
    "adamax": 2, "nadam": 2, "radam": 2, "adagrad": 1, "adadelta": 2, "rmsprop": 1, "rmsprop_momentum": 2, "rmsprop_centred": 2,
    "rmsprop_centred_momentum": 3, "asgd": 1, "rprop": 2, "lion": 1, "lamb": 3, "average": 0,
}  # fmt: skip
NUMBERS = {"sign": -1.0, "decay": 0.1, "keep": 0.9, **{f"c{i}": 0.2 + 0.1 * i for i in range(7)}}


def _rule(op: str, rule: str, states: int, *first: T) -> Sample:
    """The first state is far above the square of the second: roots of differences are of numbers above 0."""
    shapes = ((3, 4), (5,)) if first else ((3, 4),)
    limits = ((-2.0, 2.0), (-2.0, 2.0), (8.0, 9.0), (0.5, 2.0), (-2.0, 2.0))[: 2 + states]
    named = {"rule": rule, "states": states, **NUMBERS}
    tensors = [T(shape, low, high) for low, high in limits for shape in shapes]
    return Sample(op, (*first, tensors), named, rule, plain=True, dtypes=REAL)


TABLE: list[Sample] = [
    *_calls("add", (T(), T()), (T((2, 3, 1)), T((4,))), (T(), T(), {"alpha": 3}), (T(), 2)),
    *_calls("mul", (T(), T()), (T((2, 3, 1)), T((4,))), (T(), 3)),
    *_calls("div", (T(), POSITIVE), (T((2, 3, 1)), T((4,), low=0.5)), (T(), 4), (T(low=0.1, high=0.9), T(low=1.1, high=1.9), {"rounding_mode": "floor"})),
    *_calls("pow", (POSITIVE, T()), (T(low=0.5), 2)),
    *_calls("where", (T(dtype="bool"), T(), T()), (T((3, 1), dtype="bool"), T((4,)), T((3, 4)))),
    *_calls("eq", (T(low=0, high=3), T(low=0, high=3)), (T((3, 1), low=0, high=2), T((4,), low=0, high=2)), same=True),
    *_calls("lt", (T(), T()), (T((3, 1)), T((4,))), same=True),
    *_calls("nextafter", (T(), T()), same=True, dtypes=("float32", "float64")),
    *_calls("bitwise_and", (T(high=9), T(high=9)), dtypes=WHOLE), *_calls("bitwise_or", (T(high=9), T(high=9)), dtypes=WHOLE),
    *_calls("bitwise_xor", (T(high=9), T(high=9)), dtypes=WHOLE), *_calls("bitwise_not", (T(high=9),), dtypes=WHOLE),
    *_calls("bitwise_left_shift", (T(low=0, high=9), T(low=0, high=5)), dtypes=WHOLE[1:]),
    *_calls("bitwise_right_shift", (T(low=0, high=99), T(low=0, high=5)), dtypes=WHOLE[1:]),
    *_calls("gcd", (T(low=0, high=60), T(low=0, high=60)), dtypes=WHOLE[1:]),
    *_calls("sqrt", (POSITIVE,)), *_calls("log", (POSITIVE,)), *_calls("rsqrt", (POSITIVE,)), *_calls("log2", (POSITIVE,)),
    *_calls("asin", (SMALL,)), *_calls("acos", (SMALL,)), *_calls("erfinv", (SMALL,)), *_calls("atanh", (SMALL,)),
    *_calls("lgamma", (T(low=2.6, high=6),)), *_calls("digamma", (T(low=2.0, high=6),)), *_calls("trigamma", (T(low=0.5, high=6),)),
    *_calls("round", (T(low=0.6, high=1.4),), (T(low=-9, high=9), {"decimals": 0})),
    *_calls("sign", (T(low=0.1),), (T(high=-0.1),)), *_calls("signbit", (T(low=0.1),), (T(high=-0.1),)),
    *_calls("acosh", (T(low=1.2),)), *_calls("log1p", (SMALL,)), *_calls("logit", (T(low=0.1, high=0.9),)),
    *_calls("cast", (T(low=0, high=100), "float64"), (T(low=0, high=100), "float16"), (T(low=0, high=100), "int32"), (T(high=100, low=0), "bool"), same=True),
    *_calls("conv", (IMAGE, T((6, 4, 3, 3)), T((6,)), {"padding": [1, 1]}), (IMAGE, WEIGHT, {"stride": [2, 1], "groups": 2}), length=36),
    *_calls("conv_backward_input", (T((2, 6, 5, 4)), T((6, 4, 3, 3)), {"size": [7, 6]}), length=54),
    *_calls("conv_backward_weight", (T((2, 6, 5, 4)), IMAGE, {"size": [3, 3]}), length=40),
    *_calls("conv2d", (IMAGE, T((6, 4, 3, 3)), T((6,))), length=36),
    *_calls("conv1d", (T((2, 3, 9)), T((4, 3, 3))), length=9),
    *_calls("full", ((3, 4), 2.5), same=True), *_calls("arange", (0, 10, 2), (5,), same=True),
    *_calls("index", (T((4, 5)), [_index(6, high=3), _index(6, high=4)])),
    *_calls("index_put", (T((4, 5)), T((2,)), [T((2,), 1, 1, "int64"), T((2,), 0, 3, "int64", distinct=True)])),
    *_calls("nonzero_count", (T(low=0, high=3),), dtypes=("int32", "int64", "bool", "uint8")),
    *_calls("matmul", (T((5, 7)), T((7, 3))), (T((2, 5, 7)), T((7, 3))), (T((2, 1, 3, 4)), T((5, 4, 6))), length=7),
    *_calls("matmul", (T((33, 70)), T((70, 17))), length=70),
    *_calls("matmul", (T((7,)), T((7,))), (T((4, 7)), T((7,))), length=7),
    *_calls("sgd_step", ([T(), T(), T()], {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}), plain=True, dtypes=REAL),
    *_calls("adam_step", ([T(), T(), T(), T(low=0.1)], {"lr": 0.1, "step": 3}), plain=True, dtypes=REAL),
    *(_rule("rule_step", rule, states) for rule, states in STATES.items()),
    _rule("trust_step", "trust", 0, T((2,))), _rule("trust_step", "trust_momentum", 1, T((2,))),
    *_calls("scale_list", (T(()), [T(), T((5,))]), plain=True, dtypes=REAL),
    *_calls("max_pool", (T((2, 3, 6, 8), distinct=True), {"kernel_size": [2, 3], **WINDOW})),
    *_calls("adaptive_max_pool", (T((2, 3, 6, 8), distinct=True), {"output_size": [3, 2]})),
    *_calls("max_pool_backward", (T((1, 2, 3, 3)), T((1, 2, 3, 3), 0, 35, "int32"), {"size": [6, 6]})),
    *_calls("avg_pool", (T((2, 3, 6, 8)), {"kernel_size": [2, 3], "stride": [2, 1], "padding": [1, 0]})),
    *_calls("avg_pool_backward", (T((2, 3, 3, 3)), {"size": [6, 6], "kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]})),
    *_calls("adaptive_avg_pool", (T((2, 3, 6, 8)), {"output_size": [3, 2]})),
    *_calls("adaptive_avg_pool_backward", (T((2, 3, 3, 2)), {"size": [6, 8]})),
    *_calls("rand", ((5, 33),), same=True), *_calls("randn", ((5, 33),), same=True),
    *_calls("randint", (3, 90, (5, 33)), same=True), *_calls("randperm", (100,), same=True),
    *_calls("multinomial", (T((3, 8), low=0.1), 4), same=True, dtypes=("float32", "float64")),
    *_calls("sum", (BIG,), (BIG, {"dim": 1}), (BIG, {"dim": [0], "keepdim": True}), (BIG, {"dim": []}), (BIG, {"dtype": "float64"}), length=165),
    *_calls("mean", (BIG,), (BIG, {"dim": 1}), length=165),
    *_calls("amax", (ROWS,), (ROWS, {"dim": [1]}), (ROWS, {"dim": [0], "keepdim": True})),
    *_calls("amin", (ROWS,), (ROWS, {"dim": [1]}), (ROWS, {"dim": [0], "keepdim": True})),
    *_calls("max", (ROWS, {"dim": 1}), (ROWS, {"dim": 0})), *_calls("min", (ROWS, {"dim": 1}), (ROWS, {"dim": 0})),
    *_calls("cumsum", (BIG, {"dim": 1}), (BIG, {"dim": 0}), length=33), *_calls("cumprod", (T((5, 7)), {"dim": 1})),
    *_calls("logcumsumexp", (T((5, 7)), {"dim": 1})), *_calls("cummax", (ROWS, {"dim": 1})), *_calls("cummin", (ROWS, {"dim": 0})),
    *_calls("scatter_reduce", (T((4, 5)), {"dim": 0, "index": _index(3, 5, high=3), "src": T((3, 5)), "reduce": "sum"}), (T((4, 5)), {"dim": 1, "index": _index(4, 3, high=4), "src": T((4, 3)), "reduce": "amax"})),
    *_calls("sort", (ROWS, {"dim": 1}), (ROWS, {"dim": 0, "descending": True})), *_calls("median", (ROWS, {"dim": 1})),
    *_calls("searchsorted", (T((6,), 3, 3), T((5,)))), *_calls("group_rows", (_index(7, 2, high=1),)),
    *_calls("real_part", (T(dtype="complex64"),)), *_calls("imag_part", (T(dtype="complex64"),)), *_calls("conj_physical", (T(dtype="complex64"),)),
    *_calls("softmax", (BIG, {"dim": 1}), (BIG, {"dim": 0}), dtypes=REAL), *_calls("log_softmax", (BIG, {"dim": 1}), dtypes=REAL),
    *_calls("layer_norm", (BIG, [33], T((33,)), T((33,))), dtypes=REAL), *_calls("rms_norm", (BIG, [33], T((33,))), dtypes=REAL),
    *_calls("group_norm", (T((2, 4, 6)), 2, T((4,)), T((4,))), dtypes=REAL),
    *_calls("cross_entropy", (T((5, 9)), _index(5, high=8)), dtypes=REAL), *_calls("embedding", (_index(3, 2, high=6), T((7, 5)))),
    *_calls("scaled_dot_product_attention", (T((2, 2, 5, 8)), T((2, 2, 5, 8)), T((2, 2, 5, 8))), dtypes=REAL),
    *_calls("gather", (T((4, 5)), 1, _index(4, 3, high=4))), *_calls("index_select", (T((4, 5)), 0, _index(6, high=3))),
    *_calls("cat", ([T((2, 3)), T((4, 3))], 0)), *_calls("stack", ([T((2, 3)), T((2, 3))], 1)),
    *_calls("topk", (ROWS, 3)), *_calls("linear", (T((5, 7)), T((3, 7)), T((3,))), length=7), *_calls("addmm", (T((3,)), T((5, 7)), T((7, 3))), length=7),
    *_calls("tanh_backward", (T(), SMALL), dtypes=REAL), *_calls("sigmoid_backward", (T(), T(low=0.1, high=0.9)), dtypes=REAL),
    *_calls("silu_backward", (T(), T()), dtypes=REAL), *_calls("gelu_backward", (T(), T()), dtypes=REAL),
    *_calls("softmax_backward", (BIG, T((5, 33), low=0.01, high=0.1), {"dim": 1}), dtypes=REAL),
    *_calls("log_softmax_backward", (BIG, T((5, 33), high=-0.1), {"dim": 1}), dtypes=REAL),
    *_calls("prod", (T((3, 5)), {"dim": 1})), *_calls("var", (BIG, {"dim": 1}), dtypes=REAL), *_calls("std", (BIG, {"dim": 1}), dtypes=REAL),
    *_calls("argmax", (ROWS, 1)), *_calls("argmin", (ROWS, 1)), *_calls("masked_fill", (T(), T(dtype="bool"), 2.5)),
    *_calls("mse_loss", (T(), T()), dtypes=REAL), *_calls("lerp", (T(), T(), 0.3), dtypes=REAL), *_calls("clamp", (T(), -1, 1)),
]  # fmt: skip


@functools.cache
def records() -> dict[str, dict[str, Any]]:
    return {record["name"]: record for record in helix._core.ops()}


@functools.cache
def samples(op: str) -> tuple[Sample, ...]:
    """The calls of one op; none where neither the table nor the record says how to call it."""
    listed = [sample for sample in TABLE if sample.op == op]
    if not listed:
        return _from_record(op)
    first = listed[0]
    if all(isinstance(a, T) and a.shape == (3, 4) for a in first.arguments) and not first.named and not first.same:
        listed = [*listed, *_shapes(first)]
    return tuple(listed)


def _from_record(op: str) -> tuple[Sample, ...]:
    needed = [p for p in records()[op]["params"] if p["required"]]
    unsafe = records()[op]["flags"] & {"random", "internal"}  # internal ops rely on their callers' checks
    if not needed or unsafe or any(p["kind"] != "Tensor" for p in needed):
        return ()
    plain = Sample(op, tuple(T() for _ in needed))
    return (plain, *_shapes(plain))


def _shapes(sample: Sample) -> list[Sample]:
    """Elementwise calls with no element, one element, an odd number of them, and with values that kernels forget."""
    from .arguments import reshaped

    special = tuple(replace(a, special=n, shape=(12,)) for n, a in enumerate(sample.arguments))
    shapes = (("empty", (0, 3)), ("scalar", ()), ("odd", (257,)))
    return [
        replace(sample, arguments=special, label="special", plain=True, dtypes=("float32",)),
        *(replace(sample, arguments=reshaped(sample.arguments, s), label=label, plain=True) for label, s in shapes),
    ]


@functools.cache
def function(op: str) -> Any:
    """How the op is called: as its own record says, whatever conveniences stand in front of it."""
    return helix._core.op_named(op)
