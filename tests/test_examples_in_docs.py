"""Every example in a docstring of the core's Python surface gives what it says."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import helix

MODULES = (
    "array_api.array",
    "array_api.creation",
    "array_api.data_types",
    "array_api.elementwise",
    "array_api.fft",
    "array_api.indexing",
    "array_api.inspection",
    "array_api.linalg",
    "array_api.linear_algebra",
    "array_api.manipulation",
    "array_api.searching",
    "array_api.sets",
    "array_api.sorting",
    "array_api.statistical",
    "array_api.utility",
    "autograd",
    "checkpointing",
    "data.collate",
    "data.tokenizer",
    "energy",
    "nn.recompute",
    "precision",
    "train.builder",
    "backends.base",
    "composites",
    "creation",
    "dtypes",
    "einops",
    "errors",
    "io",
    "linalg",
    "matrix_ops",
    "kernel.raw",
    "low_rank",
    "ops",
    "order_statistics",
    "predicates",
    "product_ops",
    "models.bert",
    "models.decoder",
    "models.recurrent",
    "models.generate",
    "models.t5",
    "models.vit",
    "models.whisper",
    "models.gpt2",
    "models.llama",
    "models.mixtral",
    "models.pretrained",
    "data.karate",
    "data.recall",
    "models.diffusion",
    "models.dit",
    "models.mamba",
    "models.pointnet",
    "models.sequence",
    "models.mamba2",
    "metrics.accuracy",
    "metrics.calibration",
    "metrics.confusion",
    "metrics.correlation",
    "metrics.exactmatch",
    "metrics.fscore",
    "metrics.language",
    "metrics.mean",
    "metrics.ranking",
    "metrics.regression",
    "metrics.segmentation",
    "metrics.text",
    "nn.attention",
    "nn.cells",
    "nn.recurrent",
    "nn.utils.rnn",
    "nn.transformer",
    "nn.functions.activations",
    "nn.functions.attention",
    "nn.functions.losses",
    "nn.functions.pooling",
    "nn.functions.products",
    "nn.functions.random",
    "nn.functions.scans",
    "nn.functions.spatial",
    "nn.functions.tables",
    "nn.init",
    "nn.functions.contrastive",
    "nn.functions.focal",
    "nn.functions.overlap",
    "nn.grouped",
    "nn.masks",
    "func",
    "graph.control",
    "graph.gradient",
    "graph.ir",
    "graph.spec",
    "graph.symbols",
    "graph.tracing",
    "nn.graph",
    "nn.h3",
    "nn.hyena",
    "nn.longconv",
    "nn.moe",
    "nn.reversible",
    "nn.mamba",
    "nn.mamba2",
    "nn.s4",
    "nn.s4d",
    "nn.s5",
    "nn.positions",
    "nn.scored",
    "nn.windows",
    "onnx.limits",
    "onnx.model",
    "optim.sam",
    "optim.sgd",
    "random",
    "shape_ops",
    "signal.windows",
    "spectrograms",
    "statistics",
    "tensor",
    "threading_knobs",
)


def examples():
    found = []
    for name in MODULES:
        module = importlib.import_module(f"helix.{name}")
        found += [
            t for t in doctest.DocTestFinder().find(module, globs={"helix": helix, "xp": helix.array_api}) if t.examples
        ]
    parser = doctest.DocTestParser()
    for name in dir(helix._core):
        value = getattr(helix._core, name)
        if inspect.isroutine(value) and ">>>" in (value.__doc__ or ""):
            found.append(parser.get_doctest(value.__doc__, {"helix": helix}, name, None, 0))
    for name, function in helix._core.special_functions().items():
        found.append(parser.get_doctest(function.__doc__, {"helix": helix}, f"special.{name}", None, 0))
    for name, function in helix._core.linalg_functions().items():
        found.append(parser.get_doctest(function.__doc__, {"helix": helix}, f"linalg.{name}", None, 0))
    for name, function in helix._core.fft_functions().items():
        found.append(parser.get_doctest(function.__doc__, {"helix": helix}, f"fft.{name}", None, 0))
    return found


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_example(example):
    output = []
    doctest.DocTestRunner().run(example, out=output.append)
    assert not output, "".join(output)


def test_the_page_of_graphs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "graph.md").read_text(encoding="utf-8")
    names = {"__name__": "page"}
    for i, block in enumerate(re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)):
        exec(compile(block, f"block{i}.py", "exec"), names)
    shown = capsys.readouterr().out.partition("return")[0].replace("block0.py", "train.py")
    assert shown in page and (tmp_path / "model.html").exists()
