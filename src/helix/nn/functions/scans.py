"""Recurrences along a sequence, a whole sequence at a time: the linear scan, the state space dual, causal short filters."""

from __future__ import annotations

from ... import _core, cat, ones
from ...tensor import Tensor
from .refuse import ShapeError, refuse

__all__ = ["causal_conv1d", "linear_scan", "ssd"]


def any_length() -> bool:
    """Is what runs recorded for all lengths at once? The ops must then not depend on the length."""
    if not _core.tracing():
        return False
    from ...graph.polymorphic import same_for_all_sizes

    return same_for_all_sizes()


def linear_scan(a: Tensor, b: Tensor, initial: Tensor | None = None, dim: int = -2) -> Tensor:
    """x[t] = a[t] x[t - 1] + b[t] along `dim`, in log2(length) rounds over whole tensors; real or complex.

    b: (..., length, ...). a: the same shape, or one that broadcasts to it; of size 1 along `dim` it is one factor for all
    steps. initial: x[-1], b's shape with size 1 along `dim`; zero without it. Returns every x, in b's shape.
    Raises ShapeError (HX1001) when a has another number of dimensions than b, or neither 1 nor length steps.
    Source: Blelloch, "Prefix sums and their applications" (1990); rounds of Hillis and Steele (1986).

    Example:
        >>> b = helix.ones(4, 1)
        >>> helix.nn.functional.linear_scan(helix.full((1, 1), 0.5), b).flatten().tolist()
        [1.0, 1.5, 1.75, 1.875]
    """
    dim, length = dim % b.ndim, b.shape[dim]
    if a.ndim != b.ndim or a.shape[dim] not in (1, length):
        refuse(
            ShapeError,
            "linear_scan",
            f"a has shape {tuple(a.shape)}, which gives neither one factor nor {length} along axis {dim} of b, "
            f"{tuple(b.shape)}.",
        )
    if initial is not None and length:
        first = b.narrow(dim, 0, 1) + a.narrow(dim, 0, 1) * initial
        b = cat([first, b.narrow(dim, 1, length - 1)], dim)
    if any_length():
        return _stepwise(a, b, dim)
    constant, step = a.shape[dim] == 1, 1
    while step < length:
        rest = length - step
        late = a if constant else a.narrow(dim, step, rest)
        b = cat([b.narrow(dim, 0, step), b.narrow(dim, step, rest) + late * b.narrow(dim, 0, rest)], dim)
        if constant:
            a = a * a
        elif 2 * step < length:
            a = cat([a.narrow(dim, 0, step), late * a.narrow(dim, 0, rest)], dim)
        step *= 2
    return b


def _stepwise(a: Tensor, b: Tensor, dim: int) -> Tensor:
    """The same one step after the other, from zero."""
    from ...graph.control import scanned

    rows, first = b.movedim(dim, 0), b.select(dim, 0)

    def step(x: Tensor, now: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        x = (now[1] if len(now) > 1 else a.squeeze(dim)) * x + now[0]
        return x, x

    _, states = scanned(step, first * 0, (rows,) if a.shape[dim] == 1 else (rows, a.movedim(dim, 0)), False, None)
    return states.movedim(0, dim)


def causal_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, initial: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """A filter of few taps for each channel that looks back only: y[t] = sum of weight[s] x[t - (taps - 1) + s].

    x: (batch, channels, length). weight: (channels, taps), the last tap for the present. bias: (channels,). initial: the
    taps - 1 columns before x, zero without it. Returns y, of x's shape, and the last taps - 1 columns, which go on.
    Raises ShapeError (HX1002) of conv1d.

    Example:
        >>> y, last = helix.nn.functional.causal_conv1d(helix.tensor([[[1., 2., 3.]]]), helix.tensor([[1., 10.]]))
        >>> y.tolist(), last.tolist()
        ([[[10.0, 21.0, 32.0]]], [[[3.0]]])
    """
    from .. import functional as F

    channels, taps = weight.shape
    if initial is None:
        padded = F.pad(x.contiguous(), (taps - 1, 0))
    else:
        padded = cat([initial, x], -1)
    y = F.conv1d(padded, weight.unsqueeze(1), bias, groups=channels)
    return y, padded.narrow(-1, padded.shape[-1] - (taps - 1), taps - 1)


def ssd(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    chunk_size: int = 64,
    initial: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The state space dual: Mamba-2's recurrence as products within chunks and a scan over chunks.

    For each head h with state S of (head_dim, d_state), S = initial (or zero) before the first step:
        S[t] = exp(dt[t] A[h]) S[t - 1] + dt[t] x[t] B[t]^T,   y[t] = S[t] C[t]
    x: (batch, length, heads, head_dim). dt: (batch, length, heads), positive. A: (heads,), negative. B, C: (batch, length,
    groups, d_state), where groups divides heads. initial: (batch, heads, head_dim, d_state). Returns y in x's shape, and
    the last state. Raises ShapeError (HX1001) when heads is no multiple of groups.
    Source: Dao, Gu, "Transformers are SSMs" (ICML 2024), section 6.

    Example:
        >>> one = helix.ones(1, 3, 1, 1)
        >>> y, last = helix.nn.functional.ssd(one, one[..., 0], helix.zeros(1), one, one, chunk_size=2)
        >>> y.flatten().tolist(), last.item()
        ([1.0, 2.0, 3.0], 3.0)
    """
    batch, length, heads, head_dim = x.shape
    groups, states = B.shape[-2:]
    if heads % groups:
        refuse(ShapeError, "ssd", f"B has {groups} groups, which do not divide the {heads} heads of x.")
    if any_length():
        return _ssd_stepwise(x * dt.unsqueeze(-1), (dt * A).exp(), B, C, initial)
    size = max(1, min(chunk_size, length))
    chunks = -(-length // size)

    def cut(t: Tensor) -> Tensor:
        """(batch, length, a, b) as (batch, chunks, a, size, b), with zeros behind the end."""
        if chunks * size > length:
            fill = t.new_zeros((batch, chunks * size - length, *t.shape[2:]))
            t = cat([t, fill], 1)
        return t.reshape(batch, chunks, size, *t.shape[2:]).transpose(2, 3)

    steps = cut(dt.unsqueeze(-1))  # (batch, chunks, heads, size, 1)
    inputs = cut(x) * steps
    b, c = cut(B), cut(C)
    rates = steps * A.reshape(heads, 1, 1)
    decays = _segment_decays(rates, size)  # from after step s to step t
    scores = (c @ b.transpose(-1, -2)).repeat_interleave(heads // groups, 2) * decays
    b, c = b.repeat_interleave(heads // groups, 2), c.repeat_interleave(heads // groups, 2)
    added = (inputs * decays.narrow(-2, size - 1, 1).transpose(-1, -2)).transpose(-1, -2) @ b
    through = rates.sum(-2, keepdim=True).exp()
    after = linear_scan(through, added, None if initial is None else initial.unsqueeze(1), dim=1)
    before = after.narrow(1, 0, chunks - 1) if chunks else after
    start = after.new_zeros((batch, 1, heads, head_dim, states)) if initial is None else initial.unsqueeze(1)
    before = cat([start, before], 1) if chunks else before
    y = scores @ inputs + (c * rates.cumsum(-2).exp()) @ before.transpose(-1, -2)
    y = y.transpose(2, 3).reshape(batch, chunks * size, heads, head_dim).narrow(1, 0, length)
    return y, after.select(1, chunks - 1) if chunks else start.squeeze(1)


def _ssd_stepwise(
    inputs: Tensor, decays: Tensor, B: Tensor, C: Tensor, initial: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The same one step after the other: inputs are dt x, decays exp(dt A)."""
    from ...graph.control import scanned

    batch, _, heads, head_dim = inputs.shape
    each = heads // B.shape[2]
    start = inputs.new_zeros((batch, heads, head_dim, B.shape[3])) if initial is None else initial

    def step(state: Tensor, now: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        x, decay, b, c = now
        b, c = (t.repeat_interleave(each, 1).unsqueeze(-2) for t in (b, c))
        state = decay.unsqueeze(-1).unsqueeze(-1) * state + x.unsqueeze(-1) * b
        return state, (state * c).sum(-1)

    last, y = scanned(step, start, tuple([t.transpose(0, 1) for t in (inputs, decays, B, C)]), False, None)
    return y.transpose(0, 1), last


def _segment_decays(rates: Tensor, size: int) -> Tensor:
    """exp(rates[s + 1] + … + rates[t]) at [t, s] for s <= t, 0 above; each sum by itself, as differences would cancel."""
    below = ones(size, size, dtype=rates.dtype, device=rates.device).tril(-1)
    sums = (rates * below).cumsum(-2)
    return sums.exp().tril()
