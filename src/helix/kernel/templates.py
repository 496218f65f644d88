"""All templates: importing this module fills the registry."""

from helix.kernel import (
    conv,
    create,
    elementwise,
    fused,
    index,
    masks,
    matmul,
    norm,
    optim,
    order,
    pool,
    random,
    reduce,
    softmax,
    sorting,
)
from helix.kernel.registry import offered

__all__ = [
    "conv",
    "create",
    "elementwise",
    "fused",
    "index",
    "masks",
    "matmul",
    "norm",
    "offered",
    "optim",
    "order",
    "pool",
    "random",
    "reduce",
    "softmax",
    "sorting",
]
