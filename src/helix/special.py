"""helix.special: special functions of tensors, under torch.special's names."""

from __future__ import annotations

from helix import _core

_EVERYWHERE = {
    "digamma": "digamma",
    "erf": "erf",
    "erfc": "erfc",
    "erfinv": "erfinv",
    "exp2": "exp2",
    "expit": "sigmoid",
    "expm1": "expm1",
    "gammainc": "igamma",
    "gammaincc": "igammac",
    "gammaln": "lgamma",
    "log1p": "log1p",
    "log_softmax": "log_softmax",
    "logit": "logit",
    "logsumexp": "logsumexp",
    "multigammaln": "mvlgamma",
    "psi": "digamma",
    "round": "round",
    "sinc": "sinc",
    "softmax": "softmax",
    "xlogy": "xlogy",
}
_FUNCTIONS = _core.special_functions() | {name: _core.op_named(op) for name, op in _EVERYWHERE.items()}
globals().update(_FUNCTIONS)

__all__ = sorted(_FUNCTIONS)
