"""How tensors are shown: `tensor([[1., 2.]], dtype=float64, grad_fn=<MulBackward>)`."""

from __future__ import annotations

from helix import _core

_options = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 88}


def set_printoptions(
    *,
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
) -> None:
    """Sets digits after the point, the size above which tensors are shortened, what stays then, and the line width."""
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({name: value for name, value in given.items() if value is not None})


def get_printoptions() -> dict[str, int]:
    """The options that set_printoptions sets."""
    return dict(_options)


def tensor_text(x):
    """The repr of a tensor."""
    name = "tensor" if type(x) is _core.Tensor else type(x).__name__
    return f"{name}({_values_text(x, len(name) + 1)}{_notes(x)})"


def _values_text(x, indent):
    import numpy

    if _core.tracing() or _is_traced(x):
        return f"..., shape={x.shape}"
    if x.numel() == 0:
        return "[]" if x.shape == (0,) else f"[], shape={x.shape}"
    array = x.numpy(force=True)
    if array.dtype.kind not in "biufc":
        array = array.astype(numpy.float32)
    return numpy.array2string(
        array,
        separator=", ",
        prefix=" " * indent,
        floatmode="maxprec_equal",
        threshold=_options["threshold"],
        precision=_options["precision"],
        edgeitems=_options["edgeitems"],
        max_line_width=_options["linewidth"],
    )


def _is_traced(x):
    return x.numel() > 0 and x.data_ptr() == 0 and x.device == "cpu"


def _notes(x):
    notes = ""
    default = (_core.get_default_dtype(), _core.int64, _core.bool, _core.get_default_dtype().to_complex())
    if x.dtype not in default or (x.numel() == 0 and x.dtype is not default[0]):
        notes += f", dtype={x.dtype.name}"
    if x.device != "cpu":
        notes += f", device={x.device}"
    if x.grad_fn is not None:
        notes += f", grad_fn={x.grad_fn}"
    elif x.requires_grad:
        notes += ", requires_grad=True"
    return notes
