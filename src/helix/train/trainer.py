"""Trainer: fits a model to a dataset, and can stop and go on at any step without changing a bit of the result."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from .. import manual_seed
from .._core import device as device_of
from ..autograd import no_grad
from ..data import Dataset, Loader, load
from ..errors import ConfigError
from ..nn import Module
from ..nn.utils import clip_grad_norm_
from ..tensor import Tensor
from . import checkpoint
from .callback import Callback
from .folder import RunFolder, environment
from .losses import loss_named, metrics_named
from .meter import Meter
from .progress import progress_named, words
from .session import Session
from .settings import Settings, make_optimizer, make_schedule
from .signals import Interrupted, StopRequest


class Trainer:
    """`Trainer(model, epochs=5).fit(train, test)`.

    Args:
        model: the module to train.
        loss: "auto" (by task), a name, or a function of (output, target).
        optimizer: "adamw", "adam", "sgd", a function of named parameters, or an Optimizer.
        metrics: names or functions; by default those that suit the task.
        callbacks: `Callback` objects.
        settings: see `Settings`: epochs, batch_size, lr, schedule, seed, device, run_dir, checkpoint_every, …
            Without run_dir nothing is written to disk.
    """

    def __init__(
        self,
        model: Module,
        loss="auto",
        optimizer="adamw",
        metrics=None,
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
        self._task = ""
        self._stop_asked = False

    # ---- fitting -------------------------------------------------------------------------------------------

    def fit(self, data, test=None, resume: bool = False) -> dict[str, Any]:
        """Trains for the epochs set, testing after each; returns the last epoch's record.

        With `resume` the newest good checkpoint below run_dir is taken up first.
        """
        if self.folder is not None and not resume and checkpoint.steps(self.folder.checkpoints):
            raise ConfigError(
                f"HX3106 {str(self.folder.path)!r} already holds checkpoints, which a new run would be mixed with. "
                "Pass resume=True to go on with them, or another run_dir."
            )
        session = self._session(load(data))
        test = load(test) if test is not None else None
        if resume:
            if self.folder is None:
                raise ValueError("fit(resume=True) needs the run_dir that holds the checkpoints")
            session.restore(self.folder.checkpoints)
        if self.folder is not None:
            self.folder.open(resume_at=session.step if resume else None)
            self.folder.write_json("env.json", environment(self.device))
            self.history = [r for r in self.folder.records() if r["event"] == "epoch"]
        try:
            with StopRequest() as stop:
                self._run(session, test, stop)
        finally:
            self.progress.close()
            if self.folder is not None:
                self.folder.close()
        return self.history[-1] if self.history else {}

    def stop(self) -> None:
        """Asks the running fit to end after this step; for callbacks."""
        self._stop_asked = True

    def _session(self, data: Dataset) -> Session:
        settings = self.settings
        manual_seed(settings.seed + 1)  # the model was made from the stream of `seed` itself
        self.model.to(self.device)
        self._task = data.task
        self._loss = loss_named(self.loss, data.task, settings.label_smoothing)
        self._metrics = metrics_named(self.metrics, data.task)
        loader = Loader(data, settings.batch_size, shuffle=True, seed=settings.seed)
        total = min(settings.epochs * len(loader), settings.max_steps or settings.epochs * len(loader))
        optimizer = make_optimizer(self.optimizer, self.model, settings)
        return Session(self.model, optimizer, make_schedule(optimizer, settings, len(loader), total), loader, total)

    def _run(self, session: Session, test: Dataset | None, stop: StopRequest) -> None:
        self._stop_asked = False
        self.progress.start(session.total_steps, session.step)
        self._tell("on_start", session, {})
        if session.step:
            self._say(f"resuming after step {session.step} of {session.total_steps}")
        while session.step < session.total_steps or session.loader.position:
            self._epoch(session, stop)
            self._end_epoch(session, test)
            if self._stop_asked:
                break
        if self.folder is not None and session.saved_step != session.step:
            session.save(self.folder.checkpoints, self.settings.keep)
        self._tell("on_end", session, self.history[-1] if self.history else {})

    def _epoch(self, session: Session, stop: StopRequest) -> None:
        every = self.settings.checkpoint_every
        started, samples = time.perf_counter(), 0
        self.model.train()
        for batch in session.loader if session.step < session.total_steps else _finish(session.loader):
            values = self._step(session, batch)
            samples += len(batch[0])
            self.progress.step(session.step, session.epoch + 1, values)
            if session.step % self.settings.log_every == 0:
                self._record({"event": "step", "step": session.step, "epoch": session.epoch + 1, **values})
            if every and session.step % every == 0 and self.folder is not None:
                session.save(self.folder.checkpoints, self.settings.keep)
            if stop.signal_number is not None:
                self._interrupt(session, stop.signal_number)
            if session.step >= session.total_steps or self._stop_asked:
                _finish(session.loader)
                break
        self._speed = samples / max(1e-9, time.perf_counter() - started)

    def _step(self, session: Session, batch: tuple[Tensor, ...]) -> dict[str, float]:
        *inputs, target = (tensor.to(self.device) for tensor in batch)
        output = self.model(*inputs)
        loss = self._loss(output, target)
        value = loss.item()
        session.check_loss(value)
        session.optimizer.zero_grad()
        loss.backward()
        if self.settings.grad_clip is not None:
            clip_grad_norm_(self.model.parameters(), self.settings.grad_clip)
        session.optimizer.step()
        lr = session.optimizer.param_groups[0]["lr"]
        if self.settings.schedule != "plateau":
            session.schedule.step()
        session.step += 1
        values = {"loss": value, **self._measure(output, target)}
        session.meter.add(values, len(target))
        values["lr"] = lr
        self._tell("on_step", session, values)
        return values

    def _measure(self, output: Tensor, target: Tensor) -> dict[str, float]:
        with no_grad():
            return {name: metric(output.detach(), target).item() for name, metric in self._metrics.items()}

    def _end_epoch(self, session: Session, test: Dataset | None) -> None:
        epoch = session.epoch
        record: dict[str, Any] = {
            "event": "epoch",
            "step": session.step,
            "epoch": epoch,
            **{f"train_{name}": value for name, value in session.meter.means().items()},
            "samples_per_second": round(self._speed, 1),
        }
        if test is not None:
            record |= {f"test_{name}": value for name, value in self.evaluate(test).items()}
        if self.settings.schedule == "plateau":
            session.schedule.step(record.get("test_loss", record["train_loss"]))
        session.meter.reset()
        self.history.append(record)
        self._record(record)
        shown = {name: value for name, value in record.items() if name.startswith(("train_", "test_"))}
        self._say(
            f"epoch {epoch}/{self.settings.epochs}  step {session.step}  {words(shown)}  {self._speed:.0f} samples/s"
        )
        self._tell("on_epoch", session, record)
        if self.folder is not None and self.settings.checkpoint_every is None:
            session.save(self.folder.checkpoints, self.settings.keep)

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
        dataset = load(data)
        loss = loss_named(self.loss, dataset.task, self.settings.label_smoothing)
        metrics = metrics_named(self.metrics, dataset.task)
        meter = Meter()
        for *inputs, target in Loader(dataset, batch_size):
            target = target.to(self.device)
            with no_grad():
                output = self.model.infer(*(x.to(self.device) for x in inputs))
                values = {"loss": loss(output, target).item()}
                values |= {name: metric(output, target).item() for name, metric in metrics.items()}
            meter.add(values, len(target))
        return meter.means()

    def predict(self, inputs: Tensor, batch_size: int = 256) -> Tensor:
        """The model's outputs for a batch of inputs, in eval mode."""
        return self.model.infer(inputs.to(self.device), batch_size=batch_size)

    def load_newest(self) -> int:
        """Puts the weights of the newest good checkpoint into the model; returns its step."""
        if self.folder is None:
            raise ValueError("load_newest needs the run_dir that holds the checkpoints")
        saved = checkpoint.load(checkpoint.newest(self.folder.checkpoints))
        self.model.load_state_dict(saved.model)
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
        for callback in self.callbacks:
            getattr(callback, event)(self, session, values)


def _finish(loader: Loader) -> tuple:
    """Ends the loader's epoch here, as if its last batch had been given."""
    loader.epoch += 1
    loader.position = 0
    return ()
