"""helix.onnx.export: models under onnxruntime at several sizes, round trips, control flow, files, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import helix
from helix import models, nn
from helix.graph import Dim, Spec
from helix.models.bert import Bert
from helix.models.gpt2 import GPT2
from helix.models.llama import Llama
from helix.models.mamba import Mamba
from helix.models.mamba2 import Mamba2
from helix.models.resnet import resnet18
from helix.models.t5 import T5
from helix.models.vit import ViT

B, T = Dim("B"), Dim("T", max=64)
TOKENS = Spec((B, T), helix.int64)
SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
SEQUENCE = {"s4": {"d_state": 4}, "s4d": {"d_state": 4}, "s5": {"d_state": 4}, "h3": {"d_state": 4},
            "hyena": {"filter_order": 8, "emb_dim": 5}}  # fmt: skip


class Recurrent(nn.Module):
    def __init__(self, kind: type) -> None:
        self.body, self.head = kind(6, 8, 2, batch_first=True, bidirectional=True), nn.Linear(16, 3)

    def forward(self, x: helix.Tensor) -> Any:
        states, ends = self.body(x)
        return {"out": self.head(states), "ends": ends}


def sequence(mixer: str, length: int) -> nn.Module:
    return models.SequenceDecoder(31, length=length, dim=8, depth=1, mixer=mixer, mixer_options=SEQUENCE[mixer])


MODELS: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
    "mlp": lambda: (nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 2)), Spec((B, 6))),
    "resnet": lambda: (resnet18(), Spec((B, 3, 32, 32))),
    "convolutions": lambda: (
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU(), nn.AvgPool2d(2), nn.ConvTranspose2d(4, 2, 2, 2)),
        Spec((B, 3, 8, 8)),
    ),
    "decoder": lambda: (models.Decoder(vocabulary=31, length=64, dim=16, depth=2, heads=2), TOKENS),
    "gpt2": lambda: (GPT2({"vocab_size": 31, "n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2}), TOKENS),
    "llama": lambda: (Llama({"vocab_size": 31, "max_position_embeddings": 64, "num_key_value_heads": 1, **SIZES}), TOKENS),
    "bert": lambda: (Bert({"vocab_size": 31, "max_position_embeddings": 64, **SIZES}), (TOKENS, TOKENS)),
    "t5": lambda: (
        T5({"vocab_size": 31, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}),
        (TOKENS, Spec((B, Dim("U")), helix.int64)),
    ),
    "vit": lambda: (ViT({"image_size": 16, "patch_size": 4, **SIZES}), Spec((B, 3, 16, 16))),
    "rnn": lambda: (nn.RNN(6, 8), Spec((T, B, 6))),
    "lstm": lambda: (Recurrent(nn.LSTM), Spec((B, T, 6))),
    "gru": lambda: (Recurrent(nn.GRU), Spec((B, T, 6))),
    "mamba": lambda: (Mamba({"vocab_size": 31, "hidden_size": 8, "state_size": 4, "num_hidden_layers": 2}), TOKENS),
    "mamba2": lambda: (
        Mamba2({"vocab_size": 31, "hidden_size": 8, "state_size": 4, "num_hidden_layers": 1, "num_heads": 2, "head_dim": 8, "n_groups": 1}),
        TOKENS,
    ),
    **{mixer: lambda mixer=mixer: (sequence(mixer, 64), TOKENS) for mixer in SEQUENCE},
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_models_run_under_onnxruntime_and_come_back(name: str, tmp_path: Path) -> None:
    helix.manual_seed(0)
    model, args = MODELS[name]()
    model.train()
    done = helix.onnx.export(model, tmp_path / "m.onnx", args)
    assert done.checked.startswith("onnxruntime") and done.error <= 1e-5, done
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    held = {tensor.name for tensor in onnx.load(done.path).graph.initializer}
    used = [name for name, _ in model.named_parameters() if not name.startswith("pooler.")]
    assert set(used) <= held, "names are kept"
    _round_trip(model.eval(), args, done)


def _round_trip(model: nn.Module, args: Any, done: Any) -> None:
    """helix.onnx.load gives the numbers of the model, at sizes that the export has not tried."""
    given = []
    for spec in args if isinstance(args, tuple) else (args,):
        shape = [size if isinstance(size, int) else 4 + len(size.name + str(i)) for i, size in enumerate(spec.shape)]
        tokens = not spec.dtype.is_floating_point
        given.append(helix.randint(0, 2, shape) if tokens else helix.randn(*shape))
    with helix.no_grad():
        made = helix.graph.tree.flatten(model(*given))[0]
    found = helix.onnx.load(done.path).run([tensor.numpy() for tensor in given])
    for a, b in zip(made, found, strict=True):
        np.testing.assert_allclose(np.asarray(b), a.numpy(), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["mamba", "mamba2", *SEQUENCE])
def test_sequence_models_run_at_any_length(name: str, tmp_path: Path) -> None:
    helix.manual_seed(0)
    model, args = MODELS[name]()
    done = helix.onnx.export(model, tmp_path / "m.onnx", args)
    session = onnxruntime.InferenceSession(str(done.path), providers=["CPUExecutionProvider"])
    for batch, length in ((1, 2), (3, 17), (2, 64)):
        tokens = helix.randint(0, 31, (batch, length))
        with helix.no_grad():
            expected = model.eval()(tokens).numpy()
        (found,) = session.run(None, {done.inputs[0]: tokens.numpy()})
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=5e-6)


def test_an_s4_kernel_bounds_the_length(tmp_path: Path) -> None:
    layer = nn.S4(4, d_state=4, l_max=16)
    with pytest.raises(helix.errors.TraceError, match=r"made for l_max=16, .* as in Dim\('T', max=16\)"):
        helix.onnx.export(layer, tmp_path / "m.onnx", Spec((B, 4, Dim("T"))))
    assert helix.onnx.export(layer, tmp_path / "m.onnx", Spec((B, 4, Dim("T", max=16)))).checked


def test_recurrent_layers_are_the_operators_of_the_format(tmp_path: Path) -> None:
    for kind, operator in ((nn.LSTM, "LSTM"), (nn.GRU, "GRU")):
        done = helix.onnx.export(Recurrent(kind), tmp_path / "m.onnx", Spec((B, T, 6)))
        assert done.operators[operator] == 4 and "Scan" not in done.operators
        assert done.outputs[0] == "output.out"
    done = helix.onnx.export(resnet18(), tmp_path / "m.onnx", Spec((B, 3, 32, 32)))
    assert done.operators["BatchNormalization"] == 20 and done.nodes < 75


def test_every_operator_of_a_model_is_one_of_the_standard_and_nodes_tell_their_place(tmp_path: Path) -> None:
    model, args = MODELS["gpt2"]()
    helix.onnx.export(model, tmp_path / "m.onnx", args)
    proto = onnx.load(tmp_path / "m.onnx")
    assert [(part.domain, part.version) for part in proto.opset_import] == [("", 20)]
    assert proto.producer_name == "helix" and proto.producer_version == helix.__version__
    assert {p.key: p.value for p in proto.metadata_props}["helix.dimensions"] == "B: 1.., T: 1..64"
    assert any(node.name.startswith("transformer.h.1.attn/") for node in proto.graph.node)
    assert any("test_export.py" in node.doc_string for node in proto.graph.node)
    assert "/" not in "".join(node.doc_string for node in proto.graph.node)
    (inputs,) = proto.graph.input
    assert [size.dim_param for size in inputs.type.tensor_type.shape.dim] == ["B", "T"]


@pytest.mark.parametrize("opset", [18, 19, 21, 23])
def test_other_operator_sets(opset: int, tmp_path: Path) -> None:
    for name in ("mlp", "decoder", "lstm", "hyena", "convolutions"):
        model, args = MODELS[name]()
        assert helix.onnx.export(model, tmp_path / "m.onnx", args, opset=opset).error <= 1e-5
        assert onnx.load(tmp_path / "m.onnx").ir_version == {18: 8, 19: 9}.get(opset, 10)


def test_an_operator_set_that_the_runtime_does_not_know_is_checked_by_the_reference(tmp_path: Path) -> None:
    newest = onnx.defs.onnx_opset_version()
    done = helix.onnx.export(nn.Linear(4, 2), tmp_path / "m.onnx", Spec((B, 4)), opset=newest)
    assert done.opset == newest and ("operator set yet" in done.checked or done.checked.startswith("onnxruntime"))


# ---- control flow ------------------------------------------------------------------------------------------


def test_choices_scans_and_loops(tmp_path: Path) -> None:
    weight = helix.tensor([1.0, 2.0, 3.0, 4.0])

    def run(x: helix.Tensor, n: helix.Tensor) -> Any:
        def step(carry: helix.Tensor, row: helix.Tensor) -> Any:
            carry = helix.cond(row.sum() > 0, lambda: carry + row * weight, lambda: carry * 0.5)
            return carry, carry.sum()

        last, sums = helix.scan(step, helix.zeros(4), x)
        _, back = helix.scan(step, last, x, reverse=True)
        turns, _ = helix.while_loop(lambda k, y: k < n, lambda k, y: (k + 1, y * 2), helix.tensor(0), last)
        return last, sums, back, turns

    done = helix.onnx.export(run, tmp_path / "m.onnx", (Spec((T, 4)), Spec((), helix.int64)))
    assert done.inputs == ("x", "n") and {"Scan", "Loop"} <= set(done.operators) and done.error <= 1e-5
    back, given = helix.onnx.load(done.path), (helix.randn(9, 4), helix.tensor(5))
    assert [node.op for node in back.graph.nodes if node.graphs] == ["scan", "scan", "while_loop"]
    for found in (back.run(given), [tensor.numpy() for tensor in back.graph(*given)]):
        for a, b in zip(run(*given), found, strict=True):
            np.testing.assert_allclose(b, a.numpy(), rtol=1e-6)
    assert {"Scan", "Loop"} <= set(helix.onnx.export(back.graph, tmp_path / "again.onnx").operators)


def test_a_loop_with_a_bound_ends_there(tmp_path: Path) -> None:
    def run(x: helix.Tensor) -> helix.Tensor:
        return helix.while_loop(lambda y: y.sum() < 100, lambda y: y * 2, x, max_steps=3)

    done = helix.onnx.export(run, tmp_path / "m.onnx", (Spec((3,)),))
    back = helix.onnx.load(done.path)
    for start in (1.0, 30.0):
        x = helix.full((3,), start)
        np.testing.assert_array_equal(back.run([x])[0], run(x).numpy())


def test_windows_and_diagonals_at_any_size(tmp_path: Path) -> None:
    def run(x: helix.Tensor) -> Any:
        square = x @ x.mT
        return (
            x.unfold(1, 3, 1).sum(-1),
            x.unfold(1, 3, 2).mean((1, 3)),
            square.diagonal(0, 1, 2),
            square.diagonal(-1, 2, 1),
        )

    done = helix.onnx.export(run, tmp_path / "m.onnx", Spec((B, T, 4)))
    session = onnxruntime.InferenceSession(str(done.path), providers=["CPUExecutionProvider"])
    for size in (3, 8, 21):
        x = helix.randn(2, size, 4)
        for found, wanted in zip(session.run(None, {"x": x.numpy()}), run(x), strict=True):
            np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5, atol=1e-5)


def test_matrices_are_solved_at_any_size(tmp_path: Path) -> None:
    def run(a: helix.Tensor, b: helix.Tensor) -> Any:
        whole = a @ a.mT + helix.eye(a.shape[-1])
        return (
            helix.linalg.solve(a, b),
            helix.linalg.inv(a),
            helix.linalg.cholesky(whole),
            *helix.linalg.slogdet(a),
            helix.linalg.det(a),
        )

    done = helix.onnx.export(run, tmp_path / "m.onnx", (Spec((B, T, T)), Spec((B, T, 2))))
    session = onnxruntime.InferenceSession(str(done.path), providers=["CPUExecutionProvider"])
    for size in (2, 5, 12):
        a, b = helix.randn(3, size, size), helix.randn(3, size, 2)
        for found, wanted in zip(session.run(None, {"a": a.numpy(), "b": b.numpy()}), run(a, b), strict=True):
            np.testing.assert_allclose(found, wanted.numpy(), rtol=2e-3, atol=2e-4)
    (singular,) = onnxruntime.InferenceSession(
        str(helix.onnx.export(helix.linalg.inv, tmp_path / "i.onnx", Spec((T, T))).path), providers=["CPUExecutionProvider"]
    ).run(None, {"A": np.ones((3, 3), np.float32)})  # fmt: skip
    assert not np.isfinite(singular).all()


def test_a_graph_with_dimensions_and_complex_numbers(tmp_path: Path) -> None:
    graph = helix.trace(lambda x: helix.fft.ifft(helix.fft.fft(x) * 2).real + x.mean(), Spec((B, 8)))
    done = helix.onnx.export(graph, tmp_path / "m.onnx", input_names=["signal"], output_names=["twice"])
    assert (done.inputs, done.outputs) == (("signal",), ("twice",)) and done.error <= 1e-5
    done = helix.onnx.export(lambda z: z.exp() * z, tmp_path / "z.onnx", Spec((B, 3), helix.complex64))
    assert done.inputs == ("z.real", "z.imag") and done.outputs == ("output.real", "output.imag")


def test_dynamic_axes_by_name_and_custom_functions(tmp_path: Path) -> None:
    class Twice(helix.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: helix.Tensor) -> helix.Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: helix.Tensor) -> helix.Tensor:
            return g * 2

    x = helix.randn(2, 3)
    done = helix.onnx.export(lambda x: Twice.apply(x).relu(), tmp_path / "m.onnx", x, dynamic={"x": {0: "rows"}})
    session = onnxruntime.InferenceSession(str(done.path), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.ones((7, 3), np.float32)})[0].shape == (7, 3)
    with pytest.raises(helix.errors.ParameterError, match="dynamic names the input 'y'; there are x"):
        helix.onnx.export(lambda x: x + 1, tmp_path / "m.onnx", x, dynamic={"y": {0: "B"}})


@pytest.mark.parametrize("dtype", [helix.float64, helix.float16, helix.bfloat16])
def test_other_floats(dtype: Any, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)).to(dtype)
    done = helix.onnx.export(model, tmp_path / "m.onnx", Spec((B, 6), dtype))
    assert done.checked.startswith("onnxruntime")
    model = nn.Sequential(nn.Conv1d(2, 3, 2), nn.GELU()).to(helix.float64)
    done = helix.onnx.export(model, tmp_path / "m.onnx", Spec((B, 2, 6), helix.float64))
    assert "onnx.reference" in done.checked and "no kernel" in done.checked


# ---- files -------------------------------------------------------------------------------------------------


def test_weights_in_a_file_beside_the_model(tmp_path: Path) -> None:
    model = nn.Linear(64, 32)
    done = helix.onnx.export(model, tmp_path / "m.onnx", Spec((B, 64)), external_data=True)
    assert done.external == tmp_path / "m.onnx.data" and done.external.stat().st_size >= 64 * 32 * 4
    assert done.path.stat().st_size < 2000 and sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    session = onnxruntime.InferenceSession(str(done.path), providers=["CPUExecutionProvider"])
    assert session.run(None, {"input": np.ones((1, 64), np.float32)})[0].shape == (1, 32)


def test_weights_beyond_what_a_message_holds_are_put_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(helix.onnx.export.__globals__, "LARGE", 4000)
    model = nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 4))
    done = helix.onnx.export(model, tmp_path / "m.onnx", Spec((B, 32)))
    assert done.external == tmp_path / "m.onnx.data" and done.path.stat().st_size < 4000
    x = helix.randn(5, 32)
    np.testing.assert_allclose(helix.onnx.load(done.path).run([x])[0], model(x).detach().numpy(), atol=1e-6)
    with pytest.raises(helix.errors.ParameterError, match="an ONNX file ends at 2 GB"):
        helix.onnx.export(model, tmp_path / "n.onnx", Spec((B, 32)), external_data=False)
    from helix.onnx.writing import table

    monkeypatch.setitem(table._real, "tanh", (lambda w, x: w.Sin(x), None))
    with pytest.raises(helix.errors.ExportError, match="first node that differs is tanh"):
        helix.onnx.export(model, tmp_path / "n.onnx", Spec((B, 32)))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]


def test_what_differs_is_an_error_with_the_first_node_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from helix.onnx.writing import table

    table.written()
    _, when = table._real["tanh"]
    monkeypatch.setitem(table._real, "tanh", (lambda w, x: w.Sin(x), when))
    (tmp_path / "m.onnx").write_text("before")
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    with pytest.raises(
        helix.errors.ExportError, match=r"HX4031 .* at B = 3.*first node that differs is tanh, made at .*, in 1"
    ):
        helix.onnx.export(model, tmp_path / "m.onnx", Spec((B, 4)))
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"] and (tmp_path / "m.onnx").read_text() == "before"
    assert helix.onnx.export(model, tmp_path / "m.onnx", Spec((B, 4)), check=False).checked == ""
    assert helix.onnx.export(model, tmp_path / "m.onnx", Spec((B, 4)), tolerance=10.0).error > 1e-3


def test_without_onnxruntime_the_reference_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = helix.onnx.export(nn.Linear(3, 2), tmp_path / "m.onnx", Spec((B, 3)))
    assert done.checked == "onnx.reference, as onnxruntime is not installed" and done.error <= 1e-5


# ---- errors ------------------------------------------------------------------------------------------------


class Noisy(nn.Module):
    def forward(self, x: helix.Tensor) -> helix.Tensor:
        return x + helix.randn(3)


def test_a_model_that_was_read_keeps_the_names_of_its_inputs_and_outputs(tmp_path: Path) -> None:
    spec = Spec((B, 4))
    helix.onnx.export(nn.Linear(4, 2), tmp_path / "a.onnx", spec, input_names=["image"], output_names=["score"])
    module = helix.onnx.load(tmp_path / "a.onnx").module()
    done = helix.onnx.export(module, tmp_path / "b.onnx", spec)
    session = onnxruntime.InferenceSession(str(tmp_path / "b.onnx"))
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, made.name, made.shape) == ("image", ["B", 4], "score", ["B", 2])
    assert helix.onnx.export(module, tmp_path / "c.onnx", spec, output_names=["y"]).outputs == ("y",)
    assert done.inputs == ("image",)


def test_what_cannot_be_exported_names_op_module_and_line(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with pytest.raises(
        helix.errors.UnsupportedOpError, match=r"HX4030 randn .*test_export.py:\d+, in 0: it draws random"
    ) as e:
        helix.onnx.export(nn.Sequential(Noisy()), path, Spec((3,)))
    assert e.value.op == "randn"
    with pytest.raises(helix.errors.UnsupportedOpError, match="svd_base cannot be exported, made at .*test_export.py"):
        helix.onnx.export(lambda x: helix.linalg.svdvals(x), path, Spec((3, 3)))
    with pytest.raises(helix.errors.UnsupportedOpError, match="writes .* in place.*eval mode"):
        helix.onnx.export(nn.BatchNorm1d(3), path, Spec((B, 3)), training=True)
    with pytest.raises(helix.errors.UnsupportedOpError, match="dropout"):
        helix.onnx.export(nn.Dropout(0.5), path, Spec((B, 3)), training=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"opset": 9}, "opset must be 18 to"),
        ({"input_names": ["a", "b"]}, "input_names must be 1 different names"),
        ({"output_names": [""]}, "output_names must be 1 different names"),
        ({"args": None}, "args must hold a tensor or Spec"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], text: str, tmp_path: Path) -> None:
    args = options.pop("args", Spec((B, 3)))
    with pytest.raises(helix.errors.ParameterError, match=text):
        helix.onnx.export(nn.Linear(3, 2), tmp_path / "m.onnx", args, **options)
    graph = helix.trace(lambda x: x + 1, Spec((3,)))
    with pytest.raises(helix.errors.ParameterError, match="a graph has its own inputs"):
        helix.onnx.export(graph, tmp_path / "m.onnx", Spec((3,)))


def test_nan_is_found_by_extremes(tmp_path: Path) -> None:
    x = helix.tensor([[1.0, helix.inf, helix.nan, 2.0], [0.0, 3.0, -helix.inf, 1.0]])
    done = helix.onnx.export(lambda x: (*x.max(1), *x.min(1), x.argmax(), x.amax(0)), tmp_path / "m.onnx", x)
    assert done.error == 0.0


def test_signs_of_nan_and_of_minus_zero(tmp_path: Path) -> None:
    x = helix.tensor([helix.nan, -helix.inf, -0.0, 2.0])
    assert helix.onnx.export(helix.sign, tmp_path / "m.onnx", x).error == 0.0
    assert helix.onnx.load(tmp_path / "m.onnx").run([x])[0].tolist() == [0, -1, 0, 1]
    y, x = helix.tensor([1.0, -1.0, 0.0, -0.0, 1.0]), helix.tensor([-0.0, -0.0, -0.0, -0.0, 0.0])
    helix.onnx.export(helix.atan2, tmp_path / "m.onnx", (y, x))
    found = helix.onnx.load(tmp_path / "m.onnx").run([y, x])[0]
    assert abs(found - helix.atan2(y, x).numpy()).max() < 1e-6


@pytest.mark.parametrize("dtype", [helix.float32, helix.float64, helix.float16])
def test_sorts_keep_the_order_of_equals_and_put_nan_above_infinity(dtype: Any, tmp_path: Path) -> None:
    inf, nan, most = helix.inf, helix.nan, helix.finfo(dtype).max
    row = [1.0, nan, inf, -inf, 2.0, nan, most, inf, 1.0, -0.0, 0.0, -nan, 2.0, -most, most, inf]
    x = helix.tensor([row, row[::-1]], dtype=dtype)

    def run(x: helix.Tensor) -> Any:
        rising, falling = x.sort(-1, stable=True), x.sort(-1, descending=True, stable=True)
        ends = x.topk(5, -1), x.topk(6, -1, largest=False)
        return (
            *rising,
            *falling,
            *[place for pair in ends for place in pair],
            x.argsort(0),
            *x.kthvalue(12, -1),
            *x.median(-1),
        )

    done = helix.onnx.export(run, tmp_path / "m.onnx", x)
    assert done.error == 0.0
    session = onnxruntime.InferenceSession(str(done.path), providers=["CPUExecutionProvider"])
    found = session.run(None, {"x": x.numpy()})
    for a, b in zip(run(x), found, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
    for a, b in zip(run(x), helix.onnx.load(done.path).run([x]), strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
