"""Layers of sequences beside the code that their authors published, with its weights: largest differences of results and gradients.

    python tools/published.py --s4 CHECKOUT --safari CHECKOUT

CHECKOUT: a clone of state-spaces/s4 and of HazyResearch/safari; nothing of them is copied here. The reversible residual and
Mamba-2 are those of the installed transformers. Each difference is a share of the largest value of what it is compared with.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import helix
from helix import nn

BATCH, LENGTH, WIDTH = 2, 100, 12


def module_at(path: Path) -> Any:
    """A file as a module; what these files import beyond torch and einops is stood in for, as none of it computes."""
    stand_ins: dict[str, dict[str, Any]] = {
        "pytorch_lightning": {},
        "pytorch_lightning.utilities": {"rank_zero_only": lambda function: function},
        "src": {},
        "src.models": {},
        "src.models.nn": {"DropoutNd": torch.nn.Identity},
    }
    for name, content in stand_ins.items():
        held = types.ModuleType(name)
        vars(held).update(content)
        sys.modules.setdefault(name, held)
    spec = importlib.util.spec_from_file_location(path.stem + "_published", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Shown:
    """Another way of calling a module."""

    def __init__(self, module: Any, forward: Any) -> None:
        self.module, self.forward = module, forward

    def __call__(self, x: Any) -> Any:
        return self.forward(x)

    def named_parameters(self) -> Any:
        return self.module.named_parameters()


def difference(ours: Any, theirs: Any) -> float:
    a, b = np.asarray(ours.detach().numpy(), np.float64), np.asarray(theirs.detach().numpy(), np.float64)
    return float(np.abs(a.reshape(b.shape) - b).max() / max(np.abs(b).max(), 1e-30))


def compared(ours: Any, theirs: Any, x: np.ndarray, names: dict[str, str] | None = None) -> tuple[float, float]:
    """Of the results, and of the worst gradient: of the input or a parameter. names: ours where they differ from theirs, with
    a minus where ours is the negative."""
    a, b = helix.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(x.copy()).requires_grad_()
    y, z = ours(a), theirs(b)
    weight = np.random.default_rng(1).standard_normal(z.shape).astype(x.dtype)
    (y * helix.from_numpy(weight.reshape(tuple(y.shape)))).sum().backward()
    (z * torch.from_numpy(weight)).sum().backward()
    mine = dict(ours.named_parameters())
    worst = difference(a.grad, b.grad)
    for name, parameter in theirs.named_parameters():
        own = (names or {}).get(name, name)
        if parameter.grad is not None and own.lstrip("-") in mine:
            gradient = mine[own.lstrip("-")].grad
            worst = max(worst, difference(-gradient if own.startswith("-") else gradient, parameter.grad))
    return difference(y, z), worst


def take(ours: Any, theirs: Any) -> None:
    """Weights of the same names."""
    state = {name: helix.from_numpy(value.detach().numpy().copy()) for name, value in theirs.state_dict().items()}
    ours.load_state_dict(state, strict=False)


def sequence(dtype: str, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def s4d(checkout: Path, dtype: str) -> tuple[float, float]:
    theirs = module_at(checkout / "models/s4/s4d.py").S4D(WIDTH, 16).to(getattr(torch, dtype))
    ours = nn.S4D(WIDTH, 16, dtype=getattr(helix, dtype))
    take(ours, theirs)
    return compared(ours, Shown(theirs, lambda x: theirs(x)[0]), sequence(dtype, BATCH, WIDTH, LENGTH))


def s4(checkout: Path, dtype: str) -> tuple[float, float]:
    """The kernels, which are all of S4 that S4D has not, as a convolution of the input."""
    theirs = module_at(checkout / "models/s4/s4.py").SSMKernelDPLR(d_model=WIDTH, l_max=LENGTH, d_state=16, channels=1)
    theirs = theirs.to(getattr(torch, dtype))
    theirs(L=LENGTH)  # makes its C for this length
    ours = nn.S4Kernel(WIDTH, 16, l_max=LENGTH, dtype=getattr(helix, dtype))
    state = {name: value.detach() for name, value in theirs.state_dict().items()}
    renamed = {"log_dt": state["inv_dt"][:, 0], "log_A_real": state["A_real"], "A_imag": -state["A_imag"]}
    renamed |= {name: state[name][0] for name in "BCP"} | {"l_kernel": state["l_kernel"]}
    ours.load_state_dict({name: helix.from_numpy(value.numpy().copy()) for name, value in renamed.items()})
    given = np.ones(1, dtype)
    return compared(
        Shown(ours, lambda x: ours(LENGTH) * x),
        Shown(theirs, lambda x: theirs(L=LENGTH)[0] * x),
        given,
        {"inv_dt": "log_dt", "A_real": "log_A_real", "A_imag": "-A_imag"},
    )


def hyena(checkout: Path, dtype: str, order: int) -> tuple[float, float]:
    theirs = module_at(checkout / "standalone_hyena.py").HyenaOperator(WIDTH, LENGTH, order=order, emb_dim=5)
    theirs = theirs.to(getattr(torch, dtype))
    ours = nn.HyenaOperator(WIDTH, LENGTH, order=order, emb_dim=5, dtype=getattr(helix, dtype))
    take(ours, theirs)
    return compared(ours, theirs, sequence(dtype, BATCH, LENGTH, WIDTH))


def reversible(dtype: str) -> tuple[float, float]:
    """Reformer's reversible layers around plain functions, with its backward that computes the inputs again."""
    from transformers.models.reformer import modeling_reformer as reformer

    class Attention(torch.nn.Linear):
        def forward(self, hidden_states: Any, **_: Any) -> Any:
            mixed = torch.tanh(super().forward(hidden_states))
            return types.SimpleNamespace(hidden_states=mixed, attention_probs=None, buckets=None)

    class Stack(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = torch.nn.ModuleList()
            for _ in range(4):
                layer = reformer.ReformerLayer.__new__(reformer.ReformerLayer)
                torch.nn.Module.__init__(layer)
                layer.attention, layer.feed_forward = Attention(WIDTH, WIDTH), torch.nn.Linear(WIDTH, WIDTH)
                self.blocks.append(layer)

        def forward(self, x: Any) -> Any:
            rest = (None, None, [], [], None, False, None, False, False)
            return reformer._ReversibleFunction.apply(torch.cat([x, x], -1), self.blocks, *rest)

    theirs = Stack().to(getattr(torch, dtype)).train()
    blocks = []
    for _ in theirs.blocks:
        first = nn.Sequential(nn.Linear(WIDTH, WIDTH, dtype=getattr(helix, dtype)), nn.Tanh())
        blocks.append(nn.ReversibleBlock(first, nn.Linear(WIDTH, WIDTH, dtype=getattr(helix, dtype))))
    ours, names = nn.ReversibleSequence(blocks), {}
    own = dict(ours.named_parameters())
    for number, block in enumerate(theirs.blocks):
        for part, place in (("attention", "f.0"), ("feed_forward", "g")):
            for kind in ("weight", "bias"):
                name = next(n for n in own if f"{number}.{place}.{kind}" in n)
                names[f"blocks.{number}.{part}.{kind}"] = name
                with helix.no_grad():
                    own[name].copy_(helix.from_numpy(getattr(getattr(block, part), kind).detach().numpy().copy()))
    both = Shown(ours, lambda x: ours(helix.cat([x, x], -1)))
    return compared(both, theirs, sequence(dtype, BATCH, LENGTH, WIDTH), names)


def mamba2(dtype: str) -> tuple[float, float]:
    from transformers import Mamba2Config
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

    sizes = {"hidden_size": 16, "state_size": 8, "num_heads": 8, "head_dim": 4, "n_groups": 2, "chunk_size": 16}
    theirs = Mamba2Mixer(Mamba2Config(**sizes, expand=2), 0).to(getattr(torch, dtype))
    ours = nn.Mamba2(16, d_state=8, headdim=4, ngroups=2, chunk_size=16, dtype=getattr(helix, dtype))
    take(ours, theirs)
    return compared(ours, theirs, sequence(dtype, BATCH, LENGTH, 16))


def rows(s4_at: Path | None, safari_at: Path | None) -> Iterator[tuple[str, Any]]:
    if s4_at:
        yield "S4D (models/s4/s4d.py)", lambda dtype: s4d(s4_at, dtype)
        yield "S4, the kernel (models/s4/s4.py)", lambda dtype: s4(s4_at, dtype)
    if safari_at:
        for order in (2, 3):
            yield f"Hyena of order {order} (standalone_hyena.py)", lambda dtype, n=order: hyena(safari_at, dtype, n)
    yield "Mamba-2 (transformers)", mamba2
    yield "reversible layers (transformers' Reformer)", reversible


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--s4", type=Path, metavar="CHECKOUT")
    parser.add_argument("--safari", type=Path, metavar="CHECKOUT")
    options = parser.parse_args()
    print("| layer | float32, results | gradients | float64, results | gradients |\n|---|---|---|---|---|")
    for name, measure in rows(options.s4, options.safari):
        torch.manual_seed(0)
        found = [f"{value:.1e}" for dtype in ("float32", "float64") for value in measure(dtype)]
        print(f"| {name} | " + " | ".join(found) + " |")


if __name__ == "__main__":
    main()
