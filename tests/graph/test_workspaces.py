"""What a compiled step of training asks of memory after the first runs: nothing but its results'."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

import helix
from helix import models, nn
from helix.graph.memo import MEMO
from helix.graph.plan import Planned

F = nn.functional
TEXT = (4, 64)


def block() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), models.resnet.BasicBlock(16, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)
    )


def sequence(layer: Callable[[int], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(layer(32), nn.Linear(32, 5))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 5)), (64, 128)),
    "cnn": (lambda: models.cnn((3, 16, 16), 5), (8, 3, 16, 16)),
    "residual block": (block, (4, 3, 18, 18)),
    "gpt": (lambda: models.Decoder(256, 64, dim=64, depth=2, heads=4), TEXT),
    "lstm": (lambda: models.RecurrentClassifier((32, 16), 5), (8, 32, 16)),
    "s4d": (sequence(lambda n: nn.S4D(n, transposed=False)), (4, 64, 32)),
    "mamba": (sequence(nn.Mamba), (4, 64, 32)),
    "hyena": (sequence(lambda n: nn.HyenaOperator(n, 64)), (4, 64, 32)),
}


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = helix.get_num_threads()
    helix.set_num_threads(request.param)
    yield request.param
    helix.set_num_threads(before)


def step_of(name: str) -> Callable[[], helix.Tensor]:
    MEMO.clear()
    helix.manual_seed(0)
    make, shape = MODELS[name]
    model = make()
    x = helix.randint(0, 256, shape) if shape == TEXT else helix.randn(*shape)
    optimizer = helix.optim.AdamW(model.parameters(), lr=1e-3)

    @helix.compile(fallback="error")
    def step(x: helix.Tensor) -> helix.Tensor:
        optimizer.zero_grad()
        y = model(x)
        loss = F.cross_entropy(y.reshape(-1, y.shape[-1]), helix.zeros(y.numel() // y.shape[-1], dtype=helix.int64))
        loss.backward()
        optimizer.step()
        return loss.detach()

    return lambda: step(x)


def own(plan: Planned) -> int:
    """What a run may ask for: a tensor and its memory for each result, a tensor more for each view."""
    fresh = plan.planner.fresh
    views = [v for v, _ in plan.planner.results if v >= 0 and v not in fresh]
    return 2 * len(fresh) + len(views)


class Counting:
    """Notes for each run of a plan what it asked of memory beyond its results."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.more: list[tuple[int, int]] = []
        real = Planned.run

        def run(plan: Planned, *args: object) -> object:
            before = helix.memory_stats()
            found = real(plan, *args)  # type: ignore[arg-type]
            after = helix.memory_stats()
            asked = after["allocations"] - before["allocations"] - own(plan)
            self.more.append((asked, after["from_system"] - before["from_system"]))
            return found

        monkeypatch.setattr(Planned, "run", run)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_of_training_asks_for_its_results_alone(
    name: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, counting = step_of(name), Counting(monkeypatch)
    for _ in range(6):
        step()
    assert counting.more[0][0] > 0 and len(counting.more) == 6
    assert counting.more[3:] == [(0, 0)] * 3


def test_a_kernel_without_room_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: what kernels asked for is forgotten."""
    monkeypatch.setattr(Planned, "_settle", lambda plan, core: None)
    step, counting = step_of("cnn"), Counting(monkeypatch)
    for _ in range(5):
        step()
    assert counting.more[-1][0] > 0


def test_the_numbers_are_those_of_the_first_run() -> None:
    """Work space lies where other values lie at other times."""
    helix.manual_seed(0)
    model = models.cnn((3, 16, 16), 5).eval()
    x = helix.randn(8, 3, 16, 16)
    compiled = helix.compile(lambda x: (model(x).softmax(-1), model(x * 2).sum(0)), fallback="error")
    with helix.no_grad():
        first = [t.tolist() for t in compiled(x)]
        for _ in range(4):
            assert [t.tolist() for t in compiled(x)] == first


def test_threads_that_run_one_plan_work_apart() -> None:
    helix.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3)).eval()
    inputs = [helix.randn(2, 3, 12, 12) for _ in range(3)]
    compiled = helix.compile(model, fallback="error")
    with helix.no_grad():
        expected = [model(x).tolist() for x in inputs]
    wrong = []

    def work(k: int) -> None:
        with helix.no_grad():
            for _ in range(15):
                if compiled(inputs[k]).tolist() != expected[k]:
                    wrong.append(k)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_another_instance_takes_the_room_that_one_has_asked_for() -> None:
    helix.manual_seed(0)
    MEMO.clear()
    x, asked = helix.randn(4, 3, 12, 12), []
    with helix.no_grad():
        for _ in range(2):
            compiled = helix.compile(nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU()).eval(), fallback="error")
            for _ in range(3):
                before = helix.memory_stats()["allocations"]
                compiled(x)
                asked.append(helix.memory_stats()["allocations"] - before)
    assert asked[1] == 4 and asked[2] == 2  # a result and its memory; before, a new arena
    assert asked[4:] == [2, 2]
