"""Embedding, EmbeddingBag: a table of vectors looked up by integers."""

from __future__ import annotations

from .. import empty
from ..autograd import no_grad
from ..tensor import Tensor
from . import functional as F
from . import init
from .misfit import describe
from .module import Module
from .parameter import Parameter


class _Table(Module):
    weight: Parameter

    def _table(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        sparse: bool,
        weight: Tensor | None,
        device,
        dtype,
    ) -> None:
        name = type(self).__name__
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"{name}: padding_idx {padding_idx} is outside a table of {num_embeddings} rows")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx % num_embeddings if padding_idx is not None else None
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if weight is None:
            self.weight = Parameter(empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
            self.reset_parameters()
        elif tuple(weight.shape) != (num_embeddings, embedding_dim):
            wanted = (num_embeddings, embedding_dim)
            raise ValueError(f"{name}: the weight has shape {tuple(weight.shape)}, the table {wanted}")
        else:
            self.weight = Parameter(weight)

    def reset_parameters(self) -> None:
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)

    def misfit(self, input, *_) -> str | None:
        if hasattr(input, "dtype") and (input.dtype.is_floating_point or input.dtype.is_complex):
            return (
                "indices must be an integer type. "
                f"{describe(input)} Use input.to(helix.int64) if the values are whole numbers."
            )
        if getattr(input, "shape", None) is not None and input.numel():
            low, high = int(input.min()), int(input.max())
            if low < 0 or high >= self.num_embeddings:
                return (
                    f"indices run from {low} to {high}, the table has {self.num_embeddings} rows "
                    f"(0..{self.num_embeddings - 1}). {describe(input)}"
                )
        return None

    def _shown(self) -> dict[str, str]:
        """What repr prints, by keyword; empty where it is the default."""
        return {
            "padding_idx": f", padding_idx={self.padding_idx}" if self.padding_idx is not None else "",
            "max_norm": f", max_norm={self.max_norm}" if self.max_norm is not None else "",
            "norm_type": f", norm_type={self.norm_type}" if self.norm_type != 2 else "",
            "scale_grad_by_freq": ", scale_grad_by_freq=True" if self.scale_grad_by_freq else "",
            "sparse": ", sparse=True" if self.sparse else "",
        }


class Embedding(_Table):
    """Row `i` of `weight` for each index i; the row `padding_idx` gets no gradient and starts at zero.

    input: integers of any shape; the result has one axis more, of `embedding_dim`. Rows longer than `max_norm` under the
    `norm_type`-norm are shortened in place as they are looked up. `scale_grad_by_freq` divides a row's gradient by how
    often it is looked up. Gradients are dense; with `sparse` the weight remembers which rows they came to, for
    `optim.SparseAdam`. Fails with LayerError for an index outside.

    Example:
        >>> table = helix.nn.Embedding.from_pretrained(helix.tensor([[1.0, 2.0], [3.0, 4.0]]))
        >>> table(helix.tensor([1, 0, 1])).tolist()
        [[3.0, 4.0], [1.0, 2.0], [3.0, 4.0]]
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        ways = (max_norm, norm_type, scale_grad_by_freq, sparse)
        self._table(num_embeddings, embedding_dim, padding_idx, *ways, _weight, device, dtype)
        self.weight.requires_grad_(not _freeze)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer over the given rows, which are not trained unless `freeze=False`."""
        rows, dim = embeddings.shape
        return cls(
            rows, dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight=embeddings, _freeze=freeze
        )

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}" + "".join(self._shown().values())


class EmbeddingBag(_Table):
    """The sum, mean or largest values of the rows of `weight` for each bag of indices.

    input: (bags, length), or all bags on one axis with their first positions in `offsets`. The other keywords are those of
    Embedding; `per_sample_weights` (mode 'sum') is one factor for each index.

    Example:
        >>> table = helix.nn.EmbeddingBag.from_pretrained(helix.tensor([[1.0], [2.0], [4.0]]), mode="sum")
        >>> table(helix.tensor([0, 2, 1, 1]), helix.tensor([0, 2])).tolist()
        [[5.0], [4.0]]
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device=None,
        dtype=None,
    ) -> None:
        if mode not in ("sum", "mean", "max"):
            raise ValueError(f"EmbeddingBag: mode must be 'sum', 'mean' or 'max', got {mode!r}")
        self.mode, self.include_last_offset = mode, include_last_offset
        ways = (max_norm, norm_type, scale_grad_by_freq, sparse)
        self._table(num_embeddings, embedding_dim, padding_idx, *ways, _weight, device, dtype)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A layer over the given rows, which are not trained unless `freeze=False`."""
        rows, dim = embeddings.shape
        layer = cls(
            rows,
            dim,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            _weight=embeddings,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
        layer.weight.requires_grad_(not freeze)
        return layer

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        shown = self._shown()
        ways = shown["max_norm"] + shown["norm_type"] + shown["scale_grad_by_freq"]
        return f"{self.num_embeddings}, {self.embedding_dim}{ways}, mode={self.mode!r}{shown['padding_idx']}"
