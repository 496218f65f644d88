"""The order in which samples come: a function of seed and epoch alone, from helix's own generator."""

from __future__ import annotations

from .. import randperm
from .._core import Generator

MIX = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: spreads epochs over seeds


def generator_of(seed: int, *places: int) -> Generator:
    """A generator of its own for (seed, place, …): for an epoch, or for a sample in an epoch."""
    for place in places:
        seed = (seed + MIX * (place + 1)) % 2**63
        seed ^= seed >> 29
    generator = Generator()
    generator.manual_seed(seed)
    return generator


def permutation(n: int, seed: int, epoch: int = 0) -> list[int]:
    """The numbers 0 … n-1 in random order; the same for the same (n, seed, epoch) everywhere."""
    generator = Generator()
    generator.manual_seed((seed + MIX * (epoch + 1)) % 2**63)
    return randperm(n, generator=generator, device="cpu").tolist()
