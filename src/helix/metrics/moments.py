"""Means and moments about them of several series at once, joined without cancellation: Chan, Golub and LeVeque, "Updating
formulae and a pairwise algorithm for computing sample variances", 1979."""

from __future__ import annotations

from .. import cat, zeros_like
from ..errors import ShapeError
from ..tensor import Tensor
from .metric import Metric


class Moments(Metric):
    """Number, means and the matrix of second moments of `series` series, each of all elements of a batch."""

    def __init__(self, series: int) -> None:
        super().__init__()
        self.series = series
        self.add_sum("moments", (1 + series + series * series,))

    def of_series(self, *series: Tensor) -> dict[str, Tensor]:
        from .. import stack

        shapes = {tuple(x.shape) for x in series}
        if len(shapes) > 1:
            kind = type(self).__name__
            raise ShapeError(
                f"HX1001 {kind}: output and target must have one shape, got {' and '.join(map(str, sorted(shapes)))}.",
                op=kind,
                code="HX1001",
            )
        rows = stack([x.double().reshape(-1) for x in series])
        count = zeros_like(rows[:1, :1].sum()) + rows.shape[1]
        means = rows.sum(1) / count.clamp(min=1)
        apart = rows - means.unsqueeze(1)
        return {"moments": cat([count.reshape(1), means, (apart @ apart.T).reshape(-1)])}

    def joined(self, name: str, before: Tensor, added: Tensor) -> Tensor:
        (n, means, products), (m, others, more) = self._parts(before), self._parts(added)
        total = (n + m).clamp(min=1)
        apart = others - means
        outer = apart.unsqueeze(1) * apart.unsqueeze(0) * (n * m / total)
        joined = means + apart * (m / total)
        return cat([(n + m).reshape(1), joined, (products + more + outer).reshape(-1)])

    def _parts(self, moments: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        k = self.series
        return moments[0], moments[1 : 1 + k], moments[1 + k :].reshape(k, k)

    def counted(self) -> tuple[Tensor, Tensor, Tensor]:
        """The number of elements, the means, and the sums of products of deviations from them."""
        return self._parts(self.moments)
