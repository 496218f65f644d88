"""Folders of image models that transformers writes: helix gives the same logits and gradients, in train and eval mode."""

from __future__ import annotations

import copy

import pytest
import torch

from helix.models import from_pretrained
from helix.models.pretrained import _renamed
from tests.nn.compare import assert_close, to_helix

from .folders import FAMILIES, saved

IMAGES = [name for name in FAMILIES if name.startswith("resnet")]


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("training", [False, True])
def test_logits_and_gradients(name, training, tmp_path_factory):
    theirs, folder = saved(name, tmp_path_factory)
    theirs = copy.deepcopy(theirs)  # its running statistics move
    mine = from_pretrained(folder).train(training)
    theirs.train(training)
    data = torch.randn(3, theirs.config.num_channels, 24, 20)
    answer = theirs(data)
    expected = answer.logits if hasattr(answer, "logits") else answer.pooler_output.flatten(1)
    result = mine(to_helix(data))
    assert_close(result, expected)
    expected.square().sum().backward()
    (result**2).sum().backward()
    by_name = dict(zip(names_in_files(mine, theirs), theirs.parameters(), strict=True))
    for key, parameter in mine.named_parameters():
        size = max(1.0, by_name[key].grad.abs().max().item())
        assert_close(parameter.grad, by_name[key].grad, 1e-5, 1e-5 * size, key)


def names_in_files(mine, theirs) -> list[str]:
    """helix's names of transformers' parameters, in their order."""
    renamed = _renamed({name: name for name, _ in theirs.named_parameters()}, mine.key_map)
    kept = {old: new for new, old in renamed.items()}
    return [kept[name] for name, _ in theirs.named_parameters()]
