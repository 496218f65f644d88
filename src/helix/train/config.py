"""The configuration of a training run: one TOML file, checked before anything starts.

Later sources win: the defaults here, the file, `--set table.key=value`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from ..errors import ConfigError
from . import toml

FORMAT_VERSION = 1
Positive = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(gt=0, lt=1)]
Rate = Annotated[float, Meta(ge=0)]


class Data(Struct, kw_only=True):
    """[data]: where samples come from, and how many are held back for the test."""

    source: Annotated[
        str,
        Meta(
            description="digits, a CSV file, an .npy or .npz file, a folder with a folder of images or of .txt files for each "
            "class, a text file or folder; 'stdlib' is the sources of Python's standard library"
        ),
    ]
    kind: Annotated[
        Literal["auto", "arrays", "images", "table", "text", "text_classes"], Meta(description="what a path holds")
    ] = "auto"
    test_fraction: Share = 0.3
    options: Annotated[dict[str, Any], Meta(description="arguments of the dataset")] = {}


class Model(Struct, kw_only=True):
    """[model]: what is trained."""

    kind: Annotated[str, Meta(description="auto, a name of helix.models.KINDS, or package.module:function")] = "auto"
    options: Annotated[dict[str, Any], Meta(description="arguments of the model")] = {}


class Optimizer(Struct, kw_only=True):
    """[optimizer]"""

    name: Literal[
        "adamw", "adam", "sgd", "rmsprop", "nadam", "radam", "adamax", "adagrad", "adadelta", "adafactor", "lion", "lamb", "lars",
        "soap", "rprop", "asgd",
    ] = "adamw"  # fmt: skip
    lr: Rate = 1e-3
    weight_decay: Rate = 0.01
    momentum: Annotated[float, Meta(ge=0, lt=1, description="sgd and lars only")] = 0.9
    options: Annotated[dict[str, Any], Meta(description="further arguments of the optimizer")] = {}


class Schedule(Struct, kw_only=True):
    """[schedule]: how the learning rate moves."""

    name: Literal["constant", "cosine", "step", "one_cycle", "plateau"] = "cosine"
    warmup_steps: Annotated[int, Meta(ge=0, description="cosine only")] = 0
    step_epochs: Annotated[int, Meta(ge=1, description="step only: epochs between falls")] = 10
    gamma: Annotated[float, Meta(gt=0, le=1, description="step and plateau: factor of a fall")] = 0.1


class Training(Struct, kw_only=True):
    """[train]"""

    epochs: Annotated[int, Meta(ge=1, description="without it, enough for about 500 steps")] | None = None
    max_steps: Annotated[int, Meta(ge=1, description="stop after so many steps, whatever the epoch")] | None = None
    batch_size: Annotated[int, Meta(ge=1, description="without it, by the number of samples, 8 to 64")] | None = None
    loss: Literal["auto", "cross_entropy", "mse", "l1", "bce_with_logits"] = "auto"
    metrics: (
        Annotated[list[str], Meta(description="names, without it what suits the task; see docs/training.md")] | None
    ) = None
    label_smoothing: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    accumulate: Annotated[int, Meta(ge=1, description="batches in a step of the optimizer")] = 1
    micro_batch: Annotated[int, Meta(ge=1, description="samples at once; auto: what fits")] | Literal["auto"] | None = (
        None
    )
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    grad_clip: Annotated[float, Meta(gt=0, description="limit of the gradients' norm")] | None = None
    clip_norm: Annotated[float, Meta(description="which norm: 1, 2 or inf")] = 2.0
    clip_value: Annotated[float, Meta(gt=0, description="limit of each element of the gradients")] | None = None
    nonfinite: Annotated[
        Literal["error", "skip", "ignore"], Meta(description="a loss or gradient that is not finite")
    ] = "error"
    ema: (
        Annotated[float, Meta(gt=0, lt=1, description="decay of averaged weights, tested in the model's place")] | None
    ) = None
    compress: Annotated[
        Literal["topk", "int8", "sign", "powersgd"], Meta(description="gradients as a wire would carry them")
    ] | None = None  # fmt: skip
    compress_options: Annotated[dict[str, Any], Meta(description="arguments of the compressor")] = {}
    patience: Annotated[int, Meta(ge=1, description="epochs without a better monitor that end the run")] | None = None
    monitor: Annotated[str, Meta(description="what tells the best epoch, test_loss if there is a test")] | None = None
    workers: Annotated[int, Meta(ge=0, description="threads that fetch batches ahead")] = 0
    compile: Annotated[bool, Meta(description="forward and backward as planned lists of kernels")] = False
    tensorboard: Annotated[bool, Meta(description="also write events for TensorBoard")] = False
    checkpoint_every: Annotated[int, Meta(ge=1, description="steps; without it, every epoch")] | None = None
    keep: Annotated[int, Meta(ge=2, description="good checkpoints kept")] = 3
    log_every: Annotated[int, Meta(ge=1, description="steps between lines of metrics.jsonl")] = 20


class Sample(Struct, kw_only=True):
    """[sample]: what a language model writes when it is trained."""

    prompt: str = "def "
    count: Natural = 400
    temperature: Rate = 0.8


class Config(Struct, kw_only=True):
    """Everything a run is made of."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="the run's folder below runs")]
    seed: Natural = 0
    device: str = "auto"
    runs: str = "runs"
    data: Data
    model: Model = field(default_factory=Model)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    train: Training = field(default_factory=Training)
    sample: Sample = field(default_factory=Sample)
    format_version: Annotated[int, Meta(ge=1, le=FORMAT_VERSION)] = FORMAT_VERSION


def read(path: str | Path, changes: Sequence[str] = ()) -> Config:
    """Reads a TOML file, lays `table.key=value` changes over it, and checks the result."""
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"HX3101 config {str(path)!r} does not exist. `helix config init` prints one to start from."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"HX3101 config {str(path)!r} is not valid TOML: {error}") from error
    return check(overlaid(values, changes))


def of_source(source: str, changes: Sequence[str] = ()) -> Config:
    """The configuration in a TOML file, or one for data alone: its name, and everything else left open."""
    if source.endswith(".toml"):
        return read(source, changes)
    return check(overlaid({"name": name_of(source), "data": {"source": source}}, changes))


def name_of(source: str | Path) -> str:
    """A name for a run on a file or folder: of it the letters, digits, dots, dashes and underscores."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in Path(source).resolve().stem)
    return name.strip("._-") or "run"


def overlaid(values: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The values with each `table.key=value` put in its place."""
    for change in changes:
        _lay(values, change)
    return values


def _lay(values: dict[str, Any], change: str) -> None:
    """One `table.key=value`; the value is TOML, or a plain word."""
    path, equals, text = change.partition("=")
    if not equals:
        raise ConfigError(f"HX3101 --set {change!r}: write table.key=value, for instance train.epochs=5")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, key = path.strip().split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise ConfigError(f"HX3101 --set {change!r}: {table!r} is not a table")
    values[key] = value


def check(values: Mapping[str, Any]) -> Config:
    """A Config from nested mappings; an unknown key or a bad value is an error that names it."""
    _no_unknown(Config, values, "")
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        where = where.strip(".`") or "config"
        raise ConfigError(f"HX3101 {where}: {what[:1].lower()}{what[1:]}") from None


def _no_unknown(kind: type, values: Mapping[str, Any], path: str) -> None:
    fields = {f.name: f.type for f in msgspec.structs.fields(kind)}
    for key, value in values.items():
        if key not in fields:
            near = get_close_matches(key, fields, n=1, cutoff=0.5)
            hint = f"did you mean {path + near[0]!r}?" if near else f"known here: {', '.join(fields)}."
            raise ConfigError(f"HX3101 {path}{key}: unknown key; {hint}")
        inner = fields[key]
        if isinstance(inner, type) and issubclass(inner, Struct) and isinstance(value, Mapping):
            _no_unknown(inner, value, f"{path}{key}.")


def settled(config: Config, samples: int) -> Config:
    """The configuration with what it leaves open chosen for so many training samples."""
    size = config.train.batch_size or min(64, max(8, 2 ** ((samples // 16).bit_length() - 1) if samples >= 16 else 8))
    epochs = config.train.epochs or min(100, max(3, 500 // max(1, samples // size)))
    return msgspec.structs.replace(config, train=msgspec.structs.replace(config.train, batch_size=size, epochs=epochs))


def to_dict(config: Config) -> dict[str, Any]:
    return msgspec.to_builtins(config)


def to_toml(config: Config) -> str:
    return toml.dump(to_dict(config))


def schema() -> dict[str, Any]:
    """The JSON schema of a configuration file."""
    return msgspec.json.schema(Config)
