"""helix as typed programs use it. Each test runs; `mypy --strict tests/test_typed_use.py` (make lint) checks that types say what runs
give, and, in `refused`, that wrong uses are seen: there an error that is missing makes its `ignore` one too many."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

import helix
from helix import Tensor, nn
from helix.graph import Compiled, Dim, Graph, Spec


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return helix.relu(x)

    @helix.compile
    def scaled(self, x: Tensor, by: float = 2.0) -> Tensor:
        return x * by


def total(x: Tensor, y: Tensor | None = None) -> Tensor:
    return x.sum()


def test_modules_stay_what_they_are() -> None:
    assert_type(Net().eval(), Net)
    assert_type(Net().to("cpu").layer, nn.Linear)
    model = helix.compile(Net())
    assert_type(model, Net)
    assert_type(model.layer.in_features, int)
    assert_type(helix.compile(cache_size=4)(Net()), Net)
    assert model.layer.in_features == 2
    assert model(helix.ones(2)).tolist() == [1.0, 1.0]
    assert isinstance(model, Compiled)  # and has what it shows as well
    assert_type(model.graph, Graph)
    assert "Net" in model.explain()


def test_functions_keep_their_parameters() -> None:
    compiled = helix.compile(total, fallback="error")
    assert_type(compiled(helix.ones(2), y=None), Tensor)
    assert_type(compiled.graph, Graph)
    assert_type(compiled.statistics()[0].fused, int)
    assert_type(Net().scaled(helix.ones(2), by=3.0), Tensor)
    assert Net().scaled(helix.ones(2), by=3.0).tolist() == [3.0, 3.0]
    assert compiled(helix.ones(2), y=None).item() == 2


def test_tracing() -> None:
    graph = helix.trace(total, Spec((Dim("B"),)))
    assert_type(graph, Graph)
    assert_type(helix.trace(helix.ones(2, 2)), Tensor)
    assert [node.op for node in graph.nodes] == ["sum"]
    found = helix.estimate(Net(), Spec((4, 2)))
    assert_type(found.total, int)
    assert found.batch is None


def test_control_flow() -> None:
    rows = helix.ones(3)
    last, sums = helix.scan(lambda c, x: ((c[0] + x, c[1]), c[0]), (rows[0], rows[1]), rows)
    assert_type(last, tuple[Tensor, Tensor])
    assert_type(sums, Tensor)
    assert_type(helix.cond(rows[0] > 1, lambda x, y: x, lambda x, y: y, rows, rows), Tensor)
    assert_type(helix.while_loop(lambda x: x < 9, lambda x: x * 2, rows[0]), Tensor)
    pair = helix.while_loop(lambda x, y: x < 9, lambda x, y: (x * 2, y), rows[0], rows)
    assert_type(pair, tuple[Tensor, Tensor])
    assert (last[0].item(), sums.tolist(), pair[0].item()) == (4.0, [1.0, 2.0, 3.0], 16.0)


@helix.no_grad()
def halves(x: Tensor) -> tuple[Tensor, ...]:
    return helix.chunk(x, 2)


def test_modes_and_parts() -> None:
    with helix.no_grad(), helix.autocast("cpu", dtype=helix.bfloat16):
        assert_type(halves(helix.ones(4)), tuple[Tensor, ...])
    assert_type(helix.checkpoint(halves, helix.ones(4)), tuple[Tensor, ...])
    assert_type(helix.finfo(helix.float32).eps, float)
    assert_type(helix.ones(4).split(2), tuple[Tensor, ...])
    assert_type(helix.svd(helix.ones(2, 2)).V, Tensor)
    assert len(halves(helix.ones(4))) == 2


def test_training() -> None:
    trainer = helix.Trainer(Net(), epochs=1, progress="none")
    assert_type(trainer, helix.train.Trainer)
    assert_type(trainer.model, nn.Module)
    assert trainer.settings.epochs == 1


if TYPE_CHECKING:

    def refused(x: Tensor, model: Net, trainer: helix.train.Trainer) -> None:
        assert_type(helix.train("digits", epochs=1), helix.train.Run)
        assert_type(helix.onnx.load("model.onnx").trace(), Graph)
        assert_type(helix.onnx.export(model, "model.onnx", (x,)), helix.onnx.Exported)
        helix.compile(total)(x, 3)  # type: ignore[arg-type]
        helix.compile(total)()  # type: ignore[call-arg]
        helix.compile(total).explane()  # type: ignore[attr-defined]
        helix.compile(total, fallback="quiet")  # type: ignore[call-overload]
        helix.compile(model).weights  # type: ignore[attr-defined]
        helix.trace("model")  # type: ignore[call-overload]
        helix.scan(total, x, x)  # type: ignore[arg-type]
        helix.cond("yes", total, total, x)  # type: ignore[arg-type]
        helix.while_loop(lambda a: a < 2, lambda a: a.shape, x)  # type: ignore[arg-type,return-value]
        helix.estimate(model, measure="now")  # type: ignore[arg-type]
        helix.Trainer("mlp")  # type: ignore[arg-type]
        helix.train.trainer_of("mlp")  # type: ignore[attr-defined]
        helix.train.resume(3)  # type: ignore[arg-type]
        helix.onnx.export(model, 3)  # type: ignore[arg-type]
        halves("x")  # type: ignore[arg-type]
        helix.split(x, size=2)  # type: ignore[call-arg]
        helix.no_such_name  # type: ignore[attr-defined]
