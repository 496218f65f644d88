"""helix.nn.functional: what layers compute, as functions of tensors, under torch's names and keywords.

Most are ops of the core (records marked HX_NN); helix.nn.functions has those that torch calls in more ways than a record
says, and those that are made of ops.
"""

from __future__ import annotations

from .. import _core

_OPS = _core.nn_functions()
globals().update(_OPS)

from .functions.activations import (  # noqa: E402
    celu,
    elu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    mish,
    relu,
    relu6,
    selu,
    silu,
    softmax,
    softmin,
    tanh,
    threshold,
)
from .functions.attention import multi_head_attention_forward  # noqa: E402
from .functions.losses import (  # noqa: E402
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_embedding_loss,
    cross_entropy,
    hinge_embedding_loss,
    huber_loss,
    kl_div,
    l1_loss,
    margin_ranking_loss,
    mse_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    nll_loss,
    poisson_nll_loss,
    smooth_l1_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from .functions.pooling import (  # noqa: E402
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d,
    adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d,
    adaptive_max_pool3d_with_indices,
    fractional_max_pool2d,
    fractional_max_pool2d_with_indices,
    fractional_max_pool3d,
    fractional_max_pool3d_with_indices,
    max_pool1d_with_indices,
    max_pool2d_with_indices,
    max_pool3d_with_indices,
)
from .functions.products import (  # noqa: E402
    conv_tbc,
    grouped_mm,
    linear_cross_entropy,
    normalize,
    pdist,
)
from .functions.random import (  # noqa: E402
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
    gumbel_softmax,
    rrelu,
    rrelu_,
)
from .functions.spatial import (  # noqa: E402
    affine_grid,
    channel_shuffle,
    grid_sample,
    interpolate,
    native_channel_shuffle,
    upsample,
    upsample_bilinear,
    upsample_nearest,
)
from .functions.tables import embedding, embedding_bag, one_hot  # noqa: E402

__all__ = sorted(name for name in globals() if not name.startswith("_") and name != "annotations")
