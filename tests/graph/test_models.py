"""Every family of models: forward and a whole training step, traced and compiled, with eager's numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

import helix
from helix import models, nn
from helix.graph import Dim, Spec
from helix.graph.tree import flatten
from helix.models.pretrained import FAMILIES

SIZES = {"vocab_size": 23, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
LLAMA = {**SIZES, "num_key_value_heads": 1, "max_position_embeddings": 16}
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": {"vocab_size": 23, "n_positions": 16, "n_embd": 8, "n_layer": 1, "n_head": 2},
    "llama": LLAMA,
    "mixtral": {**LLAMA, "num_local_experts": 3, "num_experts_per_tok": 2},
    "bert": {**SIZES, "max_position_embeddings": 16},
    "t5": {"vocab_size": 23, "d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0},
    "vit": {**SIZES, "image_size": 8, "patch_size": 4, "num_labels": 3},
    "whisper": {"vocab_size": 23, "d_model": 8, "num_mel_bins": 4, "max_source_positions": 6, "max_target_positions": 16,
                "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
                "encoder_ffn_dim": 12, "decoder_ffn_dim": 12, "decoder_start_token_id": 1},
    "mamba": {"vocab_size": 23, "hidden_size": 8, "state_size": 4, "num_hidden_layers": 1},
    "mamba2": {"vocab_size": 23, "hidden_size": 8, "state_size": 4, "num_hidden_layers": 1, "num_heads": 4, "head_dim": 4,
               "n_groups": 2, "chunk_size": 4},
    "resnet": {"embedding_size": 4, "num_labels": 3, "depths": [1], "hidden_sizes": [8]},
}  # fmt: skip


def family(kind: str) -> nn.Module:
    module, _, name = FAMILIES[kind].partition(":")
    return getattr(import_module(module), name).from_config({"model_type": kind, "architectures": [], **CONFIGS[kind]})


def words() -> tuple:
    return (helix.randint(2, 20, (2, 6)),)


def numbers(*shape: int) -> Callable[[], tuple]:
    return lambda: (helix.randn(*shape),)


def a_graph() -> tuple:
    return helix.randn(4, 3), helix.tensor([[0, 1, 2, 2, 3], [1, 2, 0, 2, 2]])


class Balanced(nn.Module):
    """A mixture with its losses."""

    def __init__(self, mixture: nn.MixtureOfExperts) -> None:
        self.mixture = mixture

    def forward(self, x: helix.Tensor) -> tuple:
        y, routing = self.mixture.routed(x)
        return y, routing.load_balance_loss, routing.z_loss, (routing.counts + routing.dropped).float()


class Turned(nn.Module):
    def __init__(self) -> None:
        long = {"rope_type": "longrope", "factor": 2.0, "original_max_position_embeddings": 8}
        self.long = nn.RotaryEmbedding(
            6, scaling={**long, "short_factor": [1.0, 2.0, 1.5], "long_factor": [4.0, 5.0, 6.0]}
        )
        self.dynamic = nn.RotaryEmbedding(
            6, scaling={"rope_type": "dynamic", "factor": 2.0, "max_position_embeddings": 8}
        )
        self.weight = nn.Parameter(helix.randn(6))

    def forward(self, x: helix.Tensor) -> helix.Tensor:
        positions = helix.arange(x.shape[2])
        return self.long(x * self.weight, positions) * self.dynamic(x, positions)


Make = Callable[[], nn.Module]
INPUTS: dict[str, Callable[[], tuple]] = {
    "t5": lambda: words() * 2,
    "vit": numbers(2, 3, 8, 8),
    "whisper": lambda: (helix.randn(2, 4, 12), *words()),
    "resnet": numbers(2, 3, 16, 16),
}
CASES: dict[str, tuple[Make, Callable[[], tuple]]] = {
    **{kind: (lambda kind=kind: family(kind), INPUTS.get(kind, words)) for kind in FAMILIES},
    "decoder": (lambda: models.Decoder(23, 8, 8, 1, 2, dropout=0.1), words),
    "decoder, rotary": (lambda: models.Decoder(23, 8, 8, 1, 2, positions="rotary", window=3), words),
    **{
        f"sequence, {mixer}": (lambda mixer=mixer: models.SequenceDecoder(23, 8, 8, 1, mixer), words)
        for mixer in ("attention", "h3", "hyena", "mamba", "s4", "s4d", "s5")
    },
    "sequence, experts": (lambda: models.SequenceDecoder(23, 8, 8, 1, "attention", experts=2), words),
    **{
        f"experts, {name}": (lambda more=more: Balanced(nn.MixtureOfExperts(6, 5, 4, **more)), numbers(2, 8, 6))
        for name, more in {
            "one choice": {"top_k": 1, "capacity_factor": 0.5},
            "two choices": {"capacity_factor": 0.75, "gated": True, "shared_experts": 1},
            "padded": {"capacity_factor": 1.0, "policy": "pad"},
            "choosing": {"router": "expert", "capacity_factor": 1.5},
        }.items()
    },
    "adaptive softmax": (
        lambda: nn.AdaptiveLogSoftmaxWithLoss(6, 12, [3, 7]),
        lambda: (helix.randn(9, 6), helix.randint(0, 12, (9,))),
    ),
    **{
        f"growing turns, {length}": (lambda: Turned(), lambda length=length: (helix.randn(1, 2, length, 6),))
        for length in (6, 12)
    },
    "lstm": (lambda: models.RecurrentClassifier((5, 3), 4, hidden=6, depth=2, dropout=0.1), numbers(2, 5, 3)),
    "gru": (lambda: models.RecurrentClassifier((5, 3), 4, "gru", hidden=6, bidirectional=True), numbers(2, 5, 3)),
    "mlp": (lambda: models.mlp(12, 3), numbers(2, 12)),
    "cnn": (lambda: models.cnn((1, 8, 8), 3, 4), numbers(2, 1, 8, 8)),
    "U-Net": (lambda: models.UNet(1, 2, width=4), numbers(1, 1, 32, 32)),
    "U-Net, bilinear": (lambda: models.UNet(1, 2, True, width=4), numbers(1, 1, 32, 32)),
    "ResNet": (lambda: models.ResNet(models.resnet.BasicBlock, (1, 1), 3, stem=4, widths=(4, 8)), numbers(2, 3, 16, 16)),
    "ConvNeXt": (lambda: models.ConvNeXt((8, 8), (1, 1), 0.2, num_classes=3), numbers(2, 3, 16, 16)),
    "DenseNet": (lambda: models.DenseNet(4, (2, 1), 8, 2, num_classes=3), numbers(2, 3, 32, 32)),
    "MobileNet": (lambda: models.MobileNetV2(3, 0.1, [[2, 8, 1, 1]]), numbers(2, 3, 16, 16)),
    "PointNet": (lambda: models.PointNet(3, width=4), numbers(3, 5, 3)),
    "DiT": (lambda: models.DiT(4, 1, 2, 8, 1, 2), lambda: (helix.randn(2, 1, 4, 4), helix.rand(2))),
    "GCN": (lambda: nn.GCNConv(3, 4), a_graph),
    "GAT": (lambda: nn.GATConv(3, 4, heads=2), a_graph),
    "SAGE": (lambda: nn.SAGEConv(3, 4), a_graph),
    "GIN": (lambda: nn.GINConv(nn.Linear(3, 4)), a_graph),
    "batch norm, means of all": (lambda: nn.BatchNorm1d(3, momentum=None), numbers(4, 3)),
    "spectral norm": (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)), numbers(2, 3)),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), numbers(2, 3)),
}  # fmt: skip


def loss_of(output: Any) -> helix.Tensor:
    if isinstance(output, helix.Tensor):
        return (output * output).mean()
    values = output.values() if isinstance(output, dict) else output
    return sum((loss_of(value) for value in values if value is not None), helix.zeros(()))


def step_of(model: nn.Module) -> Callable:
    optimizer = helix.optim.AdamW(model.parameters(), lr=1e-3)

    def step(*inputs: helix.Tensor) -> helix.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model(*inputs))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    return step


def close(mine: helix.Tensor, theirs: helix.Tensor, name: str) -> None:
    difference = (mine.to(helix.float64) - theirs.to(helix.float64)).abs().max().item() if mine.numel() else 0.0
    assert difference <= 2e-5 * (1 + theirs.abs().max().item() if theirs.numel() else 1), f"{name}: {difference}"


def compiled(step: Callable, *inputs: helix.Tensor) -> Callable:
    return helix.compile(step, fallback="error")


@pytest.mark.parametrize("way", [helix.trace, compiled])
@pytest.mark.parametrize("name", CASES)
def test_a_training_step_of_every_family_is_one_graph(name: str, way: Callable[..., Callable]) -> None:
    make, inputs_of = CASES[name]
    helix.manual_seed(0)
    model = make().train()
    twin = copy.deepcopy(model)
    inputs = inputs_of()
    whole, eager = way(step_of(model), *inputs), step_of(twin)
    for seed in range(2):
        helix.manual_seed(seed)
        mine = whole(*inputs)
        helix.manual_seed(seed)
        close(mine, eager(*inputs), "loss")
    for (key, value), other in zip(model.state_dict().items(), twin.state_dict().values(), strict=True):
        close(value.detach(), other.detach(), key)


@pytest.mark.parametrize("name", CASES)
def test_every_family_compiled_gives_its_results(name: str) -> None:
    make, inputs_of = CASES[name]
    helix.manual_seed(0)
    model, inputs = make().eval(), inputs_of()
    whole = compiled(model)
    with helix.no_grad():
        expected = flatten(model(*inputs))
        for _ in range(2):
            found = flatten(whole(*inputs))
            assert found[1] == expected[1]
            for mine, theirs in zip(found[0], expected[0], strict=True):
                close(mine, theirs, "result")


LENGTHS: dict[str, Callable[[], nn.Module]] = {
    "s4d": lambda: nn.S4D(4, d_state=4, transposed=False),
    "s5": lambda: nn.S5(4, d_state=4),
    "h3": lambda: nn.H3(4, d_state=4),
    "mamba2": lambda: nn.Mamba2(8, d_state=4, headdim=4, chunk_size=8),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_state_spaces_are_one_graph_for_all_lengths(name: str) -> None:
    helix.manual_seed(0)
    layer = LENGTHS[name]().to(helix.float64)
    B, T = Dim("B"), Dim("T")
    state = layer.stream(helix.zeros(2, 3, layer.d_model, dtype=helix.float64))[1]
    specs = flatten(state)[0]
    opened = [Spec((B, *leaf.shape[1:]), leaf.dtype) for leaf in specs]
    tree = flatten(state)[1]
    graph = helix.trace(
        lambda x, *parts: layer.stream(x, tree.fill(iter(parts))), Spec((B, T, layer.d_model), helix.float64), *opened
    )
    for length in (3, 11, 40):
        before = helix.randn(2, 9, layer.d_model, dtype=helix.float64)
        x = helix.randn(2, length, layer.d_model, dtype=helix.float64)
        leaves = flatten(layer.stream(before)[1])[0]
        expected = flatten(layer.stream(x, tree.fill(iter(leaves))))[0]
        found = flatten(graph(x, *leaves))[0]
        for a, b in zip(expected, found, strict=True):
            assert a.shape == b.shape and helix.allclose(a, b, rtol=1e-9, atol=1e-9)


SEQUENCES: dict[str, tuple[Make, int]] = {
    "GRU": (lambda: nn.GRU(8, 4, batch_first=True), 1),
    "LSTM": (lambda: nn.LSTM(8, 4, bidirectional=True), 1),
    "Mamba": (lambda: nn.Mamba(8), 1),
    "attention": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), 3),
    "grouped queries": (lambda: nn.GroupedQueryAttention(8, 4, 2), 1),
    "encoder": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_batches_and_texts_of_one_are_like_others(name: str) -> None:
    """What is copied into order for other sizes, and needs no copy for one of 1, is no other function."""
    make, count = SEQUENCES[name]
    helix.manual_seed(0)
    model = make().eval()
    graph = helix.trace(model, *[Spec((Dim("B"), Dim("T"), 8))] * count)
    for shape in ((1, 5, 8), (3, 1, 8), (1, 1, 8), (4, 6, 8)):
        inputs = [helix.randn(shape) for _ in range(count)]
        for mine, theirs in zip(flatten(graph(*inputs))[0], flatten(model(*inputs))[0], strict=True):
            close(mine, theirs.detach(), f"{name} {shape}")
