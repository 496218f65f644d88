import numpy as np

from ..sample import Error, Sample, T

X, C = T((4, 3, 5, 6)), T((3,), low=0.5)


def normed(x, axes, eps):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def affine(hat, weight, bias):
    shape = (1, -1) + (1,) * (hat.ndim - 2)
    out = hat if weight is None else hat * weight.reshape(shape)
    return out if bias is None else out + bias.reshape(shape)


def batch_norm(x, mean, variance, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    shape = (1, -1) + (1,) * (x.ndim - 2)
    if training:
        return affine(normed(x, (0, *range(2, x.ndim)), eps), weight, bias)
    return affine((x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + eps), weight, bias)


def group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    return affine(normed(x.reshape(x.shape[0], groups, -1), 2, eps).reshape(x.shape), weight, bias)


def instance_norm(x, mean=None, variance=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):
    if not use_input_stats:
        return batch_norm(x, mean, variance, weight, bias, eps=eps)
    return affine(normed(x, tuple(range(2, x.ndim)), eps), weight, bias)


SAMPLES = [
    Sample(
        "batch_norm",
        (X, None, None, C, C),
        dict(training=True),
        ref=batch_norm,
        errors=(
            Error(
                (T((1, 3)), None, None), "ParameterError", 1403, ("more than one value", "(1, 3)"), dict(training=True)
            ),
            Error((T((4, 3)), None, None), "ParameterError", 1403, ("running_mean",)),
            Error((T((4, 3)), T((2,)), T((3,))), "ShapeError", 1002, ("running_mean", "(3,)", "(2,)")),
            Error(
                (T((4, 3)), None, None, T((4,))), "ShapeError", 1002, ("weight", "(3,)", "(4,)"), dict(training=True)
            ),
            Error((T((4,)), None, None), "ShapeError", 1001, ("2 dimensions", "(4,)"), dict(training=True)),
            Error((T((4, 3), dtype="int64"), None, None), "DTypeError", 1101, ("int64",), dict(training=True)),
            Error((T((4, 3)), None, None), "ParameterError", 1403, ("eps",), dict(training=True, eps=-1.0)),
        ),
    ),
    Sample("batch_norm", (T((7, 5)), None, None), dict(training=True, eps=0.1), ref=batch_norm, name="columns"),
    Sample("batch_norm", (X, T((3,), grad=False), T((3,), low=0.5, grad=False), C, C), ref=batch_norm, name="running"),
    Sample(
        "group_norm",
        (T((2, 6, 3, 4)), 3, T((6,)), T((6,))),
        ref=group_norm,
        errors=(
            Error((T((2, 6, 3)), 4), "ParameterError", 1403, ("num_groups", "6 channels", "4")),
            Error((T((2, 6, 3)), 0), "ParameterError", 1403, ("num_groups", "0")),
            Error((T((2, 6, 3)), 2, T((3,))), "ShapeError", 1002, ("weight", "(6,)", "(3,)")),
        ),
    ),
    Sample("group_norm", (T((3, 8)), 2), ref=group_norm, name="no planes"),
    Sample(
        "instance_norm",
        (T((2, 3, 4, 5)), None, None, C, C),
        ref=instance_norm,
        errors=(Error((T((2, 3, 1)),), "ParameterError", 1403, ("more than one value", "(2, 3, 1)")),),
    ),
    Sample(
        "instance_norm",
        (T((2, 3, 4, 5)), T((3,), grad=False), T((3,), low=0.5, grad=False), C, C),
        dict(use_input_stats=False),
        ref=instance_norm,
        name="running",
    ),
]
