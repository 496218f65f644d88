"""Averages of a model's weights, under torch's names: exponential (EMA) and equal (SWA)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from .. import _core, tensor, where
from ..autograd import no_grad
from ..errors import TraceError
from ..nn import Module
from ..nn.channelnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from ..tensor import Tensor
from .lr_scheduler import SWALR

__all__ = ["SWALR", "AveragedModel", "get_ema_multi_avg_fn", "get_swa_multi_avg_fn", "update_bn"]

MultiAverage = Callable[[list[Tensor], list[Tensor], int], None]


class _Towards:
    """Moves every average a part of the way, which follows from how many values there were."""

    def __init__(self, part: Callable[[int], float]) -> None:
        self.part = part

    def __call__(self, averages: list[Tensor], values: list[Tensor], count: int) -> None:
        _moved(averages, values, c0=self.part(count))


def _moved(averages: list[Tensor], values: list[Tensor], **numbers: Any) -> None:
    """In one fused call for each dtype."""
    lists: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
    for average, value in zip(averages, values, strict=True):
        if average.is_floating_point():
            mine, others = lists.setdefault((average.dtype, str(average.device)), ([], []))
            mine.append(average)
            others.append(value.detach())
        else:
            average.copy_(value)
    for mine, others in lists.values():
        _core.rule_step(mine + others, rule="average", states=0, **numbers)


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """An exponential average: `average = decay * average + (1 - decay) * value`."""
    if not 0 <= decay <= 1:
        raise ValueError(f"get_ema_multi_avg_fn: decay must lie between 0 and 1, got {decay}")
    return _Towards(lambda count: 1 - decay)


def get_swa_multi_avg_fn() -> MultiAverage:
    """The mean of all values seen; Izmailov et al., "Averaging weights leads to wider optima and better generalization",
    UAI 2018."""
    return _Towards(lambda count: 1 / (count + 1))


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's; `update_parameters(model)` takes it in.

    Args:
        device: where the averages lie; by default beside the model.
        avg_fn: `avg_fn(average, value, count)` gives the new average of one tensor; by default the mean of all (SWA).
        multi_avg_fn: the same for lists, in place: `get_ema_multi_avg_fn(0.999)`.
        use_buffers: buffers, such as running statistics, are averaged too; else they are left as they were.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: give avg_fn or multi_avg_fn, not both")
        self.module = deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.register_buffer("n_averaged", tensor(0))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the weights of the model in. Raises TraceError (HX1702) within a trace for a multi_avg_fn of one's own, which asks
        for the count as a number."""
        with no_grad():
            mine, theirs = self._tensors(self.module), self._tensors(model)
            values = [value.detach().to(average.device) for average, value in zip(mine, theirs, strict=True)]
            if _core.tracing():
                self._trace(mine, values)
            else:
                count = int(self.n_averaged.item())
                if count == 0:
                    _replace(mine, values)
                else:
                    self._average(mine, values, lambda many: many(mine, values, count))
            if not self.use_buffers:
                _replace(list(self.module.buffers()), list(model.buffers()))
            self.n_averaged.add_(1)

    def _average(self, mine: list[Tensor], values: list[Tensor], together: Callable[[MultiAverage], None]) -> None:
        if self.avg_fn is None:
            together(self.multi_avg_fn or get_swa_multi_avg_fn())
        else:
            _replace(mine, [self.avg_fn(a, v, self.n_averaged) for a, v in zip(mine, values, strict=True)])

    def _trace(self, mine: list[Tensor], values: list[Tensor]) -> None:
        """In a graph every update looks whether it is the first one, of which the average is the value itself."""
        from .traced import TracedAverage, tracer_of

        def together(many: MultiAverage) -> None:
            if not isinstance(many, _Towards):
                raise TraceError(
                    "HX1702 AveragedModel.update_parameters cannot be traced with a multi_avg_fn of your own, which asks for the "
                    "count as a number; give avg_fn, or call it outside of the graph",
                    code="HX1702",
                )
            tracer = tracer_of("AveragedModel.update_parameters")
            before = sum(isinstance(one, TracedAverage) and one.averaged is self for one in tracer.around)
            (told,) = tracer.stand_around(TracedAverage(self, many.part, before))
            _moved(mine, values, numbers=told)

        first = self.n_averaged == 0
        _replace(mine, [where(first, value, average) for average, value in zip(mine, values, strict=True)])
        self._average(mine, values, together)

    def _tensors(self, model: Module) -> list[Tensor]:
        return [*model.parameters(), *(model.buffers() if self.use_buffers else ())]


def _replace(targets: list[Tensor], values: list[Tensor]) -> None:
    for target, value in zip(targets, values, strict=True):
        target.copy_(value)


def update_bn(loader: Iterable, model: Module, device: Any = None) -> None:
    """Computes the running statistics of all batch norms anew, from the batches of `loader` (a tensor each, or a tuple
    that begins with one)."""
    norms = [m for m in model.modules() if isinstance(m, (BatchNorm1d, BatchNorm2d, BatchNorm3d))]
    norms = [norm for norm in norms if norm.running_mean is not None]
    if not norms:
        return
    momenta, training = [norm.momentum for norm in norms], model.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    with no_grad():
        for batch in loader:
            first = batch[0] if isinstance(batch, (tuple, list)) else batch
            model(first if device is None else first.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(training)
