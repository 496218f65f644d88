"""tune(): the search for good settings, by optuna; a trial that falls behind is given up early."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..data import describe
from ..data.extras import needed
from ..errors import ConfigError
from .callback import Callback, mode_of, monitored
from .config import Config


class _Pruning(Callback):
    """Tells a trial the number that is watched, and ends the run when the trial is not worth going on."""

    def __init__(self, trial, monitor: str) -> None:
        self.trial, self.monitor, self.pruned = trial, monitor, False

    def on_epoch(self, trainer, session, values: dict[str, Any]) -> None:
        self.trial.report(monitored(values, self.monitor, "tune"), values["epoch"])
        if self.trial.should_prune():
            self.pruned = True
            trainer.stop()


def tune(
    make: Callable[[dict[str, Any]], Any],
    space: Mapping[str, Any],
    data,
    test,
    trials: int = 20,
    monitor: str = "test_loss",
    mode: str = "auto",
    seed: int = 0,
    **settings: Any,
):
    """Trains a model for each trial's settings; returns optuna's study, whose `best_params` are what was looked for.

    Args:
        make: the model for a trial's settings.
        space: what is tried for each setting: (least, most) numbers, (least, most, "log"), or a list of choices. Names of
            `Trainer`'s settings (lr, batch_size, …) and "optimizer" go to the trainer, the others only to `make`.
        data, test: for `Trainer.fit`.
        monitor: the number of the epochs that is to become small, or large (`mode`).
        settings: of every trial.

    Needs the extra `tune`.
    """
    from dataclasses import fields

    from .. import manual_seed
    from .settings import Settings
    from .trainer import Trainer

    optuna = needed("optuna", "tune", "helix.train.tune")
    known = {field.name for field in fields(Settings)} | {"optimizer", "loss"}

    def objective(trial) -> float:
        chosen = {name: suggested(trial, name, values) for name, values in space.items()}
        manual_seed(seed)
        pruning = _Pruning(trial, monitor)
        parts = {name: value for name, value in chosen.items() if name in known}
        trainer = Trainer(make(chosen), callbacks=[pruning], **{"progress": "none", "seed": seed, **settings, **parts})
        record = trainer.fit(data, test)
        if pruning.pruned:
            raise optuna.TrialPruned
        return record[monitor]

    study = _study(optuna, monitor, mode, seed)
    study.optimize(objective, trials)
    return study


def tune_config(
    config: Config,
    space: Mapping[str, Any],
    trials: int,
    monitor: str,
    say: Callable[[int, dict[str, Any], float | None], None],
) -> tuple[dict[str, Any], float]:
    """The search over keys of a configuration ("optimizer.lr"); the best values and their number. Nothing is written."""
    from . import config as configuration
    from .run import fresh_model, prepared_source, split, trainer_for

    optuna = needed("optuna", "tune", "helix tune")
    parts = split(config, dataset := prepared_source(config))
    info = describe(dataset)

    def objective(trial) -> float:
        chosen = {name: suggested(trial, name, values) for name, values in space.items()}
        values = configuration.to_dict(config)
        for name, value in chosen.items():
            *tables, key = name.split(".")
            table = values
            for step in tables:
                table = table.setdefault(step, {})
            table[key] = value
        tried = configuration.settled(configuration.check(values), len(parts[0]))
        trainer = trainer_for(tried, fresh_model(tried, info), None, "none")
        pruning = _Pruning(trial, monitor)
        trainer.callbacks = (pruning,)
        record = trainer.fit(*parts)
        say(trial.number, chosen, None if pruning.pruned else record[monitor])
        if pruning.pruned:
            raise optuna.TrialPruned
        return record[monitor]

    study = _study(optuna, monitor, "auto", config.seed)
    study.optimize(objective, trials)
    return study.best_params, study.best_value


def _study(optuna, monitor: str, mode: str, seed: int):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        direction="minimize" if mode_of(monitor, mode) == "min" else "maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
    )


def suggested(trial, name: str, values: Any) -> Any:
    """One value out of a setting's space."""
    if isinstance(values, list):
        return trial.suggest_categorical(name, values)
    if isinstance(values, tuple) and len(values) in (2, 3) and (len(values) == 2 or values[2] == "log"):
        least, most, log = values[0], values[1], len(values) == 3
        if isinstance(least, int) and isinstance(most, int):
            return trial.suggest_int(name, least, most, log=log)
        return trial.suggest_float(name, least, most, log=log)
    raise ConfigError(
        f"HX3101 tune.{name}: a space is (least, most), (least, most, 'log') or a list of choices; got {values!r}",
        code="HX3101",
    )
