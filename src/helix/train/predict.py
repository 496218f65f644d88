"""Run.predict: from a file or an array to named answers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from .._core import Generator
from ..data.dataset import as_tensor
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
    if isinstance(source, (str, Path)):
        path = Path(source)
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
    parameter = next(run.model.parameters())
    inputs = inputs.to(parameter.dtype) if inputs.dtype != parameter.dtype else inputs
    if tuple(inputs.shape) == shape or inputs.numel() == math.prod(shape):
        return inputs.reshape(1, *shape)
    if tuple(inputs.shape[1:]) != shape:
        raise ConfigError(
            f"HX3105 predict: the input has shape {tuple(inputs.shape)}; this model takes one sample of "
            f"shape {shape} or a batch of them.",
            code="HX3105",
        )
    return inputs


def _image(run, path: Path, shape: tuple[int, ...]) -> Tensor:
    from ..data.images import decode

    return decode(path, shape[1:], grayscale=shape[0] == 1)
