"""Sums of products."""

import numpy as np

from ..sample import FLOATS, Error, Sample, T


def einsum(equation, *shapes, **more):
    return Sample(
        "einsum",
        (equation, [T(shape) for shape in shapes]),
        name=equation,
        dtypes=FLOATS,
        ref=lambda eq, operands: np.einsum(eq, *operands),
        **more,
    )


SAMPLES = [
    einsum(
        "ij,jk->ik",
        (3, 4),
        (4, 5),
        errors=(
            Error(("ij,jk->ik", [T((2, 3)), T((2, 3))]), "ShapeError", 1002, ("'j'", "operand 1", "(2, 3)")),
            Error(("ijk", [T((2, 3))]), "ShapeError", 1001, ("operand 0", "(2, 3)")),
            Error(("ij->ijz", [T((2, 3))]), "ParameterError", 1403, ("result", "ij->ijz")),
            Error(("i1", [T((2, 3))]), "ParameterError", 1403, ("no letter",)),
            Error(("ij,jk", [T((2, 3))]), "ArgumentError", 1103, ("operands",)),
        ),
    ),
    einsum("ii", (4, 4)),
    einsum("ii->i", (4, 4)),
    einsum("ba", (3, 4)),
    einsum("ij->", (3, 4)),
    einsum("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    einsum("...ij,...jk->...ik", (2, 3, 4), (5, 2, 4, 3)),
    einsum("...a->a...", (2, 3, 4)),
    einsum("i,j->ji", (3,), (4,)),
    einsum("iij,jk->ik", (3, 3, 4), (4, 2)),
    einsum("bn,anm,bm->ba", (2, 3), (4, 3, 2), (2, 2)),
    einsum("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    einsum("bhqk,bhkd->bqhd", (2, 2, 3, 4), (2, 2, 4, 3)),
]
