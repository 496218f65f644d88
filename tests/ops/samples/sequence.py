"""The selective scan: constant, shared and grouped coefficients. Long convolution: filters of a row, a channel, or all."""

import numpy as np

from ..sample import FLOATS, HALVES, Error, Sample, T

OP = "selective_scan"


def coefficients(t, channels, length, batch):
    """B or C for every channel: (batch, channels, states, length)."""
    if t.ndim == 2:
        return np.broadcast_to(t[None, :, :, None], (batch, *t.shape, length))
    t = t[:, None] if t.ndim == 3 else t
    return np.repeat(t, channels // t.shape[1], axis=1)


def scan(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, return_last_state=False):
    """The recurrence of the paper, step by step."""
    batch, channels, length = u.shape
    B, C = (coefficients(t, channels, length, batch) for t in (B, C))
    if delta_bias is not None:
        delta = delta + delta_bias[:, None]
    if delta_softplus:
        delta = np.log1p(np.exp(delta))
    x, y = np.zeros((batch, channels, A.shape[1])), np.zeros(u.shape)
    for t in range(length):
        x = np.exp(delta[:, :, t, None] * A) * x + (delta * u)[:, :, t, None] * B[..., t]
        y[..., t] = (C[..., t] * x).sum(-1)
    if D is not None:
        y = y + D[:, None] * u
    if z is not None:
        y = y * z / (1 + np.exp(-z))
    return (y, x) if return_last_state else y


def sample(shape, states, mixer, more=0, name="", dtypes=FLOATS, **kwargs):
    """`mixer`: shape of B and C. `more`: how many of D, z and delta_bias are given."""
    rest = [T(shape[1:2]), T(shape), T(shape[1:2])][:more]
    extra = {key: kwargs.pop(key) for key in ("errors", "grad", "second", "layouts", "rtol", "atol") if key in kwargs}
    args = (
        T(shape),
        T(shape, low=0.1, high=1.0),
        T((shape[1], states), low=-2.0, high=-0.1),
        T(mixer),
        T(mixer),
        *rest,
    )
    return Sample(OP, args, kwargs, ref=scan, name=name, dtypes=dtypes, **extra)


def wrong(*shapes, part, number=1002):
    return Error(tuple(T(s) for s in shapes), "ShapeError", number, part)


SAMPLES = [
    sample(
        (2, 3, 4),
        2,
        (2, 2, 4),
        more=3,
        delta_softplus=True,
        dtypes=FLOATS + HALVES,
        errors=(
            wrong((2, 3), (2, 3), (3, 2), (2, 2, 4), (2, 2, 4), part=("u", "(2, 3)"), number=1001),
            wrong((2, 3, 4), (2, 3, 5), (3, 2), (2, 2, 4), (2, 2, 4), part=("delta", "(2, 3, 5)")),
            wrong((2, 3, 4), (2, 3, 4), (4, 2), (2, 2, 4), (2, 2, 4), part=("A has shape (4, 2)", "(3, states)")),
            wrong((2, 3, 4), (2, 3, 4), (3, 2), (2, 3, 4), (2, 2, 4), part=("B has shape (2, 3, 4)", "(2, 2, 4)")),
            wrong((2, 3, 4), (2, 3, 4), (3, 2), (2, 2, 4), (2, 2, 2, 4), part=("C has shape", "groups divides 3")),
            wrong((2, 3, 4), (2, 3, 4), (3, 2), (2, 2, 4), (2, 2, 4), (2,), part=("D has shape (2,)",)),
            Error(
                (T((2, 3, 4)), T((2, 3, 4)), T((3, 2), dtype="int64"), T((2, 2, 4)), T((2, 2, 4))),
                "DTypeError",
                1101,
                ("A", "int64"),
            ),
        ),
    ),
    sample((1, 4, 3), 2, (1, 2, 2, 3), name="groups"),
    sample((2, 3, 3), 2, (3, 2), name="constant", more=1),
    sample((1, 2, 3), 1, (1, 1, 3), name="last state", more=2, return_last_state=True),
    sample((1, 1, 1), 1, (1, 1, 1), name="one step"),
    sample(
        (1, 20, 70),
        3,
        (1, 3, 70),
        name="several chunks",
        more=3,
        dtypes=FLOATS + HALVES,
        grad=False,
        delta_softplus=True,
    ),
]


def convolution(u, k, D=None):
    """Row by row, as the sum says."""
    y = np.zeros(u.shape)
    taps = np.broadcast_to(k, (*u.shape[:-1], k.shape[-1]))
    for row in np.ndindex(*u.shape[:-1]):
        y[row] = np.convolve(u[row], taps[row])[: u.shape[-1]]
    return y if D is None else y + np.broadcast_to(D, u.shape[:-1])[..., None] * u


SAMPLES += [
    Sample(
        "fft_conv",
        (T((2, 3, 5)), T((3, 4)), T((3,))),
        ref=convolution,
        dtypes=FLOATS + HALVES,
        errors=(
            wrong((2, 3, 5), (2, 4), part=("k has shape (2, 4)", "(2, 3, 5)")),
            wrong((2, 3, 5), (3, 4), (2,), part=("D has shape (2,)",)),
            wrong((), (4,), part=("u", "at least one dimension"), number=1001),
            Error((T((2, 5)), T((2, 5), dtype="int64")), "DTypeError", 1101, ("k", "int64")),
        ),
    ),
    Sample("fft_conv", (T((2, 5)), T((7,))), ref=convolution, name="more taps than steps"),
    Sample("fft_conv", (T((2, 2, 4)), T((2, 2, 4)), T((2, 2))), ref=convolution, name="a filter a row"),
    Sample("fft_conv", (T((2, 2, 700)), T((2, 700))), ref=convolution, grad=False, atol=1e-4, name="long"),
]
