"""What helix does otherwise than torch, with the reason. The tests fail when an entry is no longer true.

An entry is an op and the kinds of difference that `walk` reports for it.
"""

from __future__ import annotations

BY_REASON: dict[str, str] = {
    "out= takes any tensor that holds the result safely, of the right shape: float64 for a float32 result too": """
        aminmax:error complex:error gather:error
    """,
    "where equal elements stand is not defined; helix gives the first in order, or the last for mode": """
        argsort:value kthvalue:value sort:value topk:value
    """,
    "an IndexError of torch that helix tells more exactly: ShapeError for a rank, ParameterError for nothing to reduce": """
        amax:error amin:error max.binary:error min.binary:error
    """,
    "the sample is a view with more memory around it, which is not carried over": """
        as_strided.partial_views:refused,value
    """,
    "vectors are fixed only up to their sign, or a factor of size 1": """
        linalg.eig:value linalg.eigh:value linalg.svd:value svd:value
    """,
    "the triangle of a factor that is not read has no gradient; torch gives it one": """
        cholesky_inverse:gradient cholesky_solve:gradient
    """,
    "small elements beside large ones: both are as exact as float32 allows relative to the norm, helix by Padé": """
        matrix_exp:value
    """,
    "torch's values have eight digits": """
        special.bessel_j0:value special.bessel_y1:value
    """,
    "options= says how torch's own kernels cut logits into pieces, which helix chooses itself": """
        nn.functional.linear_cross_entropy.chunked:refused
        nn.functional.linear_cross_entropy.chunked_none:refused
    """,
    "the sample's distance_function is a layer of torch's": """
        nn.functional.triplet_margin_with_distance_loss:refused
    """,
    "a parameter that has no meaning is refused: a negative eps or lambd": """
        nn.functional.group_norm:refused nn.functional.hardshrink:refused
    """,
    "torch takes an empty tensor that has no axis of channels": """
        nn.functional.batch_norm:refused
    """,
    "torch's gradient supposes that the probabilities of a time sum to 1": """
        nn.functional.ctc_loss:gradient
    """,
    "a pool of no channels is empty": """
        nn.functional.max_pool3d:error
    """,
    "the dtype of target is looked at before the shape of weight": """
        nn.functional.multi_margin_loss:error
    """,
    "a number with a fraction beside integers is an error, and not cut off": """
        addbmm:refused baddbmm:refused
    """,
    "a tensor that is written keeps its shape": """
        addbmm:refused.inplace
    """,
    "the source is cast to the dtype of the tensor that is written": """
        scatter:error scatter_add:error
    """,
    "conj_physical is for complex tensors; conj takes all": """
        conj_physical:refused
    """,
    "memory that out= shares with an input is not carried over, and is written rightly; cat takes the rows of a tensor": """
        cat:error take:error
    """,
    "an op without a gradient is an error for an input that requires one, at once": """
        nextafter:refused
    """,
    "a tensor without dimensions has an axis 0, as in torch's other ops; a bool tensor is the number it holds": """
        narrow:error roll:error
    """,
    "what was written over has the gradient 0; torch's is another": """
        as_strided_scatter:gradient
    """,
    "torch takes the mean of squares of complex numbers, not of their magnitudes, which is no norm": """
        nn.functional.rms_norm:refused
    """,
}

# Seen only where all samples are walked, not among the first of each.
AMONG_ALL: dict[str, str] = {
    "a number with a fraction beside integers is an error, and not cut off": """
        addmv:refused
    """,
    "memory_format: results are row-major": """
        bfloat16:refused bool:refused byte:refused cdouble:refused cfloat:refused char:refused double:refused
        float:refused half:refused int:refused long:refused short:refused to:refused
    """,
    "a window that is padded has its gradient; torch gives it none": """
        istft:gradient
    """,
    "where equal elements stand is not defined; helix gives the last for mode": """
        mode:value
    """,
    "out= takes any tensor that holds the result safely": """
        multinomial:error
    """,
    "a pool of no channels is empty": """
        nn.functional.max_pool1d:error
    """,
    "the largest sum of no rows is an error; torch gives 0": """
        linalg.norm:refused linalg.norm.subgradients_at_zero:refused
    """,
    "the imaginary part of a logarithm is fixed up to 2 pi": """
        logcumsumexp:value
    """,
}


def by_op(reasons: dict[str, str]) -> dict[str, dict[str, str]]:
    """Of each op, the kinds and their reasons."""
    found: dict[str, dict[str, str]] = {}
    for reason, entries in reasons.items():
        for entry in entries.split():
            op, _, kinds = entry.partition(":")
            found.setdefault(op, {}).update(dict.fromkeys(kinds.split(","), reason))
    return found


KNOWN = by_op(BY_REASON)
RARE = by_op(AMONG_ALL)
