"""What a training shows while it runs: a bar on a terminal, one line an epoch elsewhere, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress


def words(values: dict[str, float]) -> str:
    """{"loss": 0.61234, "accuracy": 0.83} -> "loss 0.612  accuracy 0.830" """
    return "  ".join(
        f"{name.replace('_', ' ')} {value:.4g}"
        if abs(value) < 1e-3 or abs(value) >= 100
        else f"{name.replace('_', ' ')} {value:.4f}"
        for name, value in values.items()
    )


def left(steps: int, pace: float) -> str:
    """The time that so many steps of `pace` seconds will take; nothing for less than a second."""
    seconds = round(steps * pace)
    if seconds < 1:
        return ""
    hours, rest = divmod(seconds, 3600)
    return f"  {hours}:{rest // 60:02}:{rest % 60:02} left" if hours else f"  {rest // 60}:{rest % 60:02} left"


class Quiet:
    def start(self, total_steps: int, done: int) -> None:
        pass

    def step(self, step: int, epoch: int, values: dict[str, float]) -> None:
        pass

    def line(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class Lines(Quiet):
    """Plain lines, for logs and pipes. A reader that goes away does not end the training: the log has the lines too."""

    def line(self, text: str) -> None:
        with suppress(OSError):
            print(text, file=sys.stderr, flush=True)


class Bar(Quiet):
    """A bar of all steps, redrawn in place, with lines above it."""

    def start(self, total_steps: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[values]}"),
            _rate_column(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("training", total=total_steps, completed=done, values="")
        self._bar.start()

    def step(self, step: int, epoch: int, values: dict[str, float]) -> None:
        with _WHOEVER_READS:
            self._bar.update(self._task, completed=step, description=f"epoch {epoch}", values=words(values))

    def line(self, text: str) -> None:
        with _WHOEVER_READS:
            if hasattr(self, "_bar"):
                self._bar.console.print(text, highlight=False, markup=False)
            else:
                print(text, file=sys.stderr)

    def close(self) -> None:
        if hasattr(self, "_bar"):
            with _WHOEVER_READS:
                self._bar.stop()


_WHOEVER_READS = suppress(OSError, SystemExit)  # rich ends the process when a pipe is broken


def _rate_column():
    """Steps a second, once there are some."""
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task) -> Text:
            return Text(f"{task.speed:.1f} steps/s" if task.speed else "")

    return Rate()


def progress_named(name: str | Quiet) -> Quiet:
    """ "auto" is a bar on a terminal and lines elsewhere; "lines", "bar" and "none" are themselves."""
    if isinstance(name, Quiet):
        return name
    if name == "auto":
        name = "bar" if sys.stderr.isatty() else "lines"
    kinds: dict[str, Callable[[], Quiet]] = {"bar": Bar, "lines": Lines, "none": Quiet}
    if name not in kinds:
        raise ValueError(f"progress must be auto, {', '.join(kinds)}; got {name!r}")
    return kinds[name]()
