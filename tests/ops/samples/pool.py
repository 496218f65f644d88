import torch

from ..sample import HALVES, INTS, Error, Sample, T

F = ("float32", "float64")
IMAGE = T((2, 3, 7, 9), distinct=True)


def adaptive_max_pool1d(x, size):
    return torch.nn.functional.adaptive_max_pool1d(torch.tensor(x), size).numpy()


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
    Sample("avg_pool2d", (T((2, 3, 7, 9)), 3), dict(stride=2, padding=1, count_include_pad=False), dtypes=F + HALVES),
    Sample(
        "avg_pool2d",
        (T((3, 7, 9)), (2, 3)),
        dict(ceil_mode=True, divisor_override=5),
        name="no batch",
        errors=(
            Error((T((1, 2, 5, 5)), 3), "ParameterError", 1403, ("divisor_override",), dict(divisor_override=0)),
            Error((T((1, 2, 5, 5), dtype="int64"), 3), "DTypeError", 1101, ("input", "int64")),
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
]
