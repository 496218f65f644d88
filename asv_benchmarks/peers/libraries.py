"""The libraries, each imported in its own process only. A missing method or key means: not measured there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .arrays import elementwise_inputs, expressions, product_inputs
from .compiled import Jax, JaxCompiled, Ort

# Classes of torch.optim and helix.optim, and what they are made with.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 1e-3},
    "AdamW": {"lr": 1e-4, "weight_decay": 0.01},
    "Adamax": {},
    "NAdam": {},
    "RAdam": {},
    "Adagrad": {},
    "Adadelta": {},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "ASGD": {},
    "Rprop": {},
    "Adafactor": {},
    "Muon": {},
    "Lion": {},
    "LAMB": {},
    "LARS": {},
}


class Torch:
    """torch as installed, eager."""

    name = "torch"
    environment: dict[str, str] = {}

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.t, self.F, self.nn = torch, torch.nn.functional, torch.nn

    def array(self, values: np.ndarray) -> Any:
        return self.t.from_numpy(values.copy())

    def inference(self, run: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            with self.t.inference_mode():
                return run()

        return call

    def gradients(self, run: Callable[[], Any]) -> Callable[[], Any]:
        """What computes a result and its gradients."""
        return run

    def optimizer(self, kind: str, parameters: list[Any]) -> Any:
        """`<class>_default`, `<class>_foreach` or `<class>_fused`, torch's ways; None where torch has no such class."""
        name, _, way = kind.rpartition("_")
        options = OPTIMIZERS[name] | ({} if way == "default" else {way: True})
        found = getattr(self.t.optim, name, None)
        return found(parameters, **options) if found else None

    def compiled(self, function: Callable[[], Any]) -> Callable[[], Any]:
        return function

    def whole(self, function: Callable[..., Any], arrays: list[Any]) -> Callable[[], Any]:
        """A function of arrays, as one where the library has a way."""
        return self.compiled(lambda: function(*arrays))

    def training(self, net: Any, loss_of: Callable[[], Any]) -> Callable[[], Any]:
        """A whole step: the loss, its gradients, and AdamW."""
        optimizer, loss_of = self.optimizer("AdamW_fused", list(net.parameters())), self.compiled(loss_of)

        def step() -> Any:
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of()
            loss.backward()
            optimizer.step()
            return loss

        return step

    def build(self, workload: Any) -> Callable[[], Any] | None:
        return workload.build(self)


class TorchTuned(Torch):
    """torch whose freed blocks stay with the process, on huge pages: what is left when page faults are not counted."""

    name = "torch_tuned"
    environment = {
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184"
    }


class TorchCompile(Torch):
    """torch.compile, of the models whose forward and loss it compiles in reasonable time."""

    name = "torch_compile"

    def inference(self, run: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            with self.t.no_grad():
                return run()

        return call

    def compiled(self, function: Callable[[], Any]) -> Callable[[], Any]:
        return self.t.compile(function, dynamic=False)

    def build(self, workload: Any) -> Callable[[], Any] | None:
        return super().build(workload) if workload.compiles else None


class Helix(Torch):
    name = "helix"

    def __init__(self, threads: int) -> None:
        import helix
        import helix.nn.functional

        helix.set_num_threads(threads)
        helix.manual_seed(0)
        self.t, self.F, self.nn = helix, helix.nn.functional, helix.nn


class HelixFused(Helix):
    """helix, with what a function does traced and fused: group J."""

    name = "helix_fused"

    def whole(self, function: Callable[..., Any], arrays: list[Any]) -> Callable[[], Any]:
        graph = self.t.graph.optimize(self.t.trace(function, *arrays))
        graph = self.t.graph.optimize(graph, ["fusion"])
        return lambda: graph(*arrays)

    def build(self, workload: Any) -> Callable[[], Any] | None:
        return super().build(workload) if workload.group == "J" else None


class HelixCompile(Helix):
    """helix.compile, of whole steps of training (the optimizer's step too) and of inference."""

    name = "helix_compile"

    def planned(self, function: Callable[[], Any]) -> Callable[[], Any]:
        self.plans = True
        return self.t.compile(function, fallback="error")  # type: ignore[no-any-return]

    def inference(self, run: Callable[[], Any]) -> Callable[[], Any]:
        return super().inference(self.planned(run))

    def gradients(self, run: Callable[[], Any]) -> Callable[[], Any]:
        return self.planned(run)

    def training(self, net: Any, loss_of: Callable[[], Any]) -> Callable[[], Any]:
        step = super().training(net, loss_of)
        return self.planned(lambda: step().detach())

    def build(self, workload: Any) -> Callable[[], Any] | None:
        self.plans = False
        call = super().build(workload) if workload.group in "EHJ" else None
        return call if self.plans else None


class NumPy:
    """NumPy where it has the workload: calls, elementwise, products."""

    name = "numpy"
    environment: dict[str, str] = {}

    def __init__(self, threads: int) -> None:
        del threads

    def build(self, workload: Any) -> Callable[[], Any] | None:
        group, rest = workload.id.split(".", 1)
        if group == "A":
            return self._calls(rest)
        if group == "B" and rest.split("_")[-2:-1] != ["fb"]:
            return self._elementwise(rest)
        if group == "C" and rest.startswith("f32"):
            return self._product(rest)
        return None

    @staticmethod
    def _calls(rest: str) -> Callable[[], Any] | None:
        kind, _, n = rest.rpartition("_")
        if not n.isdigit():
            return None
        a, b, c = (np.ones(int(n), np.float32) for _ in range(3))
        m = np.ones((4, 4), np.float32)
        calls: dict[str, str] = {
            "add": "a + b",
            "mul_large1k": "a + b",
            "add_scalar": "a + 1.0",
            "add_out": "add(a, b, out=c)",
            "view": "a.reshape(2, 4)",
            "slice": "a[2:6]",
            "index_int": "a[3]",
            "T": "m.T",
            "sum": "a.sum()",
            "matmul4": "m @ m",
            "item": "a.item()",
        }
        if kind not in calls:
            return None
        body = f"def run():\n    for _ in repeat:\n        {calls[kind]}\n"
        space = {"a": a, "b": b, "c": c, "m": m, "add": np.add, "repeat": range(200)}
        exec(body, space)
        return space["run"]  # type: ignore[return-value]

    @staticmethod
    def _elementwise(rest: str) -> Callable[[], Any] | None:
        op, _, size = rest.rpartition("_")
        a, b, c, w = elementwise_inputs(size)
        out = np.empty_like(a)
        own: dict[str, Callable[[], Any]] = {
            "copy": lambda: a.copy(),
            "add_out": lambda: np.add(a, b, out=out),
            "transpose": lambda: np.ascontiguousarray(a.T),
        }
        shared = expressions(np)
        return own.get(op) or (partial(shared[op], a, b, c, w) if op in shared else None)

    @staticmethod
    def _product(rest: str) -> Callable[[], Any] | None:
        return partial(np.matmul, *product_inputs(rest))


LIBRARIES: dict[str, type] = {
    c.name: c for c in (Helix, HelixFused, HelixCompile, Torch, TorchTuned, TorchCompile, NumPy, Jax, JaxCompiled, Ort)
}
