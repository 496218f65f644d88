"""Augmentations: random changes of samples that keep their meaning. The same for the same (seed, epoch, sample), whoever fetches.

A transform is called as `transform(tensor, generator)`; `Augmented` hangs it into a dataset.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .. import cat, linspace, ones, rand, randn, stack, where, zeros
from .. import tensor as make
from .._core import Generator
from ..nn import functional as F
from ..tensor import Tensor
from .dataset import Dataset
from .order import generator_of

Transform = Callable[[Tensor, Generator], Tensor]


def drawn(generator: Generator, count: int = 1) -> list[float]:
    """Numbers in [0, 1)."""
    return rand(count, generator=generator, device="cpu").tolist()


class Augmented(Dataset):
    """A dataset whose first input goes through transforms, other ones in every epoch."""

    def __init__(self, dataset: Dataset, *transforms: Transform, seed: int = 0) -> None:
        self.dataset, self.transforms, self.seed = dataset, transforms, seed
        self.task, self.classes, self.epoch = dataset.task, dataset.classes, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        first, *rest = self.dataset[index]
        return self._changed(first, index % len(self)), *rest

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        first, *rest = self.dataset.batch(indices)
        return stack([self._changed(row, int(i) % len(self)) for row, i in zip(first, indices, strict=True)]), *rest

    def _changed(self, sample: Tensor, index: int) -> Tensor:
        generator = generator_of(self.seed, self.epoch, index)
        for transform in self.transforms:
            sample = transform(sample, generator)
        return sample

    def targets(self) -> Tensor:
        return self.dataset.targets()


# ---- images: (channels, height, width) ---------------------------------------------------------------------


class RandomFlip:
    """Left and right change places with probability `p`; with `vertical`, top and bottom."""

    def __init__(self, p: float = 0.5, vertical: bool = False) -> None:
        self.p, self.axis = p, -2 if vertical else -1

    def __call__(self, image: Tensor, generator: Generator) -> Tensor:
        return image.flip(self.axis) if drawn(generator)[0] < self.p else image


class RandomCrop:
    """A window of `size` (height, width) at a random place, after `padding` pixels of 0 on every side."""

    def __init__(self, size: int | tuple[int, int], padding: int = 0) -> None:
        self.size, self.padding = (size, size) if isinstance(size, int) else tuple(size), padding

    def __call__(self, image: Tensor, generator: Generator) -> Tensor:
        image = F.pad(image, (self.padding,) * 4) if self.padding else image
        room = [have - want for have, want in zip(image.shape[-2:], self.size)]
        if min(room) < 0:
            raise ValueError(f"RandomCrop: an image of {tuple(image.shape[-2:])} has no window of {self.size}")
        top, left = (int(u * (n + 1)) for u, n in zip(drawn(generator, 2), room))
        return image[..., top : top + self.size[0], left : left + self.size[1]]


class RandomAffine:
    """Turns by up to ±`degrees`, shifts by up to ±`shift` of the size, scales by a factor in `scale`; bilinear, 0 outside."""

    def __init__(self, degrees: float = 0.0, shift: float = 0.0, scale: tuple[float, float] = (1.0, 1.0)) -> None:
        self.degrees, self.shift, self.scale = degrees, shift, scale

    def __call__(self, image: Tensor, generator: Generator) -> Tensor:
        turn, across, down, size = drawn(generator, 4)
        angle = math.radians((2 * turn - 1) * self.degrees)
        factor = self.scale[0] + size * (self.scale[1] - self.scale[0])
        return moved(image, angle, 2 * (2 * across - 1) * self.shift, 2 * (2 * down - 1) * self.shift, factor)


def moved(image: Tensor, angle: float, across: float, down: float, factor: float = 1.0, shear: float = 0.0) -> Tensor:
    """The image turned counter-clockwise by `angle` about its middle, made larger, and shifted (the size counts as 2)."""
    height, width = image.shape[-2:]
    cos, sin, ratio = math.cos(angle) / factor, math.sin(angle) / factor, width / height
    x = linspace(-1 + 1 / width, 1 - 1 / width, width).reshape(1, width) - across
    y = linspace(-1 + 1 / height, 1 - 1 / height, height).reshape(height, 1) - down
    from_x = x * cos - y * (sin / ratio) + y * shear
    from_y = x * (sin * ratio) + y * cos
    grid = stack([from_x + 0 * y, from_y + 0 * x], -1).to(image.dtype)
    return F.grid_sample(image[None], grid[None], align_corners=False)[0]


class RandomRotation(RandomAffine):
    """Turns by up to ±`degrees`."""

    def __init__(self, degrees: float) -> None:
        super().__init__(degrees)


class ColorJitter:
    """Brightness, contrast and saturation each times a factor in [1 - x, 1 + x]; values stay in [0, 1]."""

    def __init__(self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0) -> None:
        self.amounts = (brightness, contrast, saturation)

    def __call__(self, image: Tensor, generator: Generator) -> Tensor:
        for change, amount, u in zip((brightened, contrasted, saturated), self.amounts, drawn(generator, 3)):
            if amount:
                image = change(image, 1.0 + (2 * u - 1) * amount)
        return image


def brightened(image: Tensor, factor: float) -> Tensor:
    return (image * factor).clamp(0.0, 1.0)


def contrasted(image: Tensor, factor: float) -> Tensor:
    mean = grey(image).mean()
    return (mean + (image - mean) * factor).clamp(0.0, 1.0)


def saturated(image: Tensor, factor: float) -> Tensor:
    pale = grey(image)
    return (pale + (image - pale) * factor).clamp(0.0, 1.0)


def grey(image: Tensor) -> Tensor:
    """(1, height, width): luma by ITU-R BT.601 of three channels; of one, the image."""
    if image.shape[0] != 3:
        return image.mean(0, keepdim=True)
    return (image * make([0.299, 0.587, 0.114], dtype=image.dtype).reshape(3, 1, 1)).sum(0, keepdim=True)


class RandomErasing:
    """A rectangle of `share` (least, most) of the area becomes 0, with probability `p` (Zhong et al. 2020)."""

    def __init__(self, p: float = 0.5, share: tuple[float, float] = (0.02, 0.33)) -> None:
        self.p, self.share = p, share

    def __call__(self, image: Tensor, generator: Generator) -> Tensor:
        chance, size, shape, top, left = drawn(generator, 5)
        if chance >= self.p:
            return image
        height, width = image.shape[-2:]
        area = (self.share[0] + size * (self.share[1] - self.share[0])) * height * width
        ratio = math.exp((2 * shape - 1) * math.log(3.3))
        h, w = min(height, max(1, round(math.sqrt(area * ratio)))), min(width, max(1, round(math.sqrt(area / ratio))))
        y, x = int(top * (height - h + 1)), int(left * (width - w + 1))
        image = image.clone()
        image[..., y : y + h, x : x + w] = 0.0
        return image


class RandAugment:
    """`count` changes chosen at random, each of strength `magnitude` of 10 (Cubuk et al. 2020, the changes that images with
    values in [0, 1] allow)."""

    def __init__(self, count: int = 2, magnitude: float = 9.0) -> None:
        self.count, self.strength = count, magnitude / 10.0

    def __call__(self, image: Tensor, generator: Generator) -> Tensor:
        for _ in range(self.count):
            which, sign = drawn(generator, 2)
            change = CHANGES[int(which * len(CHANGES))]
            image = change(image, self.strength if sign < 0.5 else -self.strength)
        return image


CHANGES: tuple[Callable[[Tensor, float], Tensor], ...] = (
    lambda image, s: image,
    lambda image, s: brightened(image, 1.0 + 0.9 * s),
    lambda image, s: contrasted(image, 1.0 + 0.9 * s),
    lambda image, s: saturated(image, 1.0 + 0.9 * s),
    lambda image, s: moved(image, math.radians(30.0) * s, 0.0, 0.0),
    lambda image, s: moved(image, 0.0, 0.9 * s, 0.0),
    lambda image, s: moved(image, 0.0, 0.0, 0.9 * s),
    lambda image, s: moved(image, 0.0, 0.0, 0.0, 1.0, 0.3 * s),
    lambda image, s: where(image >= 1.0 - abs(s), 1.0 - image, image),
    lambda image, s: (image * 255).floor().div(2 ** round(4 * abs(s))).floor() * 2 ** round(4 * abs(s)) / 255,
)


# ---- batches -----------------------------------------------------------------------------------------------


def one_hot(target: Tensor, classes: int) -> Tensor:
    """Classes as rows of shares; shares as they are."""
    from .. import float32

    return F.one_hot(target, classes).to(float32) if target.ndim == 1 else target


class MixUp:
    """Each sample is mixed with another, and so are their targets, which become shares of classes (Zhang et al. 2018).

    For `Loader(batch_transform=MixUp(classes))`; the share comes from Beta(alpha, alpha).
    """

    def __init__(self, classes: int, alpha: float = 0.2) -> None:
        self.classes, self.alpha = classes, alpha

    def __call__(self, batch: tuple[Tensor, ...], generator: Generator) -> tuple[Tensor, ...]:
        inputs, *between, target = batch
        share = beta(self.alpha, generator)
        other = rand(len(inputs), generator=generator).argsort()
        shares = one_hot(target, self.classes)
        return inputs.lerp(inputs[other], 1.0 - share), *between, shares.lerp(shares[other], 1.0 - share)


class CutMix(MixUp):
    """A rectangle of each image comes from another image, and its share of the target too (Yun et al. 2019)."""

    def __init__(self, classes: int, alpha: float = 1.0) -> None:
        super().__init__(classes, alpha)

    def __call__(self, batch: tuple[Tensor, ...], generator: Generator) -> tuple[Tensor, ...]:
        inputs, *between, target = batch
        height, width = inputs.shape[-2:]
        side = math.sqrt(1.0 - beta(self.alpha, generator))
        h, w = round(height * side), round(width * side)
        y, x = (int(u * (n + 1)) for u, n in zip(drawn(generator, 2), (height - h, width - w)))
        other = rand(len(inputs), generator=generator).argsort()
        mixed, shares = inputs.clone(), one_hot(target, self.classes)
        mixed[..., y : y + h, x : x + w] = inputs[other][..., y : y + h, x : x + w]
        return mixed, *between, shares.lerp(shares[other], h * w / (height * width))


def beta(alpha: float, generator: Generator) -> float:
    """A number from Beta(alpha, alpha), by Jöhnk's method; of a small alpha nearly 0 or 1."""
    while True:
        a, b = (max(u, 1e-12) ** (1.0 / alpha) for u in drawn(generator, 2))
        if 0 < a + b <= 1:
            return a / (a + b)


# ---- sound: (…, samples), and spectrograms (…, frequencies, frames) ----------------------------------------


class RandomGain:
    """Louder or softer by up to ±`decibels`."""

    def __init__(self, decibels: float = 6.0) -> None:
        self.decibels = decibels

    def __call__(self, sound: Tensor, generator: Generator) -> Tensor:
        return sound * 10.0 ** ((2 * drawn(generator)[0] - 1) * self.decibels / 20.0)


class RandomNoise:
    """White noise at a ratio of signal to noise between `least` and `most` decibels."""

    def __init__(self, least: float = 10.0, most: float = 40.0) -> None:
        self.least, self.most = least, most

    def __call__(self, sound: Tensor, generator: Generator) -> Tensor:
        ratio = self.least + drawn(generator)[0] * (self.most - self.least)
        level = sound.square().mean().sqrt() * 10.0 ** (-ratio / 20.0)
        return sound + level * randn(*sound.shape, dtype=sound.dtype, generator=generator)


class RandomShift:
    """Earlier or later by up to `share` of the length; silence comes in."""

    def __init__(self, share: float = 0.1) -> None:
        self.share = share

    def __call__(self, sound: Tensor, generator: Generator) -> Tensor:
        length = sound.shape[-1]
        by = round((2 * drawn(generator)[0] - 1) * self.share * length)
        silence = zeros(*sound.shape[:-1], abs(by), dtype=sound.dtype)
        return cat([silence, sound[..., : length - by]], -1) if by >= 0 else cat([sound[..., -by:], silence], -1)


class SpecAugment:
    """Stretches of frequencies and of frames become 0 (Park et al. 2019)."""

    def __init__(self, frequencies: int = 8, frames: int = 20, count: int = 1) -> None:
        self.widths, self.count = (frequencies, frames), count

    def __call__(self, spectrogram: Tensor, generator: Generator) -> Tensor:
        keep = ones(*spectrogram.shape[-2:], dtype=spectrogram.dtype)
        for _ in range(self.count):
            for axis, most in enumerate(self.widths):
                wide, place = drawn(generator, 2)
                size = keep.shape[axis]
                width = min(int(wide * (most + 1)), size)
                start = int(place * (size - width + 1))
                keep.narrow(axis, start, width).fill_(0.0)
        return spectrogram * keep


# ---- text: whole numbers -----------------------------------------------------------------------------------


class TokenDropout:
    """Each token becomes `mask` with probability `p`."""

    def __init__(self, mask: int, p: float = 0.1) -> None:
        self.mask, self.p = mask, p

    def __call__(self, tokens: Tensor, generator: Generator) -> Tensor:
        return where(rand(*tokens.shape, generator=generator) < self.p, make(self.mask, dtype=tokens.dtype), tokens)


class TokenSwap:
    """Neighbours change places, each pair with probability `p`."""

    def __init__(self, p: float = 0.1) -> None:
        self.p = p

    def __call__(self, tokens: Tensor, generator: Generator) -> Tensor:
        pairs = len(tokens) // 2
        swapped = tokens[: 2 * pairs].reshape(pairs, 2)
        chosen = (rand(pairs, generator=generator) < self.p).reshape(pairs, 1)
        return cat([where(chosen, swapped.flip(1), swapped).reshape(-1), tokens[2 * pairs :]])
