"""Gradients: one optimizer step over one or more batches, in pieces that fit, in mixed precision, clipped and checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from .. import empty_cache
from .._core import dtype as dtype_type
from ..amp import GradScaler, autocast
from ..autograd import no_grad
from ..errors import ConfigError, OutOfMemoryError, TrainingError
from ..nn import Module
from ..nn.utils import clip_grad_norm_, clip_grad_value_, get_total_norm
from ..optim import Optimizer
from ..random import get_rng_state, set_rng_state
from ..tensor import Tensor
from .compression import Compressor, compress_gradients, compressor_named, kind_of
from .owners import with_owners
from .settings import Settings

Batch = tuple[Tensor, ...]
Kept = list[tuple[Tensor, Tensor]]
MAX_SKIPPED = 100  # steps in a row without a finite gradient


class Gradients:
    """Turns batches into one step of the optimizer.

    The loss of a step is the mean over all samples of its batches, however they are cut: pieces are weighted by their
    samples. What has to survive a stop is in `state_dict`.
    """

    def __init__(
        self, model: Module, optimizer: Optimizer, loss: Callable, measure: Callable, settings: Settings, device
    ) -> None:
        self.model, self.optimizer, self.loss, self.measure = model, optimizer, loss, measure
        self.settings, self.device = settings, device
        self.precision = precision_of(settings.precision)
        half = self.precision is not None and self.precision.name == "float16"
        self.scaler = GradScaler(device.type, enabled=half)
        self.run = self._run
        if settings.compile:
            from ..graph.compiling import compile

            self.run = compile(self._run)
        self.rows: int | None = settings.micro_batch if isinstance(settings.micro_batch, int) else None
        self.skipped = self.in_a_row = 0
        self.compressor = (
            compressor_named(settings.compress, settings.compress_options, settings.seed)
            if settings.compress is not None
            else None
        )

    def step(self, batches: Sequence[Batch], check_loss: Callable[[float], None]) -> dict[str, float]:
        """Moves the model once; the step's loss and norm of the gradients. `measure` sees each piece's output."""
        policy, scaled = self.settings.nonfinite, self.scaler.is_enabled()
        buffers = self._buffers() if scaled or policy != "ignore" else []
        self.model.zero_grad()
        self.optimizer.zero_grad()
        values = self._accumulated(batches)
        if policy == "error" and not scaled and not math.isfinite(values["loss"]):
            _put_back(buffers)
            check_loss(values["loss"])
        self.scaler.unscale_(self.optimizer)
        if self.compressor is not None:
            values["sent_share"] = self._compressed(self.compressor)
        norm = self._clipped()
        if norm is not None:
            values["grad_norm"] = norm
        if scaled:
            self._scaled_step(buffers)
        elif policy == "ignore" or (math.isfinite(values["loss"]) and (norm is None or math.isfinite(norm))):
            self.optimizer.step()
            self.in_a_row = 0
        elif policy == "skip":
            self._skip(buffers)
        else:
            _put_back(buffers)
            raise TrainingError(
                f"HX3203 the norm of the gradients is {norm}; training stopped before the model was changed. A smaller lr "
                'usually helps; nonfinite="skip" leaves such steps out.'
            )
        return values

    def _scaled_step(self, buffers: Kept) -> None:
        found = self.scaler.found_inf(self.optimizer)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if found:
            self._skip(buffers)
        else:
            self.in_a_row = 0

    def _skip(self, buffers: Kept) -> None:
        _put_back(buffers)
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row == MAX_SKIPPED:
            raise TrainingError(
                f"HX3203 {MAX_SKIPPED} steps in a row had no finite gradient and were left out; training stopped. The model is "
                "as it was before them. A smaller lr usually helps."
            )

    def _compressed(self, compressor: Compressor) -> float:
        """Leaves of the gradients what a wire would carry; its share of their bytes. Gradients that are not finite stay whole:
        their loss must not come back in later steps."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        whole = sum(g.numel() * g.element_size() for g in gradients)
        with no_grad():
            finite = math.isfinite(get_total_norm(gradients, math.inf).item()) if whole else False
        return compress_gradients(self.model, compressor) / whole if finite else 1.0

    def _clipped(self) -> float | None:
        """The norm before clipping; None where nobody asks for it."""
        settings = self.settings
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = None
        if settings.grad_clip is not None:
            norm = clip_grad_norm_(parameters, settings.grad_clip, settings.clip_norm).item()
        elif settings.nonfinite != "ignore":
            norm = norm_of(parameters)
        if settings.clip_value is not None:
            clip_grad_value_(parameters, settings.clip_value)
        return norm

    # ---- forward and backward ------------------------------------------------------------------------------

    def _accumulated(self, batches: Sequence[Batch]) -> dict[str, float]:
        total = sum(len(batch[-1]) for batch in batches)
        return {"loss": sum(self._add(batch, total) for batch in batches)}

    def _add(self, batch: Batch, total: int) -> float:
        """Adds the gradients of a batch, in pieces that fit; its share of the loss."""
        loss = 0.0
        for piece in pieces(batch, self.rows):
            share, found = len(piece[-1]) / total, None
            if self.rows is None or len(piece[-1]) <= self.rows:
                found = self._attempt(piece, share)
                self.rows = self.rows if found is not None else (len(piece[-1]) + 1) // 2
            if found is None:
                loss += self._add(piece, total)
                continue
            value, output, target = found
            loss += share * value
            with no_grad():
                self.measure(output, target)
        return loss

    def _attempt(self, piece: Batch, share: float) -> tuple[float, Tensor, Tensor] | None:
        """`_backward` of a piece; None when it does not fit and may be cut, with everything as it was."""
        if self.settings.micro_batch != "auto":
            return self._backward(piece, share)
        random = get_rng_state()
        buffers = self._buffers()
        try:
            return self._backward(piece, share)
        except OutOfMemoryError as error:
            if len(piece[-1]) == 1:
                raise
            error.__traceback__ = None  # it holds what did not fit
        set_rng_state(random)
        _put_back(buffers)
        empty_cache()
        return None

    def _backward(self, piece: Batch, share: float) -> tuple[float, Tensor, Tensor]:
        """Adds the gradients; loss, output and target. One that does not fit has added nothing."""
        try:
            *inputs, target = (tensor.to(self.device) for tensor in piece)
            output, loss = self.run(inputs, target, share, self.scaler.get_scale())
            return loss.item(), output, target
        except OutOfMemoryError as error:
            raise with_owners(error, self.model, self.optimizer) from None

    def _run(self, inputs: list[Tensor], target: Tensor, share: float, scale: float) -> tuple[Tensor, Tensor]:
        """Forward and backward; `scale`, the scaler's, tells graphs apart that are compiled of this."""
        with autocast(self.device.type, self.precision, enabled=self.precision is not None):
            output = self.model(*inputs)
            loss = self.loss(output, target)
        self.scaler.scale(loss if share == 1.0 else loss * share).backward()
        return output.detach(), loss.detach()

    def _buffers(self) -> Kept:
        """Running means and the like, which a forward pass changes, as they are."""
        return [(buffer, buffer.clone()) for buffer in self.model.buffers()]

    # ---- state ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict:
        state = {
            "scaler": self.scaler.state_dict(),
            "rows": self.rows,
            "skipped": self.skipped,
            "in_a_row": self.in_a_row,
        }
        if self.compressor is not None:
            state["compression"] = {"kind": kind_of(self.compressor), "state": self.compressor.state_dict()}
        return state

    def load_state_dict(self, state: dict) -> None:
        saved = state.get("compression")
        if self.compressor is not None and saved is not None:
            if saved["kind"] != kind_of(self.compressor):
                raise ConfigError(
                    f"HX3106 the checkpoint is of a run that compresses gradients by {saved['kind']}, this one by "
                    f"{kind_of(self.compressor)}; give the same one, or none."
                )
            self.compressor.load_state_dict(saved["state"])
        self.scaler.load_state_dict(state["scaler"])
        self.rows, self.skipped, self.in_a_row = state["rows"], state["skipped"], state["in_a_row"]


def _put_back(buffers: Kept) -> None:
    with no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)


def pieces(batch: Batch, rows: int | None) -> Iterator[Batch]:
    """The batch in pieces of at most so many samples."""
    count = len(batch[-1])
    if rows is None or rows >= count:
        yield batch
        return
    for start in range(0, count, rows):
        yield tuple(tensor[start : start + rows] for tensor in batch)


def norm_of(parameters: Sequence[Tensor]) -> float:
    with no_grad():
        return get_total_norm([p.grad for p in parameters if p.grad is not None]).item()


def precision_of(name: str | dtype_type) -> dtype_type | None:
    """The dtype of autocast for a setting; None for float32."""
    from .._core import as_dtype

    chosen = as_dtype(name)
    if chosen.name not in ("float32", "float16", "bfloat16"):
        raise ValueError(f"Trainer: precision must be float32, bfloat16 or float16, got {name!r}")
    return None if chosen.name == "float32" else chosen
