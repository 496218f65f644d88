"""What a model will need, beside what the pool measures when it runs."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import helix
from helix import models, nn
from helix.cli.main import cli
from helix.errors import ArgumentError
from helix.graph import Dim, Spec, estimate, largest_batch
from helix.graph.estimating import _prepared, memory_of
from helix.graph.lives import Lives, watched

F = nn.functional
TEXT = Spec((Dim("B"), 64), helix.int64)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Whether two threads hold their blocks at one time depends on what else the machine does."""
    before = helix.get_num_threads()
    helix.set_num_threads(1)
    yield
    helix.set_num_threads(before)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def decoder() -> nn.Module:
    return models.Decoder(256, 64, dim=64, depth=3, heads=4)


MODELS: dict[str, tuple[Callable[[], nn.Module], Spec]] = {
    "mlp": (mlp, Spec((Dim("B"), 256))),
    "cnn": (lambda: models.cnn((3, 16, 16), 10), Spec((Dim("B"), 3, 16, 16))),
    "resnet18": (lambda: models.resnet18(num_classes=10), Spec((Dim("B"), 3, 32, 32))),
    "gpt": (decoder, TEXT),
    "lstm": (lambda: models.RecurrentClassifier((32, 16), 10), Spec((Dim("B"), 32, 16))),
    "mamba": (lambda: models.SequenceDecoder(256, 64, dim=64, depth=2), TEXT),
}


def measured(
    make: Callable[[], nn.Module], spec: Spec, batch: int, training: bool, checkpoint: bool = False, cast: bool = False
) -> int:
    """What the pool says of the second step, with all that the model holds."""
    gc.collect()
    base = int(helix.memory_stats()["live_bytes"])
    model, shape = make(), (batch, *spec.shape[1:])
    x = helix.randn(shape) if spec.dtype.is_floating_point else helix.randint(0, 256, shape)
    optimizer = helix.optim.AdamW(model.parameters(), lr=1e-3) if training else None
    targets = helix.zeros(model.infer(x).shape[:-1], dtype=helix.int64).reshape(-1)

    def step() -> None:
        if optimizer is None:
            with helix.no_grad():
                model(x)
            return
        with helix.autocast("cpu", helix.bfloat16, enabled=cast):
            y = model(x)
            loss = F.cross_entropy(y.reshape(-1, y.shape[-1]), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    with _prepared(model, training, checkpoint):
        step()
        gc.collect()
        helix.reset_peak_memory()
        step()
        return int(helix.memory_stats()["peak_bytes"]) - base


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("name", MODELS)
def test_the_total_is_what_the_pool_measures(name: str, training: bool) -> None:
    make, spec = MODELS[name]
    found = estimate(make(), spec, batch=32, optimizer="adamw" if training else None)
    real = measured(make, spec, 32, training)
    assert abs(found.total - real) <= 0.1 * real, (found, real)


@pytest.mark.parametrize("name", ["gpt", "lstm"])
def test_under_autocast(name: str) -> None:
    make, spec = MODELS[name]
    found = estimate(make(), spec, batch=32, optimizer="adamw", precision="bfloat16")
    real = measured(make, spec, 32, True, cast=True)
    assert abs(found.total - real) <= 0.1 * real, (found, real)


@pytest.mark.parametrize("first", [True, False], ids=["cleared first", "cleared last"])
@pytest.mark.parametrize("name", ["mlp", "gpt"])
def test_a_plan_tells_what_a_compiled_step_holds(name: str, first: bool) -> None:
    make, spec = MODELS[name]
    gc.collect()
    base = int(helix.memory_stats()["live_bytes"])
    model, shape = make(), (32, *spec.shape[1:])
    x = helix.randn(shape) if spec.dtype.is_floating_point else helix.randint(0, 256, shape)
    optimizer = helix.optim.AdamW(model.parameters(), lr=1e-3)
    targets = helix.zeros(model.infer(x).shape[:-1], dtype=helix.int64).reshape(-1)

    @helix.compile
    def step(x: helix.Tensor) -> helix.Tensor:
        if first:
            optimizer.zero_grad()
        y = model(x)
        loss = F.cross_entropy(y.reshape(-1, y.shape[-1]), targets)
        loss.backward()
        optimizer.step()
        if not first:
            optimizer.zero_grad()
        return loss.detach()

    for _ in range(3):
        step(x)
    gc.collect()
    helix.reset_peak_memory()
    step(x)
    real = int(helix.memory_stats()["peak_bytes"]) - base
    (plan,) = step.statistics()
    held = 3 * sum(4 * p.numel() for p in model.parameters()) + x.nbytes + targets.nbytes
    assert abs(held + plan.arena + 2 * plan.results - real) <= 0.05 * real
    assert (plan.results > 1000) is first


def test_checkpointed_layers_hold_less() -> None:
    plain, less = [estimate(decoder(), TEXT, batch=32, optimizer="sgd", checkpoint=c) for c in (False, True)]
    assert less.total < 0.7 * plain.total and less.flops > 1.2 * plain.flops
    real = measured(decoder, TEXT, 32, True, checkpoint=True)
    found = estimate(decoder(), TEXT, batch=32, optimizer="adamw", checkpoint=True).total
    assert abs(found - real) <= 0.1 * real


def test_parts_add_up_and_nothing_is_taken() -> None:
    model = mlp()
    gc.collect()
    before = helix.memory_stats()["live_bytes"]
    found = estimate(model, Spec((Dim("B"), 256)), batch=64, optimizer="adam")
    count = sum(p.numel() for p in model.parameters())
    assert found.parameter_count == count and found.parameters == found.gradients == found.optimizer / 2
    assert abs(found.parameters - 4 * count) < 64 * 6
    forward = helix.trace(model, Spec((64, 256))).cost().flops
    assert 2.5 * forward < found.flops < 3 * forward  # the first layer's input has no gradient
    assert found.total <= found.parameters + found.gradients + found.optimizer + found.inputs + found.activations
    assert all(p.grad is None for p in model.parameters()) and model.training
    gc.collect()
    assert helix.memory_stats()["live_bytes"] - before < 100_000
    half = estimate(decoder(), TEXT, batch=32, optimizer="adamw", precision="bfloat16")
    assert half.total < 0.8 * estimate(decoder(), TEXT, batch=32, optimizer="adamw").total
    assert estimate(model, Spec((8, 256)), measure=True).seconds > 0
    assert "131,072" not in str(found) and f"{count:,} parameters" in str(found)


class Detached(nn.Linear):
    def forward(self, x: helix.Tensor) -> helix.Tensor:
        return super().forward(x).detach()


UNTRAINABLE = {
    "Identity has no parameter that requires grad; leave optimizer out": nn.Identity(),
    "Linear has no parameter that requires grad": nn.Linear(4, 4).requires_grad_(False),
    "no parameter of Detached has influence on the loss": Detached(4, 4),
    "needs a model that is a helix.nn.Module, which softmax is not": F.softmax,
}


@pytest.mark.parametrize("text", UNTRAINABLE)
def test_a_step_that_trains_nothing_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match=f"HX1103 estimate: optimizer .*{text}"):
        estimate(UNTRAINABLE[text], Spec((2, 4)), optimizer="adam")


def test_states_of_optimizers() -> None:
    model = nn.Linear(64, 32, bias=False)
    size = 4 * 64 * 32
    for name, times in (("sgd", 0), ("adamw", 2), ("lion", 1), ("rmsprop", 1)):
        assert estimate(model, Spec((2, 64)), optimizer=name).optimizer == times * size
    momentum = estimate(model, Spec((2, 64)), optimizer=lambda ps: helix.optim.SGD(ps, lr=0.1, momentum=0.9))
    assert momentum.optimizer == size


def test_the_largest_batch_fits_and_one_more_does_not() -> None:
    spec = Spec((Dim("B"), 256))
    for memory in ("4MB", 9_000_000):
        batch = largest_batch(mlp(), spec, memory=memory, optimizer="adamw")
        room = memory_of(memory)
        totals = [estimate(mlp(), spec, batch=b, optimizer="adamw").total if b else 0 for b in (batch, batch + 1)]
        assert totals[0] <= room < totals[1]
    assert largest_batch(mlp(), spec, memory="1 KiB") == 0
    assert [memory_of(t) for t in ("8GB", "1.5 GiB", "10", "2kb", 7)] == [8 * 10**9, 3 * 2**29, 10, 2000, 7]


def test_lives_of_views_and_sums() -> None:
    tracer = watched()
    with tracer:
        x = tracer.input((1024,), helix.float32)
        y = x * 2
        part = y[:16]
        del y
        z = part.sum() + x.exp().sum()
        lives = Lives(tracer)
    ops = [call[0] for call in lives.calls]
    assert lives.last[lives.owner[lives.calls[0][2][0]]] == len(ops)  # the view shows all of it
    assert lives.last[lives.calls[ops.index("exp")][2][0]] == len(ops) - 1
    assert lives.peak().results == 2 * 4096 + 2 * 64 and z.shape == ()
    assert lives.inputs() == 4096


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"precision": "int8"}, "precision must be"),
        ({"optimizer": "adamx"}, "adamw"),
        ({"batch": None}, "is needed for B"),
    ],
)
def test_refusals(options: dict, text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        estimate(mlp(), Spec((Dim("B"), 256)), **{"batch": 2, **options})
    with pytest.raises(ArgumentError, match="8GB"):
        memory_of("much")


def test_the_command(tmp_path: Path) -> None:
    run = CliRunner().invoke
    told = run(cli, ["estimate", "mlp", "--spec", "B,16", "--batch", "8", "--optimizer", "sgd", "--json"])
    assert json.loads(told.stdout)["batch"] == 8 and json.loads(told.stdout)["gradients"]
    fitted = run(cli, ["estimate", "mlp", "--spec", "B,16", "--fit", "1MB", "--json"])
    assert json.loads(fitted.stdout)["total"] <= 10**6 and json.loads(fitted.stdout)["batch"] > 1
    assert "not one sample" in run(cli, ["estimate", "mlp", "--spec", "B,16", "--fit", "1KB"]).stdout
    assert run(cli, ["estimate", "mlp", "--spec", "B,16", "--fit", "1KB", "--batch", "2"]).exit_code == 2
    helix.trace(nn.Linear(4, 2), Spec((Dim("B"), 4))).save(tmp_path / "line.safetensors")
    assert "10 parameters" in run(cli, ["estimate", str(tmp_path / "line.safetensors"), "--batch", "4"]).stdout
