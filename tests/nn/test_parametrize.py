"""Parametrizations, weight norm and spectral norm against torch's: names, text, values and gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.utils import parametrizations as theirs_of
from torch.nn.utils import parametrize as theirs_parametrize

import helix as hx
from helix import nn
from helix.nn.utils import parametrizations as mine_of
from helix.nn.utils import parametrize

from .compare import assert_close, copy_weights, to_helix

LAYERS = {
    "Linear": ((6, 4), (3, 6)),
    "Conv2d": ((4, 6, 3), (2, 4, 5, 6)),
    "ConvTranspose2d": ((4, 6, 3), (2, 4, 3, 2)),
}
NORMS = [
    ("weight_norm", {}), ("weight_norm", {"dim": 1}), ("weight_norm", {"dim": None}),
    ("spectral_norm", {}), ("spectral_norm", {"n_power_iterations": 3, "dim": -1}),
]  # fmt: skip


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("norm", "keywords"), NORMS, ids=str)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_norms_are_torchs(kind, norm, keywords, dtype, bound):
    torch.manual_seed(0)
    args, shape = LAYERS[kind]
    theirs = getattr(theirs_of, norm)(getattr(torch.nn, kind)(*args), **keywords).to(dtype)
    mine = getattr(mine_of, norm)(getattr(nn, kind)(*args), **keywords)
    mine.to(hx.float64 if dtype == torch.float64 else hx.float32)
    assert list(mine.state_dict()) == list(theirs.state_dict()) and repr(mine) == repr(theirs)
    copy_weights(mine, theirs)
    for training in (True, True, False):
        mine.train(training)
        theirs.train(training)
        data = torch.randn(shape, dtype=dtype, requires_grad=True)
        x = to_helix(data).requires_grad_()
        expected, result = theirs(data), mine(x)
        assert_close(result, expected, bound, bound)
        (expected**2).sum().backward()
        (result**2).sum().backward()
        assert_close(x.grad, data.grad, 10 * bound, bound)
    ours = dict(mine.named_parameters())
    for name, parameter in theirs.named_parameters():
        size = parameter.grad.abs().max().item()
        assert_close(ours[name].grad, parameter.grad, bound, bound * max(1.0, size), name)
    for name, value in theirs.state_dict().items():
        assert_close(mine.state_dict()[name], value, bound, bound, name)


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_gradients_of_a_norm_are_those_of_differences(norm):
    hx.manual_seed(0)
    layer = getattr(mine_of, norm)(nn.Linear(4, 3)).double().eval()
    chain = layer.parametrizations["weight"]
    originals = [tensor.detach().requires_grad_() for tensor in chain.originals()]
    assert hx.autograd.gradcheck(lambda *parts: chain[0](*parts), tuple(originals))


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, x):
        return x / 2


class TorchDoubled(torch.nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, x):
        return x / 2


class Shifted(nn.Module):
    def forward(self, x):
        return x + 1


def test_a_chain_of_parametrizations_is_torchs():
    theirs, mine = torch.nn.Linear(3, 2), nn.Linear(3, 2)
    copy_weights(mine, theirs)
    before = mine.weight.tolist()
    for kind, chain in ((theirs_parametrize, (theirs, TorchDoubled)), (parametrize, (mine, Doubled))):
        for _ in range(2):
            kind.register_parametrization(chain[0], "weight", chain[1]())
    assert_close(mine.weight, theirs.weight)
    state = mine.state_dict()
    assert {k: v.tolist() for k, v in state.items()} == {k: v.tolist() for k, v in theirs.state_dict().items()}
    assert mine.weight.tolist() == [[2 * value for value in row] for row in before]
    mine.weight = hx.ones(2, 3)
    with torch.no_grad():
        theirs.weight = torch.ones(2, 3)
    assert mine.parametrizations["weight"].original.tolist() == theirs.parametrizations.weight.original.tolist()
    assert parametrize.type_before_parametrizations(mine) is nn.Linear and type(mine).__name__ == "ParametrizedLinear"


def test_the_original_stays_the_parameter_that_an_optimizer_holds():
    layer = nn.Linear(3, 2)
    weight = layer.weight
    parametrize.register_parametrization(layer, "weight", Shifted())
    optimizer = hx.optim.SGD([weight], lr=0.1)
    layer(hx.ones(1, 3)).sum().backward()
    before = layer.weight.tolist()
    optimizer.step()
    assert layer.weight.tolist() != before
    kept = layer.weight.tolist()
    parametrize.remove_parametrizations(layer, "weight")
    assert layer.weight is weight and weight.tolist() == kept and type(layer) is nn.Linear
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight"]


def test_removal_can_go_back_to_the_original():
    layer = nn.Linear(3, 2)
    before = layer.weight.tolist()
    parametrize.register_parametrization(layer, "weight", Shifted())
    parametrize.register_parametrization(layer, "bias", Shifted())
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert layer.weight.tolist() == before and parametrize.is_parametrized(layer, "bias")
    assert not parametrize.is_parametrized(layer, "weight") and parametrize.is_parametrized(layer)
    mine_of.weight_norm(layer)
    with pytest.raises(ValueError, match="has 2 originals"):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    parametrize.remove_parametrizations(layer, "weight")
    assert layer.weight.requires_grad and isinstance(layer.weight, nn.Parameter)


def test_a_copy_has_parametrizations_of_its_own():
    layer = mine_of.weight_norm(nn.Linear(3, 2))
    other = copy.deepcopy(layer)
    other.weight = hx.zeros(2, 3) + 5
    assert other.weight.tolist()[0][0] == pytest.approx(5.0) and layer.weight.tolist() != other.weight.tolist()
    parametrize.remove_parametrizations(other, "weight")
    assert parametrize.is_parametrized(layer) and layer(hx.ones(1, 3)).shape == (1, 2)


class Wider(nn.Module):
    def forward(self, x):
        return hx.cat([x, x])


REFUSED = [
    (lambda: parametrize.register_parametrization(nn.ReLU(), "weight", Shifted()), "no parameter or buffer named"),
    (lambda: parametrize.register_parametrization(nn.Linear(2, 2), "weight", Wider()), "must keep shape and dtype"),
    (lambda: parametrize.remove_parametrizations(nn.Linear(2, 2), "weight"), "no parametrization of 'weight'"),
    (lambda: mine_of.weight_norm(nn.ReLU()), "no parameter or buffer named 'weight'"),
    (lambda: mine_of.weight_norm(nn.Linear(2, 2), dim=2), "one of the 2 axes"),
    (lambda: mine_of.spectral_norm(nn.Linear(2, 2), n_power_iterations=0), "must be 1 or more"),
]


@pytest.mark.parametrize(("make", "text"), REFUSED)
def test_what_cannot_be_parametrized_is_said(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_what_a_parametrized_module_does_not_have_is_named():
    layer = mine_of.weight_norm(nn.Linear(3, 2))
    with pytest.raises(AttributeError, match="'ParametrizedLinear' object has no attribute 'wieght'"):
        _ = layer.wieght
    parametrize.register_parametrization(layer, "bias", Shifted())
    with pytest.raises(RuntimeError, match="Shifted has no right_inverse"):
        layer.bias = hx.zeros(2)
    with pytest.raises(IndexError, match="one of the 2 axes"):
        mine_of.spectral_norm(nn.Linear(2, 2), dim=2)
