"""What helix does otherwise than torch, with the reason. The tests fail when an entry is no longer true.

An entry is an op and the kinds of difference that `walk` reports for it.
"""

from __future__ import annotations

BY_REASON: dict[str, str] = {
    "not done yet": """
        arange:error,refused.out,value clamp_max:refused,refused.out clamp_min:refused,refused.out
        addmm:refused.out addmm.decomposed:refused.out addmv:refused.out
        addbmm:refused,refused.inplace,refused.out baddbmm:refused,refused.out vdot:refused.out
        conj_physical:refused cummax:refused.out cummin:refused.out diff:refused.out diag:refused.out
        isin:refused.out kthvalue:refused.out,value linspace:refused.out linspace.tensor_overload:refused.out
        logspace:refused.out logspace.tensor_overload:refused.out ldexp:refused.out logaddexp:refused
        masked_select:refused.out max.reduction_with_dim:value.out max.reduction_no_dim:value.out
        var_mean.unbiased:shape,value std_mean.unbiased:shape,value min.reduction_with_dim:value.out
        min.reduction_no_dim:value.out max.binary:error min.binary:error softmax:refused.out
        softmax.with_dtype:refused.out nn.functional.normalize:refused.out aminmax:error,refused.out
        as_strided:missing.inplace as_strided.partial_views:missing.inplace,refused,value
        as_strided_scatter:gradient nn.functional.adaptive_avg_pool2d:refused
        nn.functional.adaptive_avg_pool3d:refused nn.functional.adaptive_max_pool2d:refused
        nn.functional.adaptive_max_pool3d:refused nn.functional.avg_pool1d:refused
        nn.functional.avg_pool3d:refused,refused.out nn.functional.conv1d:refused nn.functional.conv2d:refused
        nn.functional.conv3d:refused nn.functional.group_norm:refused nn.functional.rms_norm:refused
        nn.functional.local_response_norm:refused nn.functional.pad.replicate_negative:refused
        nn.functional.interpolate.nearest:refused nn.functional.interpolate.nearest-exact:refused
        nn.functional.interpolate.linear:refused nn.functional.interpolate.bilinear:refused
        nn.functional.interpolate.bicubic:refused nn.functional.interpolate.trilinear:refused
        nn.functional.interpolate.area:refused nn.functional.multi_margin_loss:error,refused
        nn.functional.multilabel_margin_loss:refused nn.functional.leaky_relu:refused.inplace
        nn.functional.avg_pool2d:refused,refused.out nn.functional.max_pool3d:error
        nn.functional.linear:refused.out nn.functional.elu:refused.inplace nn.functional.celu:refused.inplace
        nn.functional.selu:refused.inplace nn.functional.silu:refused.inplace nn.functional.silu.complex:refused
        nn.functional.hardsigmoid:missing.inplace nn.functional.logsigmoid:refused.out
        nn.functional.mish:missing.inplace nn.functional.softsign:refused
        nn.functional.threshold:refused,refused.inplace nn.functional.triplet_margin_loss:error,refused
        nextafter:refused to:refused topk:refused.out,value nn.functional.batch_norm:refused
        nn.functional.softshrink:refused.out nn.functional.hardshrink:refused,refused.out
        nn.functional.hardtanh:error,refused nn.functional.gelu:refused.out nn.functional.relu6:refused
        narrow:error outer:refused.out float_power:missing.inplace,refused.out roll:error sgn:gradient
        slice_scatter:refused.out signbit:refused.out nan_to_num:refused square:refused isposinf:refused.out
        isneginf:refused.out svd_lowrank:refused pca_lowrank:refused column_stack:refused.out gather:refused.out
        index_copy:refused.out index_select:refused.out index_add:refused.out sort:refused.out,value
        take:refused.out scatter:error,refused.out bfloat16:refused bool:refused byte:refused char:refused
        double:refused float:refused half:refused int:refused long:refused short:refused cdouble:refused
        cfloat:refused randn:refused.out full_like:refused ones:refused.out zeros:refused.out full:refused.out
        empty:refused.out eye:refused.out multinomial:refused.out bernoulli:refused.out
        scatter_add:error,refused.out hstack:refused.out histc:refused.out bucketize:refused.out
        searchsorted:refused,refused.out cat:error vstack:refused.out dstack:refused.out msort:refused.out
        squeeze:missing.inplace squeeze.multiple:missing.inplace take_along_dim:refused.out
        unsqueeze:missing.inplace logsumexp:refused,refused.out transpose:missing.inplace tril:refused.out
        triu:refused.out triu_indices:refused tril_indices:refused kron:refused.out inner:refused.out
        tensordot:refused,refused.out logcumsumexp:refused,refused.out log_softmax:refused.out
        log_softmax.with_dtype:refused.out where:missing.method nonzero:refused.out norm:refused.out
        norm.nuc:refused norm.fro:refused.out norm.inf:refused.out t:missing.inplace
        nn.functional.dropout:refused.inplace nn.functional.dropout2d:refused.inplace
        nn.functional.dropout3d:refused.inplace nn.functional.embedding:refused
        nn.functional.softplus:refused.out all:refused.out any:refused.out amax:error amin:error
        argmax:refused.out argmin:refused.out nanmean:refused.out std:refused.out std.unbiased:shape,value
        var:refused.out var.unbiased:shape,value nansum:refused.out nn.functional.ctc_loss:gradient,refused
        argsort:value nn.functional.pairwise_distance:refused scatter_reduce.sum:refused.out
        scatter_reduce.prod:refused.out scatter_reduce.mean:refused.out scatter_reduce.amin:refused.out
        scatter_reduce.amax:refused.out fft.fft:error fft.fft2:error fft.fftn:error fft.hfft:error
        fft.rfft:error fft.rfft2:error fft.rfftn:error fft.ifft:error fft.ifft2:error fft.ifftn:error
        fft.ihfft:error fft.irfft:error fft.irfft2:error fft.irfftn:error
    """,
    "torch's values have eight digits": "special.bessel_j0:value special.bessel_y1:value",
}

KNOWN: dict[str, dict[str, str]] = {}
for _reason, _entries in BY_REASON.items():
    for _entry in _entries.split():
        _op, _, _kinds = _entry.partition(":")
        KNOWN.setdefault(_op, {}).update(dict.fromkeys(_kinds.split(","), _reason))
