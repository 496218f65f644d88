"""Trainer: fits a model to a dataset, and can stop and go on at any step without changing a bit of the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from copy import copy
from pathlib import Path
from typing import Any

from .. import cat, manual_seed
from .._core import device as device_of
from ..autograd import no_grad
from ..data import Dataset, Loader, load
from ..energy import Energy
from ..errors import ConfigError
from ..metrics import MeanOf
from ..nn import Module
from ..optim.lr_scheduler import ReduceLROnPlateau
from ..tensor import Tensor
from . import checkpoint, page, profiling
from .average import Average
from .callback import Callback, EarlyStopping, Monitor
from .folder import RunFolder, environment
from .gradients import Gradients
from .losses import loss_named, metrics_named
from .meter import Meter
from .progress import left, progress_named, words
from .session import Session
from .settings import Settings, make_optimizer, make_schedule
from .signals import Interrupted, StopRequest
from .tensorboard import TensorBoard


class Trainer:
    """`Trainer(model, epochs=5).fit(train, test)`.

    Args:
        model: the module to train.
        loss: "auto" (by task), a name, or a function of (output, target).
        optimizer: a name ("adamw", "sgd", "lion", …), a function of named parameters, or an Optimizer.
        metrics: names, `helix.metrics` or functions of (output, target), in a list or a mapping of names to them; by
            default those that suit the task. Values are exact over an epoch, however it is batched.
        callbacks: `Callback` objects.
        settings: see `Settings`: epochs, batch_size, lr, schedule, seed, device, run_dir, checkpoint_every, …
            Without run_dir nothing is written to disk.
    """

    def __init__(
        self,
        model: Module,
        loss: str | Callable[..., Tensor] = "auto",
        optimizer: Any = "adamw",
        metrics: Any = None,
        callbacks: Iterable[Callback] = (),
        **settings: Any,
    ) -> None:
        self.model, self.loss, self.optimizer, self.metrics = model, loss, optimizer, metrics
        self.callbacks = tuple(callbacks)
        self.settings = Settings.of(settings)
        self.device = device_of("cpu" if self.settings.device == "auto" else self.settings.device)
        self.folder = RunFolder(self.settings.run_dir) if self.settings.run_dir is not None else None
        self.progress = progress_named(self.settings.progress)
        self.history: list[dict[str, Any]] = []
        self._stop_asked = False
        self._average: Average | None = None

    # ---- fitting -------------------------------------------------------------------------------------------

    def fit(self, data: Any, test: Any = None, resume: bool = False) -> dict[str, Any]:
        """Trains for the epochs set, testing after each; returns the last epoch's record.

        `data` and `test` are what `helix.data.load` takes, or a Loader, whose batches are taken as they are, from its first epoch on.
        With `resume` the newest good checkpoint below run_dir is taken up first.
        """
        if resume and self.folder is None:
            raise ValueError("fit(resume=True) needs the run_dir that holds the checkpoints")
        test = test if test is None or isinstance(test, Loader) else load(test)
        session = self._session(data, tested=test is not None)
        with ExitStack() as closing:
            if self.folder is not None:
                self._take(self.folder, session, resume, closing)
            closing.callback(self.progress.close)
            for callback in session.callbacks:
                closing.callback(callback.close)
            with StopRequest() as stop:
                self._run(session, test, stop)
        if self.folder is not None and self.history:
            report = page.of_training(self, self.folder)
            profiled = profiling.section(self.folder.path)
            self.folder.write("report.html", page.with_section(report, profiling.HEADING, profiled))
        return self.history[-1] if self.history else {}

    def _take(self, folder: RunFolder, session: Session, resume: bool, closing: ExitStack) -> None:
        """Holds the folder, then looks at what it has: another process may have trained there until now."""
        folder.take()
        closing.callback(folder.close)
        if not resume and checkpoint.steps(folder.checkpoints):
            raise ConfigError(
                f"HX3106 {str(folder.path)!r} already holds checkpoints, which a new run would be mixed with. "
                "Pass resume=True to go on with them, or another run_dir."
            )
        if resume:
            session.restore(folder.checkpoints)
            self._mark_best(session)
        folder.open(session.step if resume else None, session.epoch)
        folder.write_json("env.json", {**environment(self.device), "seed": self.settings.seed})
        self.history = [r for r in folder.records() if r["event"] == "epoch"]

    def stop(self) -> None:
        """Asks the running fit to end after this step; for callbacks."""
        self._stop_asked = True

    def _session(self, data, tested: bool) -> Session:
        settings = self.settings
        manual_seed(settings.seed + 1)  # the model was made from the stream of `seed` itself
        self.model.to(self.device)
        loader = batches_of(data, settings.batch_size, shuffle=True, seed=settings.seed, workers=settings.workers)
        task = loader.dataset.task
        self._loss = loss_named(self.loss, task, settings.label_smoothing)
        steps = -(-len(loader) // settings.accumulate)
        total = min(settings.epochs * steps, settings.max_steps or settings.epochs * steps)
        if total == 0:
            raise ValueError("Trainer.fit: the training data has no samples")
        optimizer = make_optimizer(self.optimizer, self.model, settings)
        schedule = make_schedule(optimizer, settings, steps, total)
        self._average = Average(self.model, settings.ema) if settings.ema is not None else None
        self._keeps_best = tested or settings.monitor is not None or settings.patience is not None
        self._monitor = self._make_monitor(tested)
        meter = Meter(metrics_named(self.metrics, task))
        gradients = Gradients(self.model, optimizer, lambda *pair: self._loss(*pair), meter.take, settings, self.device)
        callbacks = (*self.callbacks, self._monitor)
        if settings.tensorboard and self.folder is not None:
            callbacks += (TensorBoard(self.folder.path / "tensorboard", settings.log_every),)
        return Session(self.model, optimizer, schedule, loader, total, gradients, meter, self._average, callbacks)

    def _make_monitor(self, tested: bool) -> Monitor:
        monitor = self.settings.monitor or ("test_loss" if tested else "train_loss")
        if self.settings.patience is None:
            return Monitor(monitor)
        return EarlyStopping(monitor, self.settings.patience)

    def _run(self, session: Session, test: Dataset | Loader | None, stop: StopRequest) -> None:
        self._stop_asked = False
        self.progress.start(session.total_steps, session.step)
        self._tell("on_start", session, {})
        if session.step:
            self._say(f"resuming after step {session.step} of {session.total_steps}")
        while not self._stop_asked and (session.step < session.total_steps or session.loader.position):
            self._epoch(session, stop)
            self._end_epoch(session, test)
        if self.folder is not None and session.saved_step != session.step:
            session.save(self.folder.checkpoints, self.settings.keep)
        self._tell("on_end", session, self.history[-1] if self.history else {})

    def _epoch(self, session: Session, stop: StopRequest) -> None:
        every = self.settings.checkpoint_every
        started, samples, energy, first = time.perf_counter(), 0, Energy(), session.step
        self.model.train()
        for batches in _groups(session, self.settings.accumulate):
            values = self._step(session, batches)
            samples += sum(len(batch[0]) for batch in batches)
            self.progress.step(session.step, session.epoch + 1, values)
            if session.step % self.settings.log_every == 0:
                energy.joules()  # the counters begin again within minutes
                self._record({"event": "step", "step": session.step, "epoch": session.epoch + 1, **values})
            if every and session.step % every == 0 and self.folder is not None:
                session.save(self.folder.checkpoints, self.settings.keep)
            if stop.signal_number is not None:
                self._interrupt(session, stop.signal_number)
            if session.step >= session.total_steps or self._stop_asked:
                _finish(session.loader)
                break
        self._joules = energy.joules()
        self._pace = (time.perf_counter() - started) / max(1, session.step - first)
        self._speed = samples / max(1e-9, time.perf_counter() - started)

    def _step(self, session: Session, batches: list[tuple[Tensor, ...]]) -> dict[str, float]:
        skipped = session.gradients.skipped
        values = session.gradients.step(batches, session.check_loss)
        values |= session.meter.now()
        lr = session.optimizer.param_groups[0]["lr"]
        if not isinstance(session.schedule, ReduceLROnPlateau):
            session.schedule.step()
        session.step += 1
        if session.gradients.skipped == skipped:
            session.meter.add(values, sum(len(batch[-1]) for batch in batches))
            if self._average is not None:
                self._average.update()
        else:
            session.meter.drop()
            values["skipped"] = float(session.gradients.skipped)
        values["lr"] = lr
        self._tell("on_step", session, values)
        return values

    def _end_epoch(self, session: Session, test: Dataset | Loader | None) -> None:
        epoch = session.epoch
        record: dict[str, Any] = {
            "event": "epoch",
            "step": session.step,
            "epoch": epoch,
            **{f"train_{name}": value for name, value in session.meter.means().items()},
            "samples_per_second": round(self._speed, 1),
            **({} if self._joules is None else {"joules": round(self._joules, 3)}),
        }
        if test is not None:
            record |= {f"test_{name}": value for name, value in self.test(test).items()}
        if isinstance(session.schedule, ReduceLROnPlateau):
            session.schedule.step(record.get("test_loss", record["train_loss"]))
        session.meter.reset()
        self.history.append(record)
        self._record(record)
        shown = {name: value for name, value in record.items() if name.startswith(("train_", "test_"))}
        self._say(
            f"epoch {epoch}/{self.settings.epochs}  step {session.step}  {words(shown)}  {self._speed:.0f} samples/s"
            f"{left(session.total_steps - session.step, self._pace)}"
        )
        self._tell("on_epoch", session, record)
        if self.folder is None:
            return
        better = self._keeps_best and self._monitor.is_best_now
        if session.saved_step != session.step and (self.settings.checkpoint_every is None or better):
            session.save(self.folder.checkpoints, self.settings.keep)
        self._mark_best(session)

    def _mark_best(self, session: Session) -> None:
        """Writes BEST when the checkpoint of this step is that of the best epoch."""
        monitor, at_end = self._monitor, session.loader.position == 0
        if (
            self.folder is None
            or not self._keeps_best
            or monitor.best is None
            or not at_end
            or monitor.best_epoch != session.epoch
        ):
            return
        path = self.folder.checkpoints / f"step-{session.step:06d}"
        if session.saved_step == session.step:
            checkpoint.mark_best(self.folder.checkpoints, path, monitor.monitor, monitor.best)

    def _interrupt(self, session: Session, number: int) -> None:
        if self.folder is not None:
            if session.saved_step != session.step:
                session.save(self.folder.checkpoints, self.settings.keep)
            message = f"interrupted safely at step {session.step}; checkpoint saved in {self.folder.path}"
        else:
            message = f"interrupted at step {session.step}; nothing was saved, there is no run_dir"
        self._say(message)
        raise Interrupted(number, message)

    # ---- using ---------------------------------------------------------------------------------------------

    def evaluate(self, data, batch_size: int = 256) -> dict[str, float]:
        """Mean loss and metrics over a dataset, in eval mode and without gradients."""
        batches = batches_of(data, batch_size)
        task = batches.dataset.task
        loss = loss_named(self.loss, task, self.settings.label_smoothing)
        measured = {"loss": MeanOf(loss), **metrics_named(self.metrics, task)}
        for *inputs, target in batches:
            target = target.to(self.device)
            with no_grad():
                output = self.model.infer(*(x.to(self.device) for x in inputs))
                for metric in measured.values():
                    metric.update(output, target)
        return {name: metric.compute().item() for name, metric in measured.items()}

    validate = evaluate

    def test(self, data, batch_size: int = 256) -> dict[str, float]:
        """`evaluate` with the averaged weights, where `ema` keeps some."""
        if self._average is None:
            return self.evaluate(data, batch_size)
        with self._average.in_model():
            return self.evaluate(data, batch_size)

    def predict(self, inputs, batch_size: int = 256) -> Tensor:
        """The model's outputs for a batch of inputs, or for all samples of a dataset, in eval mode."""
        if isinstance(inputs, Tensor):
            return self.model.infer(inputs.to(self.device), batch_size=batch_size)
        batches = batches_of(inputs, batch_size)
        return cat([self.model.infer(*(x.to(self.device) for x in given)) for *given, _ in batches])

    def load_newest(self) -> int:
        """Puts the weights of the newest good checkpoint into the model; returns its step."""
        return self._load(checkpoint.newest(self._checkpoints("load_newest")))

    def load_best(self) -> int:
        """Puts the weights of the best epoch into the model, averaged where `ema` keeps an average; returns its step. Those of
        the newest checkpoint where no epoch is the best."""
        return self._load(checkpoint.chosen(self._checkpoints("load_best")))

    def _checkpoints(self, asker: str) -> Path:
        if self.folder is None:
            raise ValueError(f"{asker} needs the run_dir that holds the checkpoints")
        return self.folder.checkpoints

    def _load(self, path: Path) -> int:
        saved = checkpoint.load(path)
        self.model.load_state_dict(saved.average or saved.model)
        return saved.step

    # ---- telling -------------------------------------------------------------------------------------------

    def _record(self, values: dict[str, Any]) -> None:
        if self.folder is not None:
            self.folder.record(values)

    def _say(self, text: str) -> None:
        self.progress.line(text)
        if self.folder is not None:
            self.folder.log(text)

    def _tell(self, event: str, session: Session, values: dict[str, Any]) -> None:
        for callback in session.callbacks:
            getattr(callback, event)(self, session, values)


def batches_of(data, batch_size: int, **options: Any) -> Loader:
    """A loader over data, or a Loader of the user's from its first batch on."""
    if not isinstance(data, Loader):
        return Loader(load(data), batch_size, **options)
    again = copy(data)
    again.epoch = again.position = 0
    return again


def _groups(session: Session, size: int) -> Iterator[list[tuple[Tensor, ...]]]:
    """The batches of each step, `size` of them or what is left of the epoch."""
    if session.step >= session.total_steps:
        _finish(session.loader)
        return
    group = []
    for batch in session.loader:
        group.append(batch)
        if len(group) == size or session.loader.position == len(session.loader):
            yield group
            group = []


def _finish(loader: Loader) -> tuple:
    """Ends the loader's epoch here, as if its last batch had been given."""
    loader.epoch += 1
    loader.position = 0
    return ()
