"""Checkpoints: directories that appear whole, prove their contents, and never replace the last good one.

step-000500/model.safetensors   parameters and buffers
            optim.safetensors   the optimizer's tensors, as <parameter>/<name>
            state.json          step, random generator, loader, schedule, the optimizer's numbers
            state.safetensors   tensors of the state, such as what metrics have kept, under their path in it
            manifest.json       length and SHA-256 of each file, and its own checksum; written last
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import CheckpointError
from ..io import load_file, load_json, save_file, save_json
from ..tensor import Tensor
from .files import remove_tree, sha256_of, sync_directory, write_text

FORMAT_VERSION = 3  # 1: the manifest had no checksum of its own; 2: tensors of the state were lists in state.json
FILES = ("model.safetensors", "optim.safetensors", "state.json")
NUMBER = "not a JSON number"
AVERAGE = "average.safetensors"  # of runs that keep one
ARRAYS = "state.safetensors"  # of states that hold tensors
ARRAY = "a tensor of state.safetensors"


class Checkpoint(NamedTuple):
    """What was loaded, and from where."""

    path: Path
    step: int
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    state: dict[str, Any]
    average: dict[str, Tensor] | None = None


def save(
    folder: Path,
    step: int,
    model: Mapping[str, Tensor],
    optimizer: Mapping[str, Any],
    state: Mapping[str, Any],
    keep: int = 3,
    average: Mapping[str, Tensor] | None = None,
) -> Path:
    """Writes a checkpoint below `folder`, then deletes all but the best and the newest `keep` (at least 2) good ones.

    `state` is what JSON can hold, and tensors.
    """
    final = folder / f"step-{step:06d}"
    temporary = folder / f".writing-{final.name}-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        _write(temporary, step, model, optimizer, state, average)
        if final.exists():
            remove_tree(final)
        os.replace(temporary, final)
        _proven[final] = _likeness(final)
        sync_directory(folder)
        write_text(folder / "LATEST", final.name + "\n")
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError(
            f"HX3001 checkpoint step {step} could not be written: {error.strerror or error} "
            f"({final.name}). The checkpoints before it are untouched."
        ) from error
    try:
        prune(folder, max(2, keep))
    except OSError as error:
        warnings.warn(f"old checkpoints could not be deleted: {error}", stacklevel=2)
    return final


def _write(
    folder: Path,
    step: int,
    model: Mapping[str, Tensor],
    optimizer: Mapping[str, Any],
    state: Mapping[str, Any],
    average: Mapping[str, Tensor] | None,
) -> None:
    numbers: dict[str, dict[str, Any]] = {}
    tensors: dict[str, Tensor] = {}
    for name, values in optimizer["state"].items():
        numbers[name] = {key: value for key, value in values.items() if not isinstance(value, Tensor)}
        tensors |= {f"{name}/{key}": value for key, value in values.items() if isinstance(value, Tensor)}
    arrays: dict[str, Tensor] = {}
    described = {
        "format_version": FORMAT_VERSION,
        "step": step,
        **_without_tensors(state, "", arrays),
        "optimizer": {"param_groups": optimizer["param_groups"], "state": numbers},
    }
    version = {"format_version": str(FORMAT_VERSION)}
    save_file(dict(model), folder / "model.safetensors", metadata=version)
    save_file(tensors, folder / "optim.safetensors", metadata=version)
    if average is not None:
        save_file(dict(average), folder / AVERAGE, metadata=version)
    if arrays:
        save_file(arrays, folder / ARRAYS, metadata=version)
    save_json(_spelled(described), folder / "state.json")
    names = (*FILES, *((AVERAGE,) if average is not None else ()), *((ARRAYS,) if arrays else ()))
    manifest = {
        "format_version": FORMAT_VERSION,
        "step": step,
        "files": {
            name: {"length": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)} for name in names
        },
    }
    write_text(folder / "manifest.json", _signed(manifest))


def _without_tensors(value: Any, path: str, arrays: dict[str, Tensor]) -> Any:
    """The same with the names of tensors, which are put into `arrays`, in their place."""
    if isinstance(value, Tensor):
        path = f"{path}#{len(arrays)}" if path in arrays else path  # of keys with a slash
        arrays[path] = value
        return {ARRAY: path}
    if isinstance(value, Mapping):
        return {key: _without_tensors(inner, f"{path}/{key}".lstrip("/"), arrays) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_tensors(inner, f"{path}/{number}", arrays) for number, inner in enumerate(value)]
    return value


def _with_tensors(value: Any, arrays: Mapping[str, Tensor]) -> Any:
    """What `_without_tensors` was given."""
    if isinstance(value, dict):
        return arrays[value[ARRAY]] if ARRAY in value else {k: _with_tensors(v, arrays) for k, v in value.items()}
    return [_with_tensors(inner, arrays) for inner in value] if isinstance(value, list) else value


def _spelled(value: Any) -> Any:
    """The same with NaN and infinity, which JSON lacks, as words."""
    if isinstance(value, float) and not math.isfinite(value):
        return {NUMBER: str(value)}
    if isinstance(value, Mapping):
        return {key: _spelled(inner) for key, inner in value.items()}
    return [_spelled(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _read(value: Any) -> Any:
    """What `_spelled` was given."""
    if isinstance(value, dict):
        return float(value[NUMBER]) if NUMBER in value else {key: _read(inner) for key, inner in value.items()}
    return [_read(inner) for inner in value] if isinstance(value, list) else value


def _signed(manifest: Mapping[str, Any]) -> str:
    """The text of a manifest, its own checksum included: any other text is a damaged one."""
    rest = {key: value for key, value in manifest.items() if key != "checksum"}
    checksum = hashlib.sha256(json.dumps(rest).encode()).hexdigest()
    return json.dumps({**rest, "checksum": checksum}, indent=1) + "\n"


def _read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint; ValueError when a byte of it was changed."""
    manifest = load_json(path)
    if manifest["format_version"] == 1:
        if "checksum" in manifest:
            raise ValueError("the first format has no checksum")
    elif manifest["format_version"] <= FORMAT_VERSION and path.read_text(encoding="utf-8") != _signed(manifest):
        raise ValueError("the manifest fails its checksum")
    return manifest


def steps(folder: Path) -> list[Path]:
    """Checkpoint directories below `folder`, newest first, good or not."""
    if not folder.is_dir():
        return []
    found = [p for p in folder.iterdir() if p.name.startswith("step-") and p.name[5:].isdigit()]
    return sorted(found, key=lambda p: int(p.name[5:]), reverse=True)


def fault(path: Path) -> str | None:
    """Why a checkpoint cannot be trusted; None when every file has the length and checksum the manifest says."""
    try:
        manifest = _read_manifest(path / "manifest.json")
        if manifest["format_version"] > FORMAT_VERSION:
            return f"its format {manifest['format_version']} is newer than this helix knows ({FORMAT_VERSION})"
        for name in {*FILES, *manifest["files"]}:
            entry, file = manifest["files"][name], path / name
            if file.stat().st_size != entry["length"]:
                return f"file {name} has {file.stat().st_size} bytes, the manifest says {entry['length']}"
            if sha256_of(file) != entry["sha256"]:
                return f"file {name} fails its checksum"
    except FileNotFoundError as error:
        return f"file {Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"its manifest cannot be read ({type(error).__name__})"
    return None


_proven: dict[Path, list] = {}  # what the files of checkpoints were like that this process has written or found good


def _likeness(path: Path) -> list:
    """Name, length and times of each file: not all of them stay when one is written again."""
    try:
        found = [(file.name, file.stat()) for file in path.iterdir()]
    except OSError:
        return []
    return sorted((name, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino) for name, facts in found)


def _is_good(path: Path) -> bool:
    """Whether a checkpoint has no `fault`; its bytes are read again only after one of its files was touched."""
    like = _likeness(path)
    if _proven.get(path) != like:
        if fault(path) is not None:
            return False
        _proven[path] = like
    return True


def newest(folder: Path) -> Path:
    """The newest checkpoint that proves good; warns of each newer one that does not."""
    candidates = steps(folder)
    faults: list[tuple[Path, str]] = []
    for path in candidates:
        reason = fault(path)
        if reason is None:
            for bad, why in faults:
                lost = int(bad.name[5:]) - int(path.name[5:])
                warnings.warn(
                    f"HX3002 checkpoint {bad.name} is not usable: {why}; taking {path.name} instead, "
                    f"{lost} steps will be repeated.",
                    stacklevel=2,
                )
            return path
        faults.append((path, reason))
    detail = "; ".join(f"{path.name}: {why}" for path, why in faults)
    raise CheckpointError(
        f"HX3002 no usable checkpoint below {folder.parent.name}/{folder.name}"
        + (f" ({detail})." if detail else ": there is none.")
    )


def load(path: Path) -> Checkpoint:
    """Reads one checkpoint that `newest` has found good."""
    arrays = load_file(path / ARRAYS) if (path / ARRAYS).exists() else {}
    state = _with_tensors(_read(load_json(path / "state.json")), arrays)
    saved = state.pop("optimizer")
    values = {name: dict(numbers) for name, numbers in saved["state"].items()}
    for key, tensor in load_file(path / "optim.safetensors").items():
        name, _, field = key.rpartition("/")
        values.setdefault(name, {})[field] = tensor
    return Checkpoint(
        path,
        state["step"],
        load_file(path / "model.safetensors"),
        {"state": values, "param_groups": saved["param_groups"]},
        state,
        load_file(path / AVERAGE) if (path / AVERAGE).exists() else None,
    )


def mark_best(folder: Path, path: Path, monitor: str, value: float) -> None:
    """Says in BEST which checkpoint is the best so far; it is kept from now on."""
    try:
        save_json(
            _spelled({"format_version": FORMAT_VERSION, "name": path.name, "monitor": monitor, "value": value}),
            folder / "BEST",
        )
    except OSError as error:
        raise CheckpointError(
            f"HX3001 {path.name} could not be marked as the best: {error.strerror or error}. It is written, and good."
        ) from error


def best(folder: Path) -> Path | None:
    """The checkpoint that BEST names; None when there is none."""
    try:
        name = load_json(folder / "BEST")["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    found = [path for path in steps(folder) if path.name == name]
    return found[0] if found else None


def chosen(folder: Path, which: str | int = "auto") -> Path:
    """The checkpoint that `which` names: "best", "newest", a step, or "auto", the best where one is tracked and else the newest."""
    if which == "newest":
        return newest(folder)
    if which not in ("auto", "best"):
        return _of_step(folder, which)
    path = best(folder)
    reason = "none is tracked" if path is None else fault(path)
    while reason is not None and best(folder) != path:  # a training has found a better one in the meantime
        path = best(folder)
        reason = "none is tracked" if path is None else fault(path)
    if path is not None and reason is None:
        return path
    if which == "best":
        raise CheckpointError(
            f"HX3002 no best checkpoint below {folder.parent.name}/{folder.name}: {reason}. Take 'newest', or a step."
        )
    if path is not None:
        warnings.warn(
            f"HX3002 the best checkpoint {path.name} is not usable: {reason}; taking the newest.", stacklevel=2
        )
    return newest(folder)


def _of_step(folder: Path, which: str | int) -> Path:
    number = str(which).removeprefix("step-")
    found = {int(path.name[5:]): path for path in reversed(steps(folder))}
    path = found.get(int(number)) if number.isdecimal() else None
    if path is None:
        have = ", ".join(map(str, found)) or "none"
        raise CheckpointError(
            f"HX3002 no checkpoint {which!r} below {folder.parent.name}/{folder.name}; say 'best', 'newest' or one of these "
            f"steps: {have}."
        )
    reason = fault(path)
    if reason is not None:
        raise CheckpointError(f"HX3002 checkpoint {path.name} is not usable: {reason}.")
    return path


def told(path: Path) -> str:
    """A checkpoint in words: its name, and whether it is the best or the newest."""
    folder = path.parent
    facts = ["newest"] if steps(folder)[:1] == [path] else []
    if best(folder) == path:
        values = _read(load_json(folder / "BEST"))
        facts.insert(0, f"best {values['monitor']}, {values['value']:.4g}")
    return f"checkpoint {path.name}" + (f" ({'; '.join(facts)})" if facts else "")


def prune(folder: Path, keep: int) -> None:
    """Deletes the checkpoints behind the newest `keep` good ones but the best, and what killed writers left."""
    good, kept = 0, best(folder)
    for path in steps(folder):
        if path == kept and good >= keep:
            continue
        if good >= keep:
            _proven.pop(path, None)
            remove_tree(path)
        elif _is_good(path):
            good += 1
    for litter in (*folder.glob(".writing-*"), *folder.glob(".removed-*")):
        shutil.rmtree(litter, ignore_errors=True)
