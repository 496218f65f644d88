"""Models from folders in Hugging Face's layout: config.json and safetensors, whole or in shards. Nothing is downloaded.

A family is one module of helix.models. Its class has `from_config(config) -> Module`, with config.json as a mapping, and
parameters under the names that transformers gives them. Weights that are tied are one Parameter under two names. Where a
folder's names differ, the class has `key_map`: pairs of a regular expression and what replaces its first match, or None
to leave such tensors out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from ..errors import CheckpointError, ConfigError, FormatError, HelixError
from ..io import load_file, load_json
from ..nn import Module, init
from ..tensor import Tensor

CONFIG, WEIGHTS = "config.json", "model.safetensors"
INDEX = WEIGHTS + ".index.json"
MAX_CONFIG, MAX_INDEX = 4_000_000, 100_000_000  # bytes
COUNTS = re.compile(r"(^n_layer|layers|^depths|^num_local_experts)$")

FAMILIES: dict[str, str] = {
    "bert": "helix.models.bert:Bert",
    "gpt2": "helix.models.gpt2:GPT2",
    "llama": "helix.models.llama:Llama",
    "mixtral": "helix.models.mixtral:Mixtral",
    "t5": "helix.models.t5:T5",
    "vit": "helix.models.vit:ViT",
    "whisper": "helix.models.whisper:Whisper",
    "mamba": "helix.models.mamba:Mamba",
    "mamba2": "helix.models.mamba2:Mamba2",
    "resnet": "helix.models.resnet:ResNet",
}


def from_pretrained(folder: str | os.PathLike, *, dtype=None, device=None) -> Module:
    """The model of a folder that holds `config.json` and `model.safetensors`, or shards and their index.

    folder: a path; no name is looked up anywhere. dtype: of the parameters, float32 unless told. device: where they go.
    The model comes in eval mode. Raises ConfigError (HX3011: no usable config.json; HX3012: a model_type that helix does
    not have) and CheckpointError (HX3003: weights that are missing, left over or misshapen, all in one error; HX3013: a
    file of weights that is missing, lies outside the folder, or is a pickle, which helix never reads).

    Example:
        >>> helix.models.from_pretrained("no/such/folder")
        Traceback (most recent call last):
        ...
        helix.errors.ConfigError: HX3011 from_pretrained: 'no/such/folder' is not a folder.
    """
    folder = os.fspath(folder)
    config = _config(folder)
    family = _family(config, folder)
    weights = _weights(folder)
    _counted(config, len(weights), folder)
    with init.skipped():
        model = _made(family, config, folder)
    if dtype is not None or device is not None:
        model.to(dtype=dtype, device=device)
    model.load_state_dict(_shared(model, _renamed(weights, getattr(model, "key_map", ()))))
    return model.eval()


def _refuse(number: int, text: str, kind: type = CheckpointError):
    return kind(f"HX{number} from_pretrained: {text}", op="from_pretrained", code=f"HX{number}")


def _config(folder: str) -> dict[str, Any]:
    if not os.path.isdir(folder):
        raise _refuse(3011, f"{folder!r} is not a folder.", ConfigError)
    path = os.path.join(folder, CONFIG)
    if not os.path.isfile(path):
        raise _refuse(3011, f"{folder!r} holds no {CONFIG}; name the folder that does.", ConfigError)
    try:
        config = load_json(path, MAX_CONFIG)
    except FormatError as error:
        raise _refuse(3011, f"{path!r} cannot be read: {error}", ConfigError) from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise _refuse(3011, f"{path!r} has no model_type.", ConfigError)
    return config


def _family(config: Mapping[str, Any], folder: str) -> Any:
    kind = config["model_type"]
    if kind not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise _refuse(3012, f"{folder!r} is of model_type {kind[:60]!r}; known are: {known}.", ConfigError)
    module, _, name = FAMILIES[kind].partition(":")
    return getattr(import_module(module), name)


def _counted(config: Mapping[str, Any], tensors: int, folder: str) -> None:
    """Refuses more layers than there are tensors, before any of them is made."""
    for name, value in config.items():
        for count in (value if isinstance(value, list) else [value]) if COUNTS.search(name) else ():
            if isinstance(count, int) and count > tensors:
                text = f"the {CONFIG} of {folder!r} says {name} = {value!r}, for {tensors} tensors of weights."
                raise _refuse(3011, text, ConfigError)


def _made(family: Any, config: dict[str, Any], folder: str) -> Module:
    try:
        return family.from_config(config)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        if isinstance(error, HelixError):
            raise
        text = f"the {CONFIG} of {folder!r} lacks what {family.__name__} needs, or holds another kind of it: {error!r}."
        raise _refuse(3011, text, ConfigError) from error


# ---- files of weights ----


def _weights(folder: str) -> dict[str, Tensor]:
    whole, index = os.path.join(folder, WEIGHTS), os.path.join(folder, INDEX)
    if os.path.isfile(whole):
        return load_file(_inside(folder, WEIGHTS))
    if os.path.isfile(index):
        return _shards(folder, index)
    raise _refuse(3013, f"{folder!r} holds neither {WEIGHTS} nor {INDEX}.{_only_pickles(folder)}")


def _only_pickles(folder: str) -> str:
    pickles = sorted(name for name in os.listdir(folder) if name.endswith((".bin", ".pt", ".pth", ".ckpt")))
    if not pickles:
        return ""
    return (
        f" {pickles[0]!r} is a pickle, which can run code when it is read, so helix reads none: "
        "have its makers' library write the model again as safetensors (save_pretrained in transformers does)."
    )


def _shards(folder: str, index: str) -> dict[str, Tensor]:
    try:
        listed = load_json(index, MAX_INDEX)
    except FormatError as error:
        raise _refuse(3013, f"{INDEX} cannot be read: {error}") from error
    places = listed.get("weight_map") if isinstance(listed, dict) else None
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise _refuse(3013, f"{INDEX} has no weight_map from names to files.")
    paths = {name: _inside(folder, name) for name in sorted(set(places.values()))}
    missing = [name for name, path in paths.items() if not os.path.isfile(path)]
    if missing:
        raise _refuse(
            3013, f"{len(missing)} of {len(paths)} shards are missing in {folder!r}: {', '.join(missing[:5])}."
        )
    weights: dict[str, Tensor] = {}
    for name, path in paths.items():
        weights |= {key: tensor for key, tensor in load_file(path).items() if places.get(key) == name}
    lost = [key for key in places if key not in weights]
    if lost:
        raise _refuse(3013, f"{len(lost)} tensors are not in the shards that {INDEX} names: {', '.join(lost[:5])}.")
    return weights


def _inside(folder: str, name: str) -> str:
    """The path of a file of the folder itself: no other folder, no way up, no link that leads out.

    Links to a store of blobs beside the folder are how Hugging Face's cache lays a snapshot out; a link from
    <root>/snapshots/<revision>/ may lead to <root>/blobs/.
    """
    path = os.path.join(folder, name)
    home = os.path.realpath(folder)
    root, kind = os.path.split(os.path.dirname(home))
    allowed = [home] + ([os.path.join(root, "blobs")] if kind == "snapshots" else [])
    plain = name == os.path.basename(name) and not set(name) & {"\\", "\0"} and name.endswith(".safetensors")
    if not plain or os.path.dirname(os.path.realpath(path)) not in allowed:
        raise _refuse(3013, f"{name[:120]!r} is not the plain name of a safetensors file inside {folder!r}.")
    return path


# ---- names ----


def _renamed(weights: dict[str, Tensor], key_map: Iterable[tuple[str, str | None]]) -> dict[str, Tensor]:
    made = {}
    for name, tensor in weights.items():
        new: str | None = name
        for pattern, replacement in key_map:
            if new is not None and re.search(pattern, new):
                new = None if replacement is None else re.sub(pattern, replacement, new, count=1)
        if new is not None:
            made[new] = tensor
    return made


def _shared(model: Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights, with each tied one under all its names: files hold such a tensor once."""
    names: dict[int, list[str]] = {}
    for path, owner in model.named_modules(remove_duplicate=False):
        for name in owner._parameters:
            if (tensor := owner.__dict__[name]) is not None:
                names.setdefault(id(tensor), []).append(f"{path}.{name}" if path else name)
    for tied in names.values():
        held = next((name for name in tied if name in weights), None)
        if held is not None:
            weights |= {name: weights[held] for name in tied if name not in weights}
    return weights
