"""Callback: what a user of Trainer can hang into a run."""

from __future__ import annotations

from typing import Any


class Callback:
    """Override what you need. `values` are the numbers of the step or epoch; `trainer.stop()` ends the run."""

    def on_start(self, trainer, session, values: dict[str, Any]) -> None:
        pass

    def on_step(self, trainer, session, values: dict[str, Any]) -> None:
        pass

    def on_epoch(self, trainer, session, values: dict[str, Any]) -> None:
        pass

    def on_end(self, trainer, session, values: dict[str, Any]) -> None:
        pass
