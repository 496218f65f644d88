"""Run: a training on disk; starting one, going on with one, and using what it learned."""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from .. import manual_seed
from ..data import DataInfo, Dataset, describe, load, random_split, stratified_split
from ..data.folders import kind_of
from ..data.prepared import prepared, refuse_other_kind
from ..errors import ConfigError
from ..models.build import build
from ..nn import Module
from . import checkpoint, report
from . import config as configuration
from .config import Config
from .folder import RunFolder
from .losses import metrics_named
from .trainer import Trainer

STDLIB = "stdlib"
PASSED_ON = (
    "accumulate", "micro_batch", "precision", "grad_clip", "clip_norm", "clip_value", "nonfinite", "ema", "compress",
    "compress_options", "patience", "monitor", "workers", "tensorboard", "compile",
)  # fmt: skip


class Run:
    """`runs/<name>`: its configuration, its numbers and, when asked for, its model.

    `checkpoint` says whose weights the model has: "best", "newest", a step, or "auto", the best epoch's where one is
    tracked (runs that are tested do) and else the newest.
    """

    def __init__(self, path: str | Path, checkpoint: str | int = "auto") -> None:
        self.folder = RunFolder(path)
        self.path, self.wanted = self.folder.path, checkpoint
        if not (self.path / "config.toml").exists():
            raise ConfigError(f"HX3103 {str(path)!r} is not the folder of a run: it has no config.toml.", code="HX3103")
        self.config = configuration.read(self.path / "config.toml")
        self.info = msgspec.convert(self.folder.read_json("data.json"), DataInfo)

    @cached_property
    def checkpoint(self) -> Path:
        """The folder of the checkpoint that the model is of."""
        return checkpoint.chosen(self.folder.checkpoints, self.wanted)

    @cached_property
    def model(self) -> Module:
        """The model with the weights of the checkpoint, in eval mode; averaged ones where `ema` keeps some."""
        model = build(self.config.model.kind, self.info, self.config.model.options)
        saved = checkpoint.load(self.checkpoint)
        model.load_state_dict(saved.average or saved.model)
        return model.eval()

    @property
    def summary(self) -> dict[str, Any]:
        return self.folder.read_json("summary.json")

    @property
    def history(self) -> list[dict[str, Any]]:
        """The record of each epoch."""
        return [record for record in self.folder.records() if record["event"] == "epoch"]

    def evaluate(self, data=None) -> dict[str, float]:
        """Loss and metrics on `data`, which is what `helix.data.load` takes; without it, on the samples that the run held back."""
        test = split(self.config, prepared_source(self.config))[1] if data is None else self._other(data)
        return trainer_for(self.config, self.model, None, "none").evaluate(test)

    def _other(self, data) -> Dataset:
        """Other data, read as the run's own."""
        dataset = self._opened(data) if isinstance(data, (str, Path)) else load(data)
        refuse_other_kind(dataset, self.info)
        return prepared(dataset, self.info.scale) if is_built(self.config) else dataset

    def _opened(self, source: str | Path) -> Dataset:
        """A file or folder by the run's options: a table with its columns and scaling, arrays with targets of their own."""
        path, options = Path(source), _options(self.config)
        kind = kind_of(path) if path.exists() and options["kind"] == "auto" else options["kind"]
        if kind == "table" and self.info.columns:
            options["like"] = self.info
        if path.suffix.lower() == ".npy" and not _beside(path, Path(self.config.data.source), options.get("target")):
            options.pop("target", None)
        return _load(source, options)

    def predict(self, source, **options) -> list[dict[str, Any]] | bytes:
        """What the model says of an image file, a .csv or .npy file, an array, a text or .txt file, or the beginning of a text."""
        from .predict import predict

        return predict(self, source, **options)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


def open_source(config: Config) -> Dataset:
    """The dataset that [data] names."""
    source = config.data.source
    if source == STDLIB:
        import sysconfig

        source = sysconfig.get_path("stdlib")
    return _load(source, _options(config))


def _options(config: Config) -> dict[str, Any]:
    """What [data] says of how to read."""
    options = {"kind": config.data.kind, **config.data.options}
    return (
        {"pattern": "*.py", "limit": 4_000_000, **options, "kind": "text"} if config.data.source == STDLIB else options
    )


def _load(source: str | Path, options: dict[str, Any]) -> Dataset:
    try:
        return load(source, **options)
    except TypeError as error:
        raise ConfigError(f"HX3101 data.options: {error}", code="HX3101") from error


def _beside(path: Path, source: Path, target: str | None) -> bool:
    """Whether the file of targets that the run names also lies beside other inputs, in a folder of their own."""
    elsewhere = path.resolve().parent != source.resolve().parent
    return target is not None and not Path(target).is_absolute() and elsewhere and (path.parent / target).exists()


def is_built(config: Config) -> bool:
    """Whether helix makes the model, which then decides what its inputs look like."""
    return ":" not in config.model.kind


def prepared_source(config: Config, dataset: Dataset | None = None, model: Module | None = None) -> Dataset:
    """The dataset that is given or that [data] names, as a model that helix makes takes it."""
    dataset = dataset if dataset is not None else open_source(config)
    return prepared(dataset) if model is None and is_built(config) else dataset


def split(config: Config, dataset: Dataset) -> tuple[Dataset, Dataset]:
    """(training, test), by class where there are classes."""
    divide = stratified_split if describe(dataset).task == "classification" else random_split
    return divide(dataset, config.data.test_fraction, config.seed)


def trainer_for(config: Config, model: Module, run_dir: Path | None, progress) -> Trainer:
    o, s, t = config.optimizer, config.schedule, config.train
    try:
        metrics_named(t.metrics or (), "")
    except ValueError as error:
        raise ConfigError(f"HX3101 train.{error}", code="HX3101") from error
    return Trainer(
        model,
        t.loss,
        o.name,
        t.metrics,
        epochs=t.epochs or 1,
        max_steps=t.max_steps,
        batch_size=t.batch_size or 64,
        lr=o.lr,
        weight_decay=o.weight_decay,
        momentum=o.momentum,
        optimizer_options=o.options,
        schedule=s.name,
        warmup_steps=s.warmup_steps,
        step_epochs=s.step_epochs,
        gamma=s.gamma,
        label_smoothing=t.label_smoothing,
        **{name: getattr(t, name) for name in PASSED_ON},
        device=config.device,
        seed=config.seed,
        run_dir=run_dir,
        checkpoint_every=t.checkpoint_every,
        keep=t.keep,
        log_every=t.log_every,
        progress=progress,
    )


def start(config: Config, dataset: Dataset | None = None, model: Module | None = None, progress="auto") -> Run:
    """Trains by a configuration, in a fresh folder below `config.runs`."""
    dataset = prepared_source(config, dataset, model)
    parts, info = split(config, dataset), describe(dataset)
    config = configuration.settled(config, len(parts[0]))
    path = _fresh(Path(config.runs), config.name)
    trainer = trainer_for(config, model if model is not None else fresh_model(config, info), path, progress)
    folder = trainer.folder = RunFolder(_made(path, config))
    folder.write("config.toml", configuration.to_toml(config))
    folder.write_json("data.json", msgspec.to_builtins(info))
    _say_what_is_left_out(trainer, dataset)
    return _train(config, trainer, info, parts, resume=False)


def resume(path: str | Path, dataset: Dataset | None = None, model: Module | None = None, progress="auto") -> Run:
    """Goes on with a run that was stopped; without a checkpoint it begins again."""
    run = Run(path)
    parts = split(run.config, prepared_source(run.config, dataset, model))
    model = model if model is not None else fresh_model(run.config, run.info)
    trainer = trainer_for(run.config, model, run.path, progress)
    return _train(run.config, trainer, run.info, parts, resume=bool(checkpoint.steps(run.folder.checkpoints)))


def _say_what_is_left_out(trainer: Trainer, dataset: Dataset) -> None:
    unreadable = getattr(dataset, "unreadable", ())
    if unreadable:
        some = "; ".join(f"{name}: {why}" for name, why in unreadable[:3])
        more = f"; and {len(unreadable) - 3} more" if len(unreadable) > 3 else ""
        trainer.progress.line(f"{len(unreadable)} files cannot be read and are left out: {some}{more}")


def fresh_model(config: Config, info: DataInfo) -> Module:
    manual_seed(config.seed)
    return build(config.model.kind, info, config.model.options)


def _train(config: Config, trainer: Trainer, info: DataInfo, parts: tuple[Dataset, Dataset], resume: bool) -> Run:
    started = time.perf_counter()
    assert trainer.folder is not None
    folder, (training, test) = trainer.folder, parts
    parameters = sum(p.numel() for p in trainer.model.parameters())
    trainer.progress.line(
        f"run {folder.path}  {parameters:,} parameters  {len(training):,} training and {len(test):,} test samples  "
        f"batch {config.train.batch_size}  epochs {config.train.epochs}  device {trainer.device}  seed {config.seed}"
    )
    trainer.fit(training, test, resume=resume)
    trainer.load_best()  # what the reports are of, and what the run has when it is opened again
    report.finish(trainer, folder, info, test, folder.path.name, time.perf_counter() - started, config.sample)
    run = Run(folder.path)
    run.__dict__["model"] = trainer.model.eval()
    return run


def _made(path: Path, config: Config) -> Path:
    """Makes the folder of a run, or the next one where another process was quicker."""
    while True:
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            if not path.exists():  # it is a parent that is no folder
                raise
            path = _fresh(Path(config.runs), config.name)


def _fresh(runs: Path, name: str) -> Path:
    """runs/name, or runs/name-2, name-3, … when it is taken."""
    path, number = runs / name, 2
    while path.exists():
        path, number = runs / f"{name}-{number}", number + 1
    return path
