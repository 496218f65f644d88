"""docs/layers.md is what the generator writes, and everything torch.nn has is there or has a reason."""

from __future__ import annotations

import inspect

import torch

from helix import nn

from . import layer_table


def test_the_page_is_fresh():
    assert layer_table.PAGE.read_text() == layer_table.page(), "run: python -m tests.nn.layer_table"


def test_reasons_are_for_absent_classes_of_torch():
    assert [name for name in layer_table.ABSENT if hasattr(nn, name)] == []
    assert [name for name in layer_table.ABSENT if not inspect.isclass(getattr(torch.nn, name))] == []


def test_a_class_without_a_reason_counts_as_missing(monkeypatch):
    monkeypatch.delitem(layer_table.ABSENT, "Container")
    assert layer_table.in_helix("Container") == "no: not built yet" and layer_table.in_helix("Linear") == "yes"


def test_public_layers_say_what_they_are():
    assert [name for name in layer_table.own_names() if not layer_table.first_sentence(getattr(nn, name))] == []
