"""Data and a model for runs in processes of their own. HELIX_TEST_SIGNAL="n,s" sends the process signal s in step n."""

from __future__ import annotations

import os

import helix as hx
from helix import data, nn


def blobs() -> data.TensorDataset:
    """Three clouds of points in four dimensions."""
    generator = hx.Generator()
    generator.manual_seed(7)
    labels = hx.arange(90) % 3
    points = hx.randn(90, 4, generator=generator) + labels.reshape(90, 1).to(hx.float32) * 2.0
    return data.TensorDataset(points, labels, task="classification", classes=("a", "b", "c"))


class Deadly(nn.Sequential):
    calls = 0

    def forward(self, x):
        if self.training:
            Deadly.calls += 1
            at, number = (int(v) for v in os.environ.get("HELIX_TEST_SIGNAL", "0,9").split(","))
            if Deadly.calls == at:
                os.kill(os.getpid(), number)
        return super().forward(x)


def model(info: data.DataInfo) -> nn.Module:
    """Batch norm and dropout, so that buffers and random numbers must be right too."""
    return Deadly(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, info.outputs))
