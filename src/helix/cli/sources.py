"""What `helix graph` and `helix estimate` look at: a graph's file, or a model and the specs of its inputs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NamedTuple

import click

import helix

_SPEC = re.compile(r"\s*(?:(\w+)\s*\[([^\]]*)\]|([^\[\]]*))\s*")

SOURCE = "MODEL|CONFIG.toml|RUN|GRAPH.safetensors|MODEL.onnx"
HELP = """MODEL is a kind of helix.models (resnet18, decoder, …), or package.module:name or file.py:name: a module, a graph, or a
    class or function that makes one without arguments. A spec is a shape, with the dtype before it in brackets: B,3,32,32 or int64[B, 128]; names are sizes
    that are left open."""


class Source(NamedTuple):
    """A graph, or a model and one spec for each of its inputs."""

    name: str
    graph: Any = None
    model: Any = None
    specs: tuple[Any, ...] = ()
    task: str = ""


def opened(source: str, specs: tuple[str, ...], classes: int = 10) -> Source:
    """Finds what the name means. Specs that the source itself tells may be left out."""
    given = tuple([spec_of(text) for text in specs])
    path = Path(source)
    if path.suffix in (".safetensors", ".onnx") and not path.exists():
        raise _refused(f"there is no file {source}")
    if path.suffix == ".safetensors":
        from ..graph import load

        return Source(path.stem, graph=load(path))
    if path.suffix == ".onnx":
        from ..onnx import load as load_onnx

        return Source(path.stem, graph=load_onnx(path).graph)
    if path.suffix == ".toml" or (path / "config.toml").exists():
        return _configured(path, given)
    if (path / "config.json").exists():
        from ..models import from_pretrained

        return _with_specs(Source(path.name, model=from_pretrained(str(path)), specs=given))
    if ":" in source:
        return _imported(source, given)
    return _kind(source, given, classes)


def spec_of(text: str) -> Any:
    """`float32[B, 3, 32, 32]` or `B,3,32,32` as a Spec."""
    from ..graph import Dim, Spec

    match = _SPEC.fullmatch(text)
    name, inside, plain = match.groups() if match else ("", "", "")
    sizes: list[Any] = []
    for part in (inside if plain is None else plain).split(","):
        part = part.strip()
        if part.isdecimal():
            sizes.append(int(part))
        elif part.isidentifier():
            sizes.append(Dim(part))
        elif part or "," in text:
            raise click.BadParameter(f"{text!r}: write B,3,32,32 or int64[B, 128]", param_hint="--spec")
    dtype = getattr(helix, name or "float32", None)
    if not isinstance(dtype, helix.dtype):
        raise click.BadParameter(f"{text!r}: {name!r} is no dtype", param_hint="--spec")
    return Spec(tuple(sizes), dtype)


def to_write(file: Path) -> Path:
    """The file, whose folder is there."""
    if not file.parent.is_dir():
        raise click.BadParameter(f"there is no folder {file.parent}", param_hint="--out")
    return file


def _configured(path: Path, given: tuple[Any, ...]) -> Source:
    from .. import float32, int64
    from ..data import describe
    from ..graph import Dim, Spec
    from ..models import build
    from ..train import Run
    from ..train import config as configuration
    from ..train.run import prepared_source

    if path.suffix == ".toml":
        config = configuration.read(str(path))
        info = describe(prepared_source(config))
    else:
        run = Run(str(path))
        config, info = run.config, run.info
    model = build(config.model.kind, info, config.model.options)
    spec = Spec((Dim("B"), *info.input_shape), int64 if info.vocabulary else float32)
    return Source(config.name, model=model, specs=given or (spec,), task=info.task)


def _kind(name: str, given: tuple[Any, ...], classes: int) -> Source:
    from ..data import DataInfo
    from ..models import KINDS, build

    if name not in KINDS:
        if name.endswith(".py"):
            raise _refused(f"{name} is a file; write {name}:NAME for the module, graph or function in it")
        build(name, DataInfo("classification", (1,), 1))  # its error names what is near
    found = _with_specs(Source(name, specs=given))
    shape, dtype = found.specs[0].shape[1:], found.specs[0].dtype
    if not all(isinstance(size, int) for size in shape):
        raise click.BadParameter("only the first size of a spec may be open here", param_hint="--spec")
    tokens = not dtype.is_floating_point
    task = "language" if tokens and name != "textcnn" else "classification"
    info = DataInfo(task, shape, classes, vocabulary=256 if tokens else 0)
    return Source(name, model=build(name, info), specs=given, task=task)


def _imported(source: str, given: tuple[Any, ...]) -> Source:
    from ..graph import Graph
    from ..nn import Module

    name, _, path = source.rpartition(":")
    with users_code(f"{source!r} cannot be imported"):
        found: Any = _module(name)
    for part in path.split("."):
        if not hasattr(found, part):
            near = get_close_matches(part, dir(found), n=1)
            raise _refused(f"{name} has no {path!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        found = getattr(found, part)
    if not isinstance(found, (Module, Graph)):
        with users_code(f"{source!r} cannot be called without arguments"):
            found = found()
    if isinstance(found, Graph):
        return Source(path, graph=found)
    if not isinstance(found, Module):
        raise _refused(f"{source!r} is a {type(found).__name__}, no helix.nn.Module")
    return _with_specs(Source(path, model=found, specs=given))


def _module(name: str) -> Any:
    """A module by its name, also in this directory, or by its file."""
    path = Path(name)
    if path.suffix != ".py":
        if "" not in sys.path:
            sys.path.append("")
        return import_module(name)
    if not path.exists():
        raise _refused(f"there is no file {name}")
    sys.path.append(str(path.parent.resolve()))
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise _refused(f"{name} is no Python file")
    module = sys.modules[path.stem] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def users_code(what: str) -> Iterator[None]:
    """What the user's own code raises is told in a line, with its place."""
    from ..errors import HelixError

    try:
        yield
    except (HelixError, click.ClickException):
        raise
    except Exception as error:
        message = f"{what}: {type(error).__name__}: {error}{_place(error)}"
        raise _refused(f"{message} (HELIX_DEBUG=1 shows the calls)") from error


def _place(error: Exception) -> str:
    """The last line of the traceback that is not helix's."""
    package, found, frame = os.path.dirname(helix.__file__), "", error.__traceback__
    while frame is not None:
        file = frame.tb_frame.f_code.co_filename
        if not file.startswith((package, "<")) and os.path.isabs(file):
            found = f" at {file}:{frame.tb_lineno}"
        frame = frame.tb_next
    return "" if isinstance(error, ImportError) else found


def _refused(text: str) -> Exception:
    from ..errors import ConfigError

    return ConfigError(f"HX3102 model: {text}")


def _with_specs(source: Source) -> Source:
    if not source.specs:
        raise click.UsageError(
            f"{source.name} needs the specs of its inputs: --spec B,3,32,32 or --spec 'int64[B, 128]'"
        )
    return source
