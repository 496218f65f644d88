"""TensorBoard: a callback that writes a run's numbers as events, through the package tensorboardX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..data.extras import needed
from .callback import Callback


class TensorBoard(Callback):
    """Numbers of every `every`-th step, and of the epochs, as scalars below `folder`. Needs the extra `tensorboard`."""

    def __init__(self, folder: str | Path, every: int = 20) -> None:
        self.folder, self.every = Path(folder), every
        self._package = needed("tensorboardX", "tensorboard", "helix.train.TensorBoard")
        self._writer: Any = None

    def on_start(self, trainer, session, values: dict[str, Any]) -> None:
        self._writer = self._package.SummaryWriter(
            str(self.folder), purge_step=session.step + 1 if session.step else None
        )

    def on_step(self, trainer, session, values: dict[str, Any]) -> None:
        if session.step % self.every == 0:
            self._write("step", values, session.step)

    def on_epoch(self, trainer, session, values: dict[str, Any]) -> None:
        for prefix in ("train", "test"):
            part = {k.removeprefix(prefix + "_"): v for k, v in values.items() if k.startswith(prefix + "_")}
            self._write(prefix, part, session.step)
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _write(self, group: str, values: dict[str, Any], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)
