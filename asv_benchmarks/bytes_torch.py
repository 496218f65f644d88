"""torch's own transformer on the run of helix's: `python -m asv_benchmarks.bytes_torch RUN FOLDER`, where RUN is the folder of
`helix train examples/bytes.toml`. The same initial weights, batches in the same order, the same rates; FOLDER gets metrics.jsonl."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

import helix
from helix.data import Loader, describe
from helix.train import run as runs


class Block(torch.nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        nn = torch.nn
        self.heads, self.norm1, self.norm2 = heads, nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = nn.ModuleDict(
            {"qkv": nn.Linear(dim, 3 * dim, bias=False), "out": nn.Linear(dim, dim, bias=False)}
        )
        self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, dim = x.shape
        parts = self.attention["qkv"](self.norm1(x)).view(batch, length, 3, self.heads, dim // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attention["out"](mixed.transpose(1, 2).reshape(batch, length, dim))
        return x + self.feed(self.norm2(x))


class Decoder(torch.nn.Module):
    """The model of examples/bytes.toml, its parameters by the same names."""

    def __init__(self, vocabulary: int, length: int, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        nn = torch.nn
        self.tokens, self.positions = nn.Embedding(vocabulary, dim), nn.Embedding(length, dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, vocabulary, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def loss_of(model: Decoder, batch: Any) -> torch.Tensor:
    given, wanted = (torch.from_numpy(part.numpy()) for part in batch)
    return F.cross_entropy(model(given).flatten(0, 1), wanted.flatten())


def rates_of(config: Any, steps: int) -> Any:
    """helix's schedule, asked of an optimizer that holds nothing else."""
    held = helix.optim.SGD([helix.nn.Parameter(helix.zeros(1))], lr=config.optimizer.lr)
    schedule = helix.optim.lr_scheduler.WarmupCosineLR(held, config.schedule.warmup_steps, steps)
    for _ in range(steps):
        yield held.param_groups[0]["lr"]
        held.step()
        schedule.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(helix.get_num_threads())
    config = runs.Run(options.run).config
    dataset = runs.open_source(config)
    training, test = runs.split(config, dataset)
    info, shape = describe(dataset), config.model.options
    model = Decoder(256, info.input_shape[0], shape["dim"], shape["depth"], shape["heads"])
    same = runs.fresh_model(config, info).state_dict()
    model.load_state_dict({name: torch.from_numpy(value.numpy().copy()) for name, value in same.items()})
    optimizer = torch.optim.AdamW(model.parameters(), config.optimizer.lr, weight_decay=config.optimizer.weight_decay)
    loader = Loader(training, config.train.batch_size, shuffle=True, seed=config.seed)
    options.folder.mkdir(parents=True, exist_ok=True)
    with open(options.folder / "metrics.jsonl", "w") as log:
        for step, (rate, batch) in enumerate(zip(rates_of(config, len(loader)), loader, strict=True), 1):
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            loss = loss_of(model, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.train.grad_clip)
            optimizer.step()
            if step % config.train.log_every == 0:
                print(
                    json.dumps({"event": "step", "step": step, "epoch": 1, "loss": loss.item()}), file=log, flush=True
                )
        with torch.no_grad():
            batches = [(len(batch[0]), loss_of(model, batch).item()) for batch in Loader(test, config.train.batch_size)]
        found = sum(count * value for count, value in batches) / sum(count for count, _ in batches)
        record = {"event": "epoch", "step": step, "epoch": 1, "test_loss": found}
        print(json.dumps(record), file=log)
    print(f"test loss {found:.4f}, {found / math.log(2):.4f} bits a byte")


if __name__ == "__main__":
    main()
