import numpy as np

from ..later import torch
from ..sample import HALVES, Error, Sample, T

F = ("float32", "float64")
RECT = dict(stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)


def conv(x, weight, bias=None, groups=1, **kwargs):
    """torch's; but no input channels give the bias alone, where torch gives no output channels."""
    spatial = weight.ndim - 2
    if weight.shape[1] == 0:
        weight = np.zeros((weight.shape[0], 1, *weight.shape[2:]), weight.dtype)
        x = np.zeros((*x.shape[: -spatial - 1], groups, *x.shape[-spatial:]), x.dtype)
    tensors = [None if a is None else torch.tensor(a) for a in (x, weight, bias)]
    function = getattr(torch.nn.functional, f"conv{spatial}d")
    return function(*tensors, groups=groups, **kwargs).numpy()


SAMPLES = [
    Sample(
        "conv1d",
        (T((2, 4, 9)), T((6, 2, 3)), T((6,))),
        dict(stride=2, padding=1, groups=2),
        dtypes=F + HALVES,
        ref=conv,
    ),
    Sample("conv1d", (T((3, 8)), T((3, 1, 4))), dict(padding=5, groups=3), name="depthwise, no batch", ref=conv),
    Sample(
        "conv2d",
        (T((2, 4, 7, 8)), T((6, 2, 3, 2)), T((6,))),
        RECT,
        ref=conv,
        dtypes=F + HALVES,
        errors=(
            Error((T((1, 3, 5, 5)), T((2, 4, 3, 3))), "ShapeError", 1002, ("3 channels", "(2, 4, 3, 3)", "takes 4")),
            Error(
                (T((1, 3, 2, 5)), T((2, 3, 3, 3))), "ShapeError", 1002, ("larger than the input", "spans 3", "has 2")
            ),
            Error((T((1, 3, 5, 5)), T((2, 3, 3, 3)), T((3,))), "ShapeError", 1002, ("bias", "(2,)", "(3,)")),
            Error((T((1, 3, 5, 5)), T((2, 3, 3))), "ShapeError", 1001, ("weight", "4 dimensions", "(2, 3, 3)")),
            Error((T((5, 5)), T((2, 3, 3, 3))), "ShapeError", 1001, ("input", "4 dimensions", "(5, 5)")),
            Error((T((1, 3, 5, 5)), T((2, 3, 3, 3), dtype="float64")), "DTypeError", 1101, ("weight", "float64")),
            Error((T((1, 3, 5, 5)), T((2, 3, 3, 3))), "ParameterError", 1403, ("stride", "0"), dict(stride=0)),
            Error((T((1, 3, 5, 5)), T((2, 3, 3, 3))), "ParameterError", 1403, ("dilation", "0"), dict(dilation=0)),
            Error((T((1, 3, 5, 5)), T((2, 3, 3, 3))), "ParameterError", 1403, ("padding", "-1"), dict(padding=-1)),
            Error((T((1, 3, 5, 5)), T((2, 3, 3, 3))), "ParameterError", 1403, ("groups", "0"), dict(groups=0)),
            Error(
                (T((1, 4, 5, 5)), T((3, 2, 3, 3))), "ParameterError", 1403, ("groups=2", "3 channels"), dict(groups=2)
            ),
            Error(
                (T((1, 3, 5, 5)), T((2, 3, 3, 3))),
                "ParameterError",
                1403,
                ("stride", "3 values"),
                dict(stride=(1, 1, 1)),
            ),
        ),
    ),
    Sample(
        "conv2d",
        (T((4, 7, 8)), T((6, 2, 3, 2))),
        dict(stride=(3, 4), padding=5, groups=2),
        name="no batch, wide stride",
        ref=conv,
    ),
    Sample(
        "conv2d", (T((2, 3, 6, 5)), T((3, 1, 3, 3)), T((3,))), dict(padding=1, groups=3), name="depthwise", ref=conv
    ),
    Sample("conv2d", (T((2, 3, 1, 1)), T((4, 3, 1, 1)), T((4,))), name="points", ref=conv),
    Sample("conv2d", (T((1, 2, 5, 40)), T((3, 2, 2, 3))), name="wide rows", ref=conv),
    Sample("conv2d", (T((0, 2, 5, 5)), T((3, 2, 3, 3))), name="no images", second=False, ref=conv),
    Sample("conv3d", (T((1, 2, 4, 5, 6)), T((3, 2, 2, 3, 1)), T((3,))), dict(stride=2, padding=1), ref=conv),
    Sample("conv_transpose1d", (T((2, 4, 5)), T((4, 3, 3)), T((3,))), dict(stride=2, padding=1)),
    Sample(
        "conv_transpose2d",
        (T((2, 4, 5, 4)), T((4, 3, 3, 2)), T((6,))),
        dict(stride=(2, 3), padding=1, output_padding=1, groups=2, dilation=(1, 2)),
        errors=(
            Error((T((1, 3, 5, 5)), T((2, 3, 3, 3))), "ShapeError", 1002, ("3 channels", "takes 2")),
            Error(
                (T((1, 3, 5, 5)), T((3, 3, 3, 3))),
                "ParameterError",
                1403,
                ("output_padding", "stride"),
                dict(output_padding=1),
            ),
            Error((T((1, 3, 1, 1)), T((3, 3, 3, 3))), "ShapeError", 1002, ("padding 3",), dict(padding=3)),
        ),
    ),
    Sample("conv_transpose3d", (T((1, 2, 3, 2, 3)), T((2, 2, 2, 3, 2)), T((2,))), dict(stride=2, padding=(0, 1, 0))),
    *[
        Sample(
            "conv_transpose2d",
            (T((2, 4, 4, 3)), T((4, 2, 3, 2)), T((2,))),
            dict(output_padding=extra, **given),
            name=f"output_padding {extra}, {given}",
        )
        for extra, given in (((1, 0), dict(dilation=2)), ((0, 2), dict(dilation=(1, 3), padding=1, stride=2)))
    ],
]
