"""`python -m tests.nn.layer_table` writes docs/layers.md: torch.nn's classes and helix's, side by side."""

from __future__ import annotations

import inspect
from pathlib import Path

import torch

from helix import nn

PAGE = Path(__file__).resolve().parents[2] / "docs" / "layers.md"
HEAD = """# Layers

Every public class of `torch.nn`, and whether `helix.nn` has it: under the same name, with the same parameters, state and results,
held to torch's by `tests/nn`. Below it, what `helix.nn` has beyond torch's. Written by `make layer-table`.

"""
LAZY = "sizes are said, not guessed from the first batch; a parameter exists when the optimizer is made"
# What torch has and helix has not, for a reason.
ABSENT = {
    "Container": "torch's own name for Module before 0.2",
    "CrossMapLRN2d": "LocalResponseNorm; this undocumented ancestor of it keeps channel 0 in every window",
    "DataParallel": "torch itself advises against it; copies of a model on several devices are the launcher's work",
    "LinearCrossEntropyOptions": "settings of torch's own kernels: helix chooses the rows of a piece itself",
    "NLLLoss2d": "NLLLoss; torch has dropped it since 0.2",
    "RNNBase": "what torch's RNN, LSTM and GRU share, no layer of its own",
    "RNNCellBase": "what torch's recurrent cells share, no layer of its own",
    "SyncBatchNorm": "needs several processes",
    "UninitializedBuffer": "of the Lazy layers",
    "UninitializedParameter": "of the Lazy layers",
}


def torch_names() -> list[str]:
    found = {name: value for name, value in vars(torch.nn).items() if not name.startswith("_")}
    return sorted((n for n, value in found.items() if inspect.isclass(value)), key=str.lower)


def reason(name: str) -> str:
    return LAZY if name.startswith("Lazy") else ABSENT.get(name, "")


def in_helix(name: str) -> str:
    if hasattr(nn, name):
        return "yes"
    return f"no: {reason(name)}" if reason(name) else "no: not built yet"


def first_sentence(kind: type) -> str:
    """What the class says of itself, up to the first full stop or the end of its first paragraph."""
    text = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    return text.partition(". ")[0].rstrip(".;:").replace("|", "\\|")


def own_names() -> list[str]:
    theirs = set(torch_names())
    found = [n for n in nn.__all__ if inspect.isclass(getattr(nn, n)) and n not in theirs]
    return sorted(found, key=str.lower)


def page() -> str:
    names = torch_names()
    counts = {state: sum(in_helix(n).startswith(state) for n in names) for state in ("yes", "no: not built", "no: ")}
    absent = counts["no: "] - counts["no: not built"]
    lines = [
        f"{len(names)} classes of torch.nn: {counts['yes']} present, {absent} absent for a reason, "
        f"{counts['no: not built']} missing.\n\n## torch.nn\n\n| class | in helix.nn |\n|---|---|\n"
    ]
    lines += [f"| `{name}` | {in_helix(name)} |\n" for name in names]
    lines += ["\n## Beyond torch.nn\n\n| class | |\n|---|---|\n"]
    lines += [f"| `{name}` | {first_sentence(getattr(nn, name))} |\n" for name in own_names()]
    return HEAD + "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
