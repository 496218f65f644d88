"""Models that torch exported: read, run at several sizes beside onnxruntime, traced with their sizes open, written again, trained."""

from __future__ import annotations

import inspect
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import helix
from helix import nn
from helix.graph import Dim, Spec

from .torch_models import CASES


@pytest.fixture(autouse=True)
def _drawn() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def exported(name: str, **options: Any) -> bytes:
    make, inputs, axes, _, opset = CASES[name]
    model, file = make().eval(), io.BytesIO()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 1.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, inputs(0), file, input_names=list(inspect.signature(model.forward).parameters), dynamic_axes=axes,
            opset_version=opset, dynamo=False, **options,
        )  # fmt: skip
    return file.getvalue()


def session(raw: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])


def close(found: Any, wanted: Any) -> None:
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6 * max(1.0, float(np.abs(b).max(initial=0))))


def shapes_of(model: Any, multiple: int) -> dict[str, Any]:
    """The file's shapes, with images whose sides are multiples."""
    dims = {name: Dim(name, min=2 * multiple, multiple_of=multiple) for name in "HW"} if multiple > 1 else {}
    return {port.name: [dims.get(str(size), size) for size in port.shape] for port in model.inputs}


@pytest.mark.parametrize("name", CASES)
def test_models_of_torch_run_and_are_graphs(name: str, tmp_path: Path) -> None:
    _, inputs, _, multiple, _ = CASES[name]
    raw = exported(name)
    theirs, model = session(raw), helix.onnx.load(raw)
    graph = model.trace(shapes_of(model, multiple))
    again = session(helix.onnx.export(graph, tmp_path / "m.onnx").path.read_bytes())
    for k in (0, 1, 2):
        given = [tensor.numpy() for tensor in inputs(k)]
        wanted = theirs.run(None, dict(zip([port.name for port in model.inputs], given, strict=True)))
        close(model.run(given), wanted)
        made = graph(*map(helix.tensor, given))
        close([tensor.numpy() for tensor in (made if isinstance(made, tuple) else (made,))], wanted)
        close(again.run(None, dict(zip([port.name for port in again.get_inputs()], given, strict=True))), wanted)
        close(model.run(given), wanted)
    assert model.plans.possible and model.plans.compiled.compiled == 3, "sizes that came twice are planned"


def test_sizes_that_do_not_fit_are_said_with_the_way_out() -> None:
    model = helix.onnx.load(exported("windows"))
    with pytest.raises(helix.errors.HelixError) as refused:
        _ = model.graph
    assert "trace(shapes={'x': (…, Dim('H', multiple_of=32), …)})" in "".join(refused.value.__notes__)


def test_a_model_of_torch_is_trained_and_written_again(tmp_path: Path) -> None:
    helix.manual_seed(0)
    model = helix.onnx.load(exported("resnet"))
    module = model.module()
    x, labels = helix.randn(8, 3, 32, 32), helix.arange(8) % 10
    optimizer = helix.optim.Adam(module.parameters(), lr=0.01)
    losses = []
    for _ in range(25):
        loss = nn.functional.cross_entropy(module(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    done = helix.onnx.export(module, tmp_path / "m.onnx", Spec((Dim("B"), 3, 32, 32)))
    (found,) = session(done.path.read_bytes()).run(None, {done.inputs[0]: x.numpy()})
    close([found, model.run([x])[0]], [module(x).detach().numpy()] * 2)
    assert (found.argmax(1) == labels.numpy()).mean() > 0.7


def test_quantised_models(tmp_path: Path) -> None:
    """By onnxruntime's own tool: products of 8-bit integers, and convolutions between QuantizeLinear and DequantizeLinear."""
    from onnxruntime import quantization

    (tmp_path / "f.onnx").write_bytes(exported("bert"))
    quantization.quantize_dynamic(tmp_path / "f.onnx", tmp_path / "q.onnx", weight_type=quantization.QuantType.QInt8)
    raw = (tmp_path / "q.onnx").read_bytes()
    model, given = helix.onnx.load(raw), [tensor.numpy() for tensor in CASES["bert"][1](1)]
    wanted = session(raw).run(None, dict(zip([port.name for port in model.inputs], given, strict=True)))
    for _ in range(3):
        for a, b in zip(model.run(given), wanted, strict=True):
            np.testing.assert_allclose(a, b, atol=0.05)
    assert any(step.op == "MatMulInteger" for step in model.program.steps)
    helix.onnx.export(model.graph, tmp_path / "again.onnx")


def test_models_of_other_tools_say_what_they_need() -> None:
    from onnx import TensorProto, helper

    node = helper.make_node("TreeEnsembleClassifier", ["x"], ["y", "p"], domain="ai.onnx.ml")
    graph = helper.make_graph(
        [node], "forest", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, ["N"])],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)])
    with pytest.raises(
        helix.errors.UnsupportedOpError, match=r"TreeEnsembleClassifier.*'ai\.onnx\.ml'.*classical machine"
    ) as e:
        helix.onnx.load(proto.SerializeToString())
    assert e.value.op == "TreeEnsembleClassifier"
    proto.opset_import[1].domain = proto.graph.node[0].domain = "com.microsoft"
    with pytest.raises(
        helix.errors.UnsupportedOpError, match=r"'com\.microsoft', which is not supported: onnxruntime's own"
    ):
        helix.onnx.load(proto.SerializeToString())
