import numpy as np

from ..later import torch
from ..sample import HALVES, INTS, Error, Sample, T

F = ("float32", "float64")
IMAGE = T((2, 3, 7, 9), distinct=True)


def adaptive_max_pool1d(x, size):
    return torch.nn.functional.adaptive_max_pool1d(torch.tensor(x), size).numpy()


PLACES = np.array([[[[0, 5], [12, 19]], [[7, 3], [22, 17]]]])


def unpool(function, x, places, kernel):
    return function(torch.tensor(x), torch.tensor(places), kernel).numpy()


def max_unpool1d(x, places, kernel):
    return unpool(torch.nn.functional.max_unpool1d, x, places, kernel)


def max_unpool3d(x, places, kernel):
    return unpool(torch.nn.functional.max_unpool3d, x, places, kernel)


def lp_pool3d(x, norm, kernel):
    return torch.nn.functional.lp_pool3d(torch.tensor(x), norm, kernel).numpy()


SAMPLES = [
    Sample("max_pool1d", (T((3, 12), distinct=True), 4), dict(dilation=2, ceil_mode=True)),
    Sample(
        "max_pool2d",
        (IMAGE, 3),
        dict(stride=2, padding=1),
        dtypes=F + HALVES,
        errors=(
            Error((T((1, 2, 2, 5)), 3), "ShapeError", 1002, ("larger than the input", "spans 3", "has 2")),
            Error((T((1, 2, 5, 5)), 3), "ParameterError", 1403, ("padding", "half"), dict(padding=2)),
            Error((T((1, 2, 5, 5)), 3), "ParameterError", 1403, ("stride", "0"), dict(stride=0)),
            Error((T((1, 2, 5, 5)), 0), "ParameterError", 1403, ("kernel_size", "0")),
            Error((T((1, 2, 5, 5)), (1, 2, 3)), "ParameterError", 1403, ("kernel_size", "3 values")),
            Error((T((5, 5)), 3), "ShapeError", 1001, ("input", "4 dimensions", "(5, 5)")),
            Error((T((1, 2, 0, 5)), 1), "ShapeError", 1404, ("no elements", "axis 2")),
        ),
    ),
    Sample("max_pool2d", (T((2, 5, 6)), 2), grad=False, dtypes=INTS, name="integers, no batch"),
    Sample("max_pool2d", (T((0, 3, 5, 5)), 2), second=False, name="no images"),
    Sample("max_pool3d", (T((1, 2, 5, 6, 7), distinct=True), (2, 3, 2)), dict(ceil_mode=True)),
    Sample("avg_pool1d", (T((2, 3, 7)), 2)),
    Sample("avg_pool2d", (T((2, 3, 7, 9), low=-99, high=99), 3, 2, 1), grad=False, dtypes=("int64",), name="integers"),
    Sample("avg_pool2d", (T((2, 3, 7, 9)), 3), dict(stride=2, padding=1, count_include_pad=False), dtypes=F + HALVES),
    Sample(
        "avg_pool2d",
        (T((3, 7, 9)), (2, 3)),
        dict(ceil_mode=True, divisor_override=5),
        name="no batch",
        errors=(
            Error((T((1, 2, 5, 5)), 3), "ParameterError", 1403, ("divisor_override",), dict(divisor_override=0)),
            Error((T((1, 2, 5, 5), dtype="bool"), 3), "DTypeError", 1101, ("input", "bool")),
        ),
    ),
    Sample("avg_pool3d", (T((2, 5, 6, 7)), 2), dict(padding=1)),
    Sample("adaptive_avg_pool1d", (T((2, 3, 7)), 1)),
    Sample(
        "adaptive_avg_pool2d",
        (T((2, 3, 7, 9)), (3, 4)),
        dtypes=F + HALVES,
        errors=(Error((T((1, 2, 5, 5)), 0), "ParameterError", 1403, ("output_size", "0")),),
    ),
    Sample("adaptive_avg_pool3d", (T((2, 3, 4, 5, 6)), 2)),
    Sample("adaptive_max_pool1d", (T((3, 7), distinct=True), 2), ref=adaptive_max_pool1d),
    Sample("adaptive_max_pool2d", (IMAGE, (3, 4))),
    Sample("adaptive_max_pool3d", (T((2, 3, 4, 5, 6), distinct=True), 2)),
    Sample("max_unpool1d", (T((2, 3)), np.array([[0, 3, 5], [1, 2, 4]]), 2), ref=max_unpool1d, dtypes=F + HALVES),
    Sample(
        "max_unpool2d",
        (T((1, 2, 2, 2)), PLACES, 2),
        dict(stride=3, output_size=(4, 6)),
        errors=(
            Error(
                (T((1, 2, 2, 2)), PLACES, 2),
                "ParameterError",
                1403,
                ("9 elements", "5", "stride (3)"),
                dict(stride=3, output_size=(9, 5)),
            ),
            Error(
                (T((1, 2, 2, 2)), PLACES, 2),
                "ParameterError",
                1403,
                ("output_size", "3 values"),
                dict(output_size=(1, 2, 3)),
            ),
            Error((T((1, 2, 2, 2)), PLACES[..., :1], 2), "ShapeError", 1002, ("(1, 2, 2, 2)", "(1, 2, 2, 1)")),
            Error((T((1, 2, 2, 2)), PLACES + 30, 2), "IndexRangeError", 1301, ("index",)),
            Error((T((2, 2)), PLACES, 2), "ShapeError", 1001, ("input", "(2, 2)")),
        ),
    ),
    Sample("max_unpool3d", (T((1, 2, 1, 1, 2)), np.array([[[[[0, 10]]], [[[7, 9]]]]]), 2), ref=max_unpool3d),
    Sample("lp_pool1d", (T((2, 3, 7), low=0.1), 3.0, 2)),
    Sample(
        "lp_pool2d",
        (T((2, 3, 7, 9)), 2.0, (2, 3)),
        dict(stride=2, ceil_mode=True),
        dtypes=F + HALVES,
        errors=(
            Error((T((1, 2, 5, 5)), 0.0, 2), "ParameterError", 1403, ("norm_type",)),
            Error((T((1, 2, 5, 5), dtype="int64"), 2.0, 2), "DTypeError", 1101, ("input", "int64")),
        ),
    ),
    Sample("lp_pool3d", (T((2, 4, 5, 6), low=0.1), 1.5, 2), ref=lp_pool3d),
]
