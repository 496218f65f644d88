"""Layers of convolutional networks that torch.nn has not: against the same network of torch's layers; and those that draw."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn as tnn

import helix as hx
from helix import nn

from .compare import assert_close, to_helix


class TorchGate(tnn.Module):
    """Squeeze and excitation, from the paper."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.fc1, self.fc2 = tnn.Conv2d(channels, squeezed, 1), tnn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class TorchCBAM(tnn.Module):
    """CBAM, from equations 1 to 3 of the paper; the names are those of its authors."""

    def __init__(self, channels, ratio):
        super().__init__()
        self.ChannelGate, self.SpatialGate = tnn.Module(), tnn.Module()
        self.ChannelGate.mlp = tnn.Sequential(
            tnn.Flatten(), tnn.Linear(channels, channels // ratio), tnn.ReLU(), tnn.Linear(channels // ratio, channels)
        )
        self.SpatialGate.spatial = tnn.Module()
        self.SpatialGate.spatial.conv = tnn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.SpatialGate.spatial.bn = tnn.BatchNorm2d(1, momentum=0.01)

    def forward(self, x):
        pooled = tnn.functional.avg_pool2d(x, x.shape[2:]), tnn.functional.max_pool2d(x, x.shape[2:])
        x = x * torch.sigmoid(sum(self.ChannelGate.mlp(p) for p in pooled))[:, :, None, None]
        seen = torch.stack([x.max(1).values, x.mean(1)], 1)
        spatial = self.SpatialGate.spatial
        return x * torch.sigmoid(spatial.bn(spatial.conv(seen)))


def torch_separable(kind, channels, out, size, multiplier=1, **keywords):
    between = channels * multiplier
    return tnn.Sequential(
        OrderedDict(
            depthwise=kind(channels, between, size, groups=channels, bias=False, **keywords),
            pointwise=kind(between, out, 1),
        )
    )


class TorchLayerNorm2d(tnn.LayerNorm):
    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


# helix layer, torch network, input shape
PAIRS = {
    "SqueezeExcitation": (lambda: nn.SqueezeExcitation(6, 2), lambda: TorchGate(6, 2), (2, 6, 4, 3)),
    "CBAM": (lambda: nn.CBAM(8, 2), lambda: TorchCBAM(8, 2), (3, 8, 5, 6)),
    "LayerNorm2d": (lambda: nn.LayerNorm2d(5, eps=1e-6), lambda: TorchLayerNorm2d(5, eps=1e-6), (2, 5, 4, 3)),
    "SeparableConv1d": (
        lambda: nn.SeparableConv1d(4, 6, 3, padding=2, dilation=2),
        lambda: torch_separable(tnn.Conv1d, 4, 6, 3, padding=2, dilation=2), (2, 4, 9)),
    "SeparableConv2d": (
        lambda: nn.SeparableConv2d(4, 6, 3, stride=2, padding=1, depth_multiplier=2),
        lambda: torch_separable(tnn.Conv2d, 4, 6, 3, 2, stride=2, padding=1), (2, 4, 6, 5)),
    "SeparableConv3d": (
        lambda: nn.SeparableConv3d(2, 3, 2), lambda: torch_separable(tnn.Conv3d, 2, 3, 2), (1, 2, 3, 4, 3)),
    "Conv2dNormActivation": (
        lambda: nn.Conv2dNormActivation(4, 6, 3, stride=2, groups=2, dilation=2, activation_layer=nn.SiLU),
        lambda: tnn.Sequential(
            tnn.Conv2d(4, 6, 3, 2, 2, 2, 2, bias=False), tnn.BatchNorm2d(6), tnn.SiLU()), (2, 4, 8, 7)),
    "Conv2dNormActivation without norm": (
        lambda: nn.Conv2dNormActivation(4, 6, (1, 5), norm_layer=None, activation_layer=None),
        lambda: tnn.Sequential(tnn.Conv2d(4, 6, (1, 5), padding=(0, 2))), (2, 4, 4, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_against_torch(name, training, dtype, bound):
    make, make_torch, shape = PAIRS[name]
    same_results(make(), make_torch().to(dtype), shape, training, bound)


def same_results(mine, theirs, shape, training, bound):
    """Result, gradients of input and parameters, and state are the same; `theirs` gives the dtype."""
    torch.manual_seed(0)
    mine.to(hx.float64 if bound < 1e-6 else hx.float32).train(training)
    theirs.train(training)
    mine.load_state_dict({name: to_helix(value) for name, value in theirs.state_dict().items()})
    assert list(mine.state_dict()) == list(theirs.state_dict())
    data = torch.randn(shape, dtype=next(theirs.parameters()).dtype, requires_grad=True)
    x = to_helix(data).requires_grad_()
    expected, result = theirs(data), mine(x)
    assert_close(result, expected, bound, bound, "result")
    weight = torch.randn_like(expected)
    (expected * weight).sum().backward()
    (result * to_helix(weight)).sum().backward()
    assert_close(x.grad, data.grad, bound, bound, "input")
    ours = dict(mine.named_parameters())
    for name, parameter in theirs.named_parameters():
        assert_close(ours[name].grad, parameter.grad, bound, bound, name)
    for name, value in theirs.state_dict().items():
        assert_close(mine.state_dict()[name], value, bound, bound, name)


@pytest.mark.parametrize("name", PAIRS)
def test_gradients_are_those_of_differences(name):
    hx.manual_seed(0)
    layer = PAIRS[name][0]().double().eval()
    x = hx.randn(*PAIRS[name][2], dtype=hx.float64).requires_grad_()
    assert hx.autograd.gradcheck(lambda x: layer(x), (x,))


# ---- layers that draw ----


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_stochastic_depth_drops_samples_and_keeps_the_mean(mode):
    hx.manual_seed(3)
    layer, x = nn.StochasticDepth(0.25, mode), hx.ones(4000, 2, 1)
    y = layer(x)
    assert y[:, 0].tolist() == y[:, 1].tolist()
    found = y.unique().tolist()
    if mode == "row":
        assert found == pytest.approx([0.0, 4 / 3]) and abs(y.mean().item() - 1.0) < 0.05
    else:
        assert len(found) == 1
        kept = sum(layer(x[:1]).sum().item() > 0 for _ in range(400))
        assert 270 < kept < 330
    assert layer.eval()(x) is x
    assert nn.StochasticDepth(1.0, mode)(x).abs().sum().item() == 0.0
    assert repr(layer) == f"StochasticDepth(p=0.25, mode={mode})"


def test_rrelu_draws_slopes_in_training_and_takes_their_mean_in_eval():
    hx.manual_seed(0)
    layer, x = nn.RReLU(0.2, 0.6), hx.full((50, 40), -1.0).requires_grad_()
    y = layer(x)
    assert -0.6 < y.min().item() < -0.59 and -0.21 < y.max().item() < -0.2
    y.sum().backward()
    assert x.grad.tolist() == (-y.detach()).tolist()
    theirs = torch.nn.RReLU(0.2, 0.6)
    assert repr(layer) == repr(theirs)
    data = torch.randn(4, 5, dtype=torch.float64)
    assert_close(layer.eval()(to_helix(data)), theirs.eval()(data), 1e-9, 1e-9)


@pytest.mark.parametrize("kind", ["AlphaDropout", "FeatureAlphaDropout"])
def test_alpha_dropout_keeps_mean_and_variance(kind):
    hx.manual_seed(0)
    layer, x = getattr(nn, kind)(0.3), hx.randn(300, 200, 2)
    y = layer(x)
    assert abs(y.mean().item()) < 0.02 and abs(y.std().item() - 1.0) < 0.02
    saturated = -1.7580993408473766
    a = ((1 - 0.3) * (1 + 0.3 * saturated**2)) ** -0.5
    dropped = ((y - a * saturated * (1 - 0.3)).abs() < 1e-6).reshape(-1, 2)
    assert 0.28 < dropped.float().mean().item() < 0.32
    together = (dropped[:, 0] == dropped[:, 1]).float().mean().item()
    assert together == 1.0 if kind.startswith("Feature") else together < 0.7
    assert layer.eval()(x) is x
    assert repr(layer) == repr(getattr(torch.nn, kind)(0.3))


@pytest.mark.parametrize(("axes", "shape"), [(2, (2, 3, 9, 8)), (3, (2, 2, 6, 7, 5))])
@pytest.mark.parametrize("size", [{"output_size": 3}, {"output_ratio": 0.6}])
def test_fractional_pooling(axes, shape, size):
    torch.manual_seed(0)
    samples = torch.rand(shape[0], shape[1], axes, dtype=torch.float64)
    theirs = getattr(tnn, f"FractionalMaxPool{axes}d")(2, **size, return_indices=True, _random_samples=samples)
    mine = getattr(nn, f"FractionalMaxPool{axes}d")(2, **size, return_indices=True, _random_samples=to_helix(samples))
    data = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    x = to_helix(data).requires_grad_()
    (expected, places), (result, found) = theirs(data), mine(x)
    assert_close(result, expected, 1e-9, 1e-9)
    assert found.tolist() == places.tolist()
    (expected**2).sum().backward()
    (result**2).sum().backward()
    assert_close(x.grad, data.grad, 1e-9, 1e-9)
    assert repr(mine) == repr(theirs) and list(mine.state_dict()) == list(theirs.state_dict())


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_adaptive_pooling_tells_where(axes):
    data = torch.randn(2, 3, 7, 5, 6)[(slice(None),) * 2 + (0,) * (3 - axes)]
    pools = [getattr(package, f"AdaptiveMaxPool{axes}d")(3, return_indices=True) for package in (nn, tnn)]
    (result, found), (expected, places) = pools[0](to_helix(data)), pools[1](data)
    assert_close(result, expected)
    assert found.tolist() == places.tolist()


def test_a_parameter_dict_holds_parameters():
    parts = nn.ParameterDict({"a": hx.ones(2), "b": nn.Parameter(hx.zeros(3, 1))})
    assert [n for n, _ in parts.named_parameters()] == list(parts.keys()) == ["a", "b"]
    assert len(parts) == 2 and "a" in parts and parts.get("c") is None and parts["b"].requires_grad
    parts.pop("a")
    assert [name for name, _ in parts.items()] == ["b"] == list(parts) and "Parameter of shape (3, 1)" in repr(parts)
    with pytest.raises(KeyError, match="a name that Module itself uses"):
        parts["forward"] = hx.ones(1)
    assert list(torch.nn.ParameterDict({"b": torch.zeros(3, 1)}).state_dict()) == list(parts.state_dict())


# ---- what does not fit ----

MISFITS = [
    (lambda: nn.Softmax2d(), (2, 3), "input has 2 axes, the layer takes 4"),
    (lambda: nn.SqueezeExcitation(4, 2), (2, 3, 5, 5), "input has 3 channels, the layer was made for 4"),
    (lambda: nn.ChannelGate(16), (2, 3, 5, 5), r"the layer takes \(N, 16, H, W\)"),
    (lambda: nn.SpatialGate(), (2, 3, 5), r"the layer takes \(N, C, H, W\)"),
    (lambda: nn.LayerNorm2d(4), (2, 5, 3, 3), r"the layer takes \(N, 4, H, W\)"),
    (lambda: nn.FractionalMaxPool2d(2, 2), (5, 5), "input has 2 axes, the layer takes 4"),
    (lambda: nn.SeparableConv2d(4, 6, 3), (1, 3, 5, 5), "depthwise.*input has 3 channels"),
]


@pytest.mark.parametrize(("make", "shape", "text"), MISFITS)
def test_what_does_not_fit_is_said(make, shape, text):
    with pytest.raises(nn.LayerError, match=text):
        make()(hx.ones(*shape))


REFUSED = [
    (lambda: nn.StochasticDepth(1.5), "p must lie between 0 and 1"),
    (lambda: nn.StochasticDepth(0.5, "rows"), "mode must be 'row' or 'batch'"),
    (lambda: nn.AlphaDropout(-0.1), "AlphaDropout: p must lie between 0 and 1"),
    (lambda: nn.RReLU(0.5, 0.2), "must not be above"),
    (lambda: nn.ChannelShuffle(0), "groups must be 1 or more"),
    (lambda: nn.FractionalMaxPool2d(2), "exactly one of output_size and output_ratio"),
    (lambda: nn.FractionalMaxPool2d(2, 3, 0.5), "exactly one of output_size and output_ratio"),
    (lambda: nn.FractionalMaxPool3d(2, output_ratio=(0.5, 1.5, 0.5)), "3 numbers between 0 and 1"),
    (lambda: nn.SeparableConv2d(4, 6, 3, depth_multiplier=0), "depth_multiplier must be 1 or more"),
    (lambda: nn.CBAM(8, 16), "reduction_ratio must lie between 1 and the 8 channels"),
    (lambda: nn.SpatialGate(4), "kernel_size must be odd"),
]


@pytest.mark.parametrize(("make", "text"), REFUSED)
def test_what_cannot_be_made_is_said(make, text):
    with pytest.raises(ValueError, match=text):
        make()
