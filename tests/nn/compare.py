"""Brings helix and torch side by side."""

from __future__ import annotations

import numpy as np
import torch

import helix as hx

torch.set_num_threads(1)  # tests are small, and its threads wait by spinning


def to_helix(tensor: torch.Tensor) -> hx.Tensor:
    return hx.tensor(tensor.detach().numpy())


def assert_close(mine, theirs, rtol: float = 1e-5, atol: float = 1e-5, what: str = "") -> None:
    np.testing.assert_allclose(
        mine.detach().numpy(), theirs.detach().numpy(), rtol=rtol, atol=atol, equal_nan=True, err_msg=what
    )


def copy_weights(mine: hx.nn.Module, theirs: torch.nn.Module) -> None:
    """torch's state into a helix module; fails unless names and shapes are the same."""
    mine.load_state_dict({name: to_helix(value) for name, value in theirs.state_dict().items()})
