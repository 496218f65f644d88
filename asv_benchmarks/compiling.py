"""What helix.compile's first call takes longer than a later one, each case in fresh processes.

python -m asv_benchmarks.compiling [--cases encoder,gpt2] [--kinds step] [--processes 7]
python -m asv_benchmarks.compiling --peers E.transformer --libs helix_compile,torch_compile,jax_jit

cold: the first compile of the process. shape: the same function for a larger batch. warm: another instance of the model.
Models have 12 layers and are narrow, since compiling does not depend on widths. Times are the processor's, of one thread; those
of peers are the clock's on the wall, as they compile in processes of their own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

LAYERS = 12
KINDS = ("inference", "loss", "step")
_SIZES = {
    "vocab_size": 23,
    "hidden_size": 8,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 12,
}
_LLAMA = {**_SIZES, "num_key_value_heads": 1, "max_position_embeddings": 16}
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {"vocab_size": 23, "n_positions": 16, "n_embd": 8, "n_layer": LAYERS, "n_head": 2},
    "llama": _LLAMA,
    "mixtral": {**_LLAMA, "num_local_experts": 3, "num_experts_per_tok": 2},
    "bert": {**_SIZES, "max_position_embeddings": 16},
    "t5": {"vocab_size": 23, "d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": LAYERS, "num_heads": 2, "decoder_start_token_id": 0},
    "vit": {**_SIZES, "image_size": 8, "patch_size": 4, "num_labels": 3},
    "whisper": {"vocab_size": 23, "d_model": 8, "num_mel_bins": 4, "max_source_positions": 6, "max_target_positions": 16,
                "encoder_layers": LAYERS, "decoder_layers": LAYERS, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
                "encoder_ffn_dim": 12, "decoder_ffn_dim": 12, "decoder_start_token_id": 1},
    "mamba": {"vocab_size": 23, "hidden_size": 8, "state_size": 4, "num_hidden_layers": LAYERS},
    "mamba2": {"vocab_size": 23, "hidden_size": 8, "state_size": 4, "num_hidden_layers": LAYERS, "num_heads": 4, "head_dim": 4,
               "n_groups": 2, "chunk_size": 4},
    "resnet": {"embedding_size": 4, "num_labels": 3, "depths": [3, 3, 3, 3], "hidden_sizes": [8, 8, 8, 8]},
}  # fmt: skip
CASES = ("encoder", *FAMILIES)


def model_of(case: str) -> Any:
    import helix
    from helix import nn

    helix.manual_seed(0)
    if case == "encoder":
        layer = nn.TransformerEncoderLayer(64, 4, 256, batch_first=True, dropout=0.0)
        return nn.Sequential(nn.TransformerEncoder(layer, LAYERS), nn.Linear(64, 10))
    from helix.models.pretrained import FAMILIES as KNOWN

    module, _, name = KNOWN[case].partition(":")
    return getattr(import_module(module), name).from_config({"model_type": case, "architectures": [], **FAMILIES[case]})


def inputs_of(case: str, batch: int) -> tuple:
    import helix

    words = helix.ones((batch, 6), dtype=helix.int64)
    shapes = {"encoder": (batch, 16, 64), "vit": (batch, 3, 8, 8), "resnet": (batch, 3, 32, 32)}
    if case in shapes:
        return (helix.ones(shapes[case]),)
    return {"t5": (words, words), "whisper": (helix.ones((batch, 4, 12)), words)}.get(case, (words,))


def call_of(case: str, kind: str) -> tuple[Any, Callable[[tuple], Any]]:
    """A compiled instance, and what calls it once."""
    import helix
    from helix.graph.tree import flatten

    model = model_of(case)
    if kind == "inference":
        compiled = helix.compile(model.eval())

        def infer(inputs: tuple) -> None:
            with helix.no_grad():
                compiled(*inputs)

        return compiled, infer

    def loss(*inputs: Any) -> Any:
        tensors = [t for t in flatten(model(*inputs))[0] if t.requires_grad]
        return sum((t.square().mean() for t in tensors[1:]), tensors[0].square().mean())

    if kind == "loss":
        compiled = helix.compile(loss)
        return compiled, lambda inputs: compiled(*inputs).backward()
    optimizer = helix.optim.AdamW(model.parameters(), lr=1e-3)

    def step(*inputs: Any) -> Any:
        optimizer.zero_grad()
        found = loss(*inputs)
        found.backward()
        optimizer.step()
        return found.detach()

    compiled = helix.compile(step)
    return compiled, lambda inputs: compiled(*inputs)


def _taken(call: Callable[[], Any], clock: Callable[[], float]) -> float:
    """Seconds of the first call without those of a later one."""
    times = []
    for _ in range(4):
        start = clock()
        call()
        times.append(clock() - start)
    return times[0] - min(times[1:])


def measured(case: str, kind: str) -> dict[str, float]:
    """In this process, which must be fresh: nodes, and milliseconds."""
    import helix

    helix.set_num_threads(1)
    compiled, call = call_of(case, kind)
    small, large = inputs_of(case, 4), inputs_of(case, 5)
    cold = _taken(lambda: call(small), time.thread_time)
    shape = _taken(lambda: call(large), time.thread_time)
    other, again = call_of(case, kind)
    warm = _taken(lambda: again(small), time.thread_time)
    nodes = [one.traced for one in compiled.statistics() if not one.eager]
    assert nodes and not any(one.eager for one in other.statistics()), (case, kind)
    return {"nodes": nodes[0], "cold": cold * 1e3, "shape": shape * 1e3, "warm": warm * 1e3}


def medians(case: str, kind: str, processes: int) -> dict[str, float]:
    found = []
    for _ in range(processes):
        command = [sys.executable, "-m", "asv_benchmarks.compiling", "--one", case, kind]
        found.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


def peer(name: str, workload: str) -> float:
    """Milliseconds that the first run of a peers' workload takes longer than a later one."""
    from .peers.libraries import LIBRARIES
    from .peers.workloads import ALL

    call = LIBRARIES[name](1).build(next(w for w in ALL if w.id == workload))
    return -1.0 if call is None else _taken(call, time.perf_counter) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--processes", type=int, default=7)
    parser.add_argument("--one", nargs=2, metavar=("CASE", "KIND"))
    parser.add_argument("--peers", metavar="WORKLOAD")
    parser.add_argument("--libs", default="helix_compile,torch_compile,jax_jit")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(*options.one)))
    elif options.peers:
        for name in options.libs.split(","):
            code = f"from asv_benchmarks.compiling import peer; print(peer({name!r}, {options.peers!r}))"
            made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            took = float(made.stdout.split()[-1]) if made.returncode == 0 else -1.0
            print(f"{options.peers} {name}: {f'{took:.0f} ms' if took >= 0 else 'not compiled'}", flush=True)
    else:
        print("| model | kind | nodes | cold | another shape | warm |\n|---|---|---|---|---|---|")
        for case in options.cases.split(","):
            for kind in options.kinds.split(","):
                found = medians(case, kind, options.processes)
                times = " | ".join(f"{found[name]:.1f} ms" for name in ("cold", "shape", "warm"))
                print(f"| {case} | {kind} | {found['nodes']:.0f} | {times} |", flush=True)


if __name__ == "__main__":
    main()
