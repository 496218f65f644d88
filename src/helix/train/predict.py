"""Run.predict: from a file or an array to named answers."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from .. import tensor as make
from .._core import Generator
from ..data.dataset import as_tensor
from ..data.table import read_inputs, scaled
from ..errors import ConfigError
from ..tensor import Tensor


def predict(
    run, source, top: int = 3, count: int = 200, temperature: float | None = None
) -> list[dict[str, Any]] | bytes:
    """For classes: one dict a sample with `label`, `probability` and the `top` classes. For a language model: the
    `count` bytes that follow."""
    if run.info.task == "language":
        heat = run.config.sample.temperature if temperature is None else temperature
        prompt = source.encode() if isinstance(source, str) else bytes(source)
        return run.model.generate(prompt, count, heat, Generator().manual_seed(run.config.seed))
    output = run.model.infer(_batch(run, source), batch_size=256)
    if run.info.task != "classification":
        return [{"value": row} for row in output.tolist()]
    names = run.info.classes or tuple(map(str, range(run.info.outputs)))
    return [_answer(row, names, top) for row in output.softmax(-1).tolist()]


def _answer(probabilities: list[float], names, top: int) -> dict[str, Any]:
    order = sorted(range(len(probabilities)), key=probabilities.__getitem__, reverse=True)[: max(1, top)]
    return {
        "label": names[order[0]],
        "probability": probabilities[order[0]],
        "top": [{"label": names[i], "probability": probabilities[i]} for i in order],
    }


def _batch(run, source) -> Tensor:
    """Any accepted source as a batch of the model's inputs."""
    shape = tuple(run.info.input_shape)
    if run.info.vocabulary:
        return make(
            [_tokens(text, shape[0]) for text in ([source] if isinstance(source, (str, bytes, Path)) else source)]
        )
    if isinstance(source, (str, Path)):
        path = Path(source)
        if path.suffix.lower() == ".csv" and run.info.columns:
            return read_inputs(path, run.info.columns).to(next(run.model.parameters()).dtype)
        if path.suffix.lower() == ".npy":
            import numpy as np

            source = np.load(path, allow_pickle=False)
        elif len(shape) == 3:
            source = _image(run, path, shape)
        else:
            raise ConfigError(
                f"HX3105 predict: {path.name!r} is neither an .npy file nor an image, which is what this "
                f"model can take ({shape}).",
                code="HX3105",
            )
    inputs = source if isinstance(source, Tensor) else as_tensor(source)
    if run.info.columns and tuple(inputs.shape[-1:]) == shape:
        inputs = scaled(inputs, run.info.columns)
    parameter = next(run.model.parameters())
    scale = 1.0 if inputs.is_floating_point() else run.info.scale
    inputs = inputs.to(parameter.dtype) if inputs.dtype != parameter.dtype else inputs
    inputs = inputs if scale == 1.0 else inputs * scale
    if tuple(inputs.shape) == shape or inputs.numel() == math.prod(shape):
        return inputs.reshape(1, *shape)
    if tuple(inputs.shape[1:]) != shape:
        raise ConfigError(
            f"HX3105 predict: the input has shape {tuple(inputs.shape)}; this model takes one sample of "
            f"shape {shape} or a batch of them.",
            code="HX3105",
        )
    return inputs


def _tokens(text: str | bytes | Path, length: int) -> list[int]:
    """Of a text, or of a .txt file, as TextClasses has them."""
    from ..data.text_classes import tokens_of

    if isinstance(text, Path) or (isinstance(text, str) and text.endswith(".txt") and os.path.isfile(text)):
        return tokens_of(Path(text).read_bytes(), length)
    return tokens_of(text.encode() if isinstance(text, str) else text, length)


def _image(run, path: Path, shape: tuple[int, ...]) -> Tensor:
    from ..data.images import decode

    return decode(path, shape[1:], grayscale=shape[0] == 1)
