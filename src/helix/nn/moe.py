"""Mixtures of experts: routers, capacities, and one product of matrices for each expert.

Sources: Shazeer et al., "Outrageously large neural networks" (2017); Fedus et al., "Switch transformers" (2022), for
capacities and the balancing loss; Zoph et al., "ST-MoE" (2022), for the z-loss; Zhou et al., "Mixture-of-experts with expert
choice routing" (2022); Dai et al., "DeepSeekMoE" (2024), for shared experts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from .. import arange, empty, ones_like, where, zeros, zeros_like
from ..autograd import is_grad_enabled
from ..errors import GradientError
from ..tensor import Tensor
from . import functional as F
from . import init
from .linear import Linear, fits_bound
from .misfit import describe
from .module import Module
from .parameter import Parameter

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu}
POLICIES = ("drop", "pad")


class Routing(NamedTuple):
    """Who does what: assignment i gives token `tokens[i]` to expert `experts[i]` with weight `weights[i]`; assignments
    stand expert by expert. `counts` (num_experts,) are those kept; the last `dropped` assignments had no place, and their
    expert is num_experts."""

    tokens: Tensor
    experts: Tensor
    weights: Tensor
    counts: Tensor
    dropped: Tensor
    load_balance_loss: Tensor
    z_loss: Tensor


def load_balance_loss(probabilities: Tensor, chosen: Tensor) -> Tensor:
    """num_experts times the sum over experts of (share of assignments) (mean probability): 1 when both are uniform.

    probabilities: (tokens, num_experts). chosen: (tokens, k), numbers of experts.

    Example:
        >>> even = helix.full((4, 2), 0.5)
        >>> helix.nn.moe.load_balance_loss(even, helix.tensor([[0], [1], [0], [1]])).item()
        1.0
    """
    experts = probabilities.shape[-1]
    share = _counted(chosen.reshape(-1), experts).to(probabilities.dtype) / max(1, chosen.numel())
    return experts * (share * probabilities.sum(0)).sum() / max(1, probabilities.shape[0])


def router_z_loss(logits: Tensor) -> Tensor:
    """The mean square of logsumexp over experts: keeps logits small.

    Example:
        >>> round(helix.nn.moe.router_z_loss(helix.zeros(3, 4)).item(), 4)
        1.9218
    """
    return logits.logsumexp(-1).square().sum() / max(1, logits.shape[0])


class Experts(Module):
    """num_experts feed-forward nets side by side: up (and gate), activation, down; weights are (experts, in, out)."""

    up_proj: Parameter
    down_proj: Parameter
    gate_proj: Parameter | None

    def __init__(
        self,
        num_experts: int,
        d_model: int,
        d_hidden: int,
        activation: str = "gelu",
        gated: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ValueError(f"Experts: activation must be one of {', '.join(ACTIVATIONS)}; got {activation!r}")
        self.num_experts, self.activation = num_experts, activation
        self.up_proj = Parameter(empty(num_experts, d_model, d_hidden, device=device, dtype=dtype))
        self.register_parameter(
            "gate_proj", Parameter(empty(num_experts, d_model, d_hidden, device=device, dtype=dtype)) if gated else None
        )
        self.down_proj = Parameter(empty(num_experts, d_hidden, d_model, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for weight in (self.up_proj, self.gate_proj, self.down_proj):
            if weight is not None:
                bound = fits_bound(weight.shape[1])
                init.uniform_(weight, -bound, bound)

    def forward(self, x: Tensor, offs: Tensor | None = None) -> Tensor:
        """Rows sorted by expert, (rows, d_model) with the end of each expert's, or (experts, capacity, d_model)."""
        hidden = F.grouped_mm(x, self.up_proj, offs=offs)
        act = ACTIVATIONS[self.activation]
        if self.gate_proj is None:
            hidden = act(hidden)
        else:
            hidden = act(F.grouped_mm(x, self.gate_proj, offs=offs)) * hidden
        return F.grouped_mm(hidden, self.down_proj, offs=offs)

    def extra_repr(self) -> str:
        experts, d_model, d_hidden = self.up_proj.shape
        return f"{experts}, {d_model}, {d_hidden}, activation={self.activation!r}, gated={self.gate_proj is not None}"


class MixtureOfExperts(Module):
    """Each token goes through the experts that a router chooses: (…, d_model) to the same.

    router "token": each token takes its top_k experts, weighted by their probabilities, which are made to sum to 1 if
    `normalize` (by default for top_k above 1). router "expert": each expert takes its capacity_factor tokens / experts best
    tokens (1 when None); not causal, as a token's luck depends on later ones.
    capacity_factor: an expert takes capacity_factor tokens top_k / experts assignments at most, first choices first, then
    in the order of tokens; those beyond are dropped, and a token without any expert gives zeros (plus shared experts).
    None sets no limit. policy "drop" multiplies just the rows there are; "pad" fills each expert up to its capacity with
    zeros and multiplies all experts at once. The results are the same. No shape depends on values, so that graphs hold both.
    shared_experts: so many further experts, in one net, that every token passes.

    `layer.routed(x)` returns (y, Routing) with the losses to be added to a model's; after a call in training
    `layer.routing` has them too, and `auxiliary_loss(model)` adds them up. Raises LayerError (HX1004) for other shapes.

    Example:
        >>> layer = helix.nn.MixtureOfExperts(8, 16, num_experts=4, capacity_factor=1.25)
        >>> y, routing = layer.routed(helix.randn(2, 5, 8))
        >>> y.shape, int(routing.counts.sum() + routing.dropped)
        ((2, 5, 8), 20)
    """

    routing: Routing | None
    shared: Experts | None

    def __init__(
        self,
        d_model: int,
        d_hidden: int,
        num_experts: int,
        top_k: int = 2,
        capacity_factor: float | None = None,
        policy: str = "drop",
        router: str = "token",
        normalize: bool | None = None,
        shared_experts: int = 0,
        activation: str = "gelu",
        gated: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        if not 1 <= top_k <= num_experts:
            raise ValueError(f"MixtureOfExperts: top_k must lie between 1 and num_experts ({num_experts}), got {top_k}")
        if router not in ("token", "expert"):
            raise ValueError(f"MixtureOfExperts: router must be 'token' or 'expert', got {router!r}")
        if policy not in POLICIES or (policy == "pad" and router == "token" and capacity_factor is None):
            raise ValueError(
                f"MixtureOfExperts: policy must be 'drop', or 'pad' with a capacity_factor; got {policy!r} "
                f"and capacity_factor={capacity_factor}"
            )
        if capacity_factor is not None and capacity_factor <= 0:
            raise ValueError(f"MixtureOfExperts: capacity_factor must be above 0, got {capacity_factor}")
        self.d_model, self.num_experts, self.top_k = d_model, num_experts, top_k
        self.capacity_factor, self.policy, self.kind = capacity_factor, policy, router
        self.normalize = top_k > 1 if normalize is None else normalize
        self.router = Linear(d_model, num_experts, bias=False, device=device, dtype=dtype)
        self.experts = Experts(num_experts, d_model, d_hidden, activation, gated, device, dtype)
        self.add_module(
            "shared",
            Experts(1, d_model, shared_experts * d_hidden, activation, gated, device, dtype)
            if shared_experts
            else None,
        )
        self.routing = None

    def forward(self, x: Tensor) -> Tensor:
        y, routing = self.routed(x)
        self.routing = routing if self.training else None
        return y

    def routed(self, x: Tensor) -> tuple[Tensor, Routing]:
        rows = x.reshape(-1, self.d_model)
        routing = (self._by_token if self.kind == "token" else self._by_expert)(self.router(rows))
        done = self._done(rows.index_select(0, routing.tokens), routing)
        y = zeros_like(rows).index_add(0, routing.tokens, done * routing.weights.unsqueeze(-1))
        if self.shared is not None:
            y = y + self.shared(rows.unsqueeze(0)).squeeze(0)
        return y.reshape(x.shape), routing

    def __getstate__(self) -> dict:
        """A copy begins without the losses of a call that it did not see."""
        return {**self.__dict__, "routing": None}

    # ---- routers -------------------------------------------------------------------------------------------------

    def capacity(self, tokens: int) -> int:
        """The most assignments of one expert."""
        if self.kind == "expert":
            wanted = math.ceil((self.capacity_factor or 1.0) * tokens / self.num_experts)
        elif self.capacity_factor is None:
            return tokens
        else:
            wanted = math.ceil(self.capacity_factor * tokens * self.top_k / self.num_experts)
        return min(tokens, wanted)

    def _by_token(self, logits: Tensor) -> Routing:
        probabilities = logits.softmax(-1)
        weights, chosen = probabilities.topk(self.top_k, -1)
        if self.normalize:
            weights = weights / weights.sum(-1, keepdim=True)
        tokens, experts = logits.shape[0], chosen.t().reshape(-1)  # all first choices, then all second ones
        capacity, counts = self.capacity(tokens), _counted(experts, self.num_experts)
        order = experts.argsort(stable=True)
        experts = experts.index_select(0, order)
        if capacity < tokens:
            place = arange(order.shape[0], device=logits.device) - (counts.cumsum(0) - counts).index_select(0, experts)
            experts = where(place < capacity, experts, self.num_experts)
            again = experts.argsort(stable=True)
            order, experts = order.index_select(0, again), experts.index_select(0, again)
        kept = counts.clamp(max=capacity)
        return Routing(
            order % max(1, tokens),
            experts,
            weights.t().reshape(-1).index_select(0, order),
            kept,
            (counts - kept).sum(),
            load_balance_loss(probabilities, chosen),
            router_z_loss(logits),
        )

    def _by_expert(self, logits: Tensor) -> Routing:
        probabilities, capacity = logits.softmax(-1), self.capacity(logits.shape[0])
        weights, tokens = probabilities.t().topk(capacity, -1)
        numbers = arange(self.num_experts, device=logits.device)
        return Routing(
            tokens.reshape(-1),
            numbers.repeat_interleave(capacity),
            weights.reshape(-1),
            numbers * 0 + capacity,
            numbers.sum() * 0,
            load_balance_loss(probabilities, numbers.repeat_interleave(capacity)),
            router_z_loss(logits),
        )

    # ---- experts -------------------------------------------------------------------------------------------------

    def _done(self, rows: Tensor, routing: Routing) -> Tensor:
        """What the experts make of their rows; zeros for those without a place."""
        ends = routing.counts.cumsum(0)
        if self.policy == "drop":
            return self.experts(rows, ends)
        room = self.num_experts * self._capacity_of(rows.shape[0])
        begins = F.pad(ends, (1, 0))  # one more: of those without a place, which share the row behind all others
        slot = arange(rows.shape[0], device=rows.device) - begins.index_select(0, routing.experts)
        at = (routing.experts * (room // self.num_experts) + slot).clamp(max=room)
        filled = rows.new_zeros((room + 1, self.d_model)).index_add(0, at, rows).narrow(0, 0, room)
        done = self.experts(filled.unflatten(0, (self.num_experts, room // self.num_experts))).flatten(0, 1)
        return F.pad(done, (0, 0, 0, 1)).index_select(0, at)

    def _capacity_of(self, assignments: int) -> int:
        return assignments // self.num_experts if self.kind == "expert" else self.capacity(assignments // self.top_k)

    def misfit(self, x) -> str | None:
        shape = tuple(getattr(x, "shape", ()))
        if shape and shape[-1] == self.d_model:
            return None
        return f"input ends in {shape[-1:]} features, the layer was made for {self.d_model}. {describe(x)}"

    def extra_repr(self) -> str:
        return (
            f"top_k={self.top_k}, capacity_factor={self.capacity_factor}, policy={self.policy!r}, router={self.kind!r}"
        )


def auxiliary_loss(model: Module, balance: float = 0.01, z: float = 0.001) -> Tensor | float:
    """The routers' losses of the last call in training, summed over a model's mixtures: add it to the model's loss.

    Raises GradientError (HX1503) when that call recorded no gradients, which the sum would silently lack.

    Example:
        >>> layer = helix.nn.MixtureOfExperts(4, 8, num_experts=2)
        >>> y = layer(helix.randn(3, 4))
        >>> loss = y.square().mean() + helix.nn.moe.auxiliary_loss(layer)
    """
    total: Tensor | float = 0.0
    for module in model.modules():
        if isinstance(module, MixtureOfExperts) and module.routing is not None:
            if is_grad_enabled() and module.router.weight.requires_grad and not module.routing.z_loss.requires_grad:
                raise GradientError(
                    "HX1503 auxiliary_loss: the routers ran where no gradients are recorded, as in a ReversibleSequence; "
                    "make that with keep=True, or ask for this under helix.no_grad().",
                    op="auxiliary_loss",
                    code="HX1503",
                )
            total = total + balance * module.routing.load_balance_loss + z * module.routing.z_loss
    return total


def _counted(numbers: Tensor, size: int) -> Tensor:
    """How often each of `size` numbers is there."""
    return zeros(size, dtype=numbers.dtype, device=numbers.device).index_add(0, numbers, ones_like(numbers))
