"""Scaled dot-product attention."""

import numpy as np

from ..sample import FLOATS, HALVES, Error, Sample, T

OP = "scaled_dot_product_attention"


def attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    """The definition, with whole matrices of scores."""
    if enable_gqa:
        k, v = (np.repeat(t, q.shape[-3] // t.shape[-3], axis=-3) for t in (k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = np.tril(np.ones(scores.shape[-2:], bool))
    if attn_mask is not None:
        scores = np.where(attn_mask, scores, -np.inf) if attn_mask.dtype == bool else scores + attn_mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


def sample(q, k, v, *rest, name="", dtypes=FLOATS, **kwargs):
    more = {key: kwargs.pop(key) for key in ("errors", "grad", "layouts") if key in kwargs}
    return Sample(OP, (T(q), T(k), T(v), *rest), kwargs, ref=attention, name=name, dtypes=dtypes, **more)


SAMPLES = [
    sample(
        (2, 2, 5, 4),
        (2, 2, 7, 4),
        (2, 2, 7, 3),
        dtypes=FLOATS + HALVES,
        errors=(
            Error((T((2, 3)), T((2, 4)), T((2, 4))), "ShapeError", 1002, ("query", "(2, 3)", "(2, 4)")),
            Error((T((2, 3)), T((3, 3)), T((2, 3))), "ShapeError", 1002, ("lengths of key and value",)),
            Error((T((2, 3)), T((2, 3)), T((2, 3)), T((5, 5))), "ShapeError", 1003, ("(5, 5)",)),
            Error((T((2, 3)), T((2, 3)), T((2, 3), dtype="float16")), "DTypeError", 1101, ("float16",)),
            Error((T((2, 3)), T((2, 3)), T((2, 3))), "ParameterError", 1403, ("dropout_p",), {"dropout_p": 2.0}),
        ),
    ),
    sample((5, 4), (7, 4), (7, 4), name="no batch", scale=0.3),
    sample((2, 6, 4), (2, 6, 4), (2, 6, 4), name="causal", is_causal=True),
    sample((2, 20, 4), (2, 9, 4), (2, 9, 4), name="more rows than keys", is_causal=True),
    sample((4, 3, 4), (2, 5, 4), (2, 5, 4), name="shared heads", enable_gqa=True),
    sample((2, 3, 4), (2, 5, 4), (2, 5, 4), T((3, 5)), name="float mask"),
    sample((2, 3, 4), (2, 5, 4), (2, 5, 4), T((2, 1, 5)), name="stretched mask"),
    sample((2, 140, 16), (2, 150, 16), (2, 150, 24), name="several blocks", dtypes=FLOATS + HALVES, grad=False),
    sample((1, 40, 8), (1, 33, 8), (1, 33, 8), name="several blocks with gradients", layouts=False),
    sample((2, 4, 1, 16), (2, 4, 300, 16), (2, 4, 300, 16), name="one row", grad=False),
]
