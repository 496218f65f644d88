"""The 1,797 handwritten digits, 8x8 grey values, that scikit-learn carries (UCI ML repository, 1998)."""

from __future__ import annotations

from .. import float32, int64
from .dataset import TensorDataset, as_tensor
from .extras import needed


def digits() -> TensorDataset:
    """(1, 8, 8) images with values in [0, 1], and their labels 0-9. Needs scikit-learn: the extra `demo`."""
    bunch = needed("sklearn.datasets", "demo", "helix.data.digits").load_digits()
    images = as_tensor(bunch.images).to(float32).reshape(-1, 1, 8, 8) / 16.0
    return TensorDataset(
        images,
        as_tensor(bunch.target).to(int64),
        task="classification",
        classes=[str(name) for name in bunch.target_names],
    )
