"""Networks over images: results, gradients and state of small ones against torch's layers; sizes of the published ones."""

from __future__ import annotations

import pytest
import torch

import helix as hx
from helix import models, nn
from helix.errors import ConfigError
from helix.models import mobilenet, resnet
from tests.nn.compare import assert_close, to_helix

from . import torch_vision as theirs_of

V2 = ((1, 8, 1, 1), (6, 16, 2, 2))
V3 = ((8, 3, 8, 8, True, "RE", 2), (8, 3, 24, 16, False, "HS", 1), (16, 5, 64, 16, True, "HS", 1))

# helix's network, torch's, input shape
SMALL = {
    "resnet, basic": (
        lambda: resnet.ResNet(resnet.BasicBlock, [1, 2], 5, stem=4, widths=[4, 6]),
        lambda: theirs_of.ResNet(False, [1, 2], 4, [4, 6], 5), (2, 3, 24, 20)),
    "resnet, bottleneck": (
        lambda: resnet.ResNet(resnet.Bottleneck, [1, 2, 1], 5, stem=4, widths=[2, 3, 2]),
        lambda: theirs_of.ResNet(True, [1, 2, 1], 4, [2, 3, 2], 5), (2, 3, 33, 24)),
    "resnext, dilated": (
        lambda: resnet.ResNet(resnet.Bottleneck, [1, 2], 5, groups=2, width_per_group=32, stem=4, widths=[4, 4],
                              replace_stride_with_dilation=[True]),
        lambda: theirs_of.ResNet(True, [1, 2], 4, [4, 4], 5, 2, 32, True), (2, 3, 24, 24)),
    "densenet": (
        lambda: models.DenseNet(3, (2, 3), 4, 2, num_classes=5),
        lambda: theirs_of.DenseNet(3, (2, 3), 4, 2, 5), (2, 3, 32, 24)),
    "mobilenet_v2": (
        lambda: models.MobileNetV2(5, 0.25, V2, dropout=0.0),
        lambda: theirs_of.mobilenet_v2(((1, 8, 1, 1), (6, 8, 2, 2)), 8, 1280, 5), (3, 3, 16, 20)),
    "mobilenet_v3": (
        lambda: models.MobileNetV3([mobilenet.Setting(*row) for row in V3], 24, 5, dropout=0.0),
        lambda: theirs_of.mobilenet_v3(V3, 24, 5), (3, 3, 16, 20)),
    "convnext": (
        lambda: models.ConvNeXt((4, 6), (1, 2), num_classes=5),
        lambda: theirs_of.ConvNeXt((4, 6), (1, 2), 5), (2, 3, 16, 24)),
    "unet": (
        lambda: models.UNet(3, 2, width=2), lambda: theirs_of.UNet(3, 2, 2, False), (2, 3, 38, 33)),
    "unet, bilinear": (
        lambda: models.UNet(3, 2, True, width=4), lambda: theirs_of.UNet(3, 2, 4, True), (2, 3, 32, 37)),
}  # fmt: skip


def pair(name: str, dtype: torch.dtype, training: bool):
    make, make_torch, shape = SMALL[name]
    torch.manual_seed(1)
    theirs = make_torch().to(dtype).train(training)
    with torch.no_grad():
        for tensor in (*theirs.parameters(), *(b for n, b in theirs.named_buffers() if "mean" in n)):
            tensor.add_(0.1 * torch.randn(tensor.shape, dtype=dtype))
    mine = make().to(hx.float64 if dtype == torch.float64 else hx.float32).train(training)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    mine.load_state_dict({key: to_helix(value) for key, value in theirs.state_dict().items()})
    return mine, theirs, torch.randn(shape, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_small_networks_are_torchs(name, training, dtype, bound):
    mine, theirs, data = pair(name, dtype, training)
    x = to_helix(data).requires_grad_()
    expected, result = theirs(data), mine(x)
    weight = torch.randn_like(expected)
    (expected * weight).sum().backward()
    (result * to_helix(weight)).sum().backward()
    ours = dict(mine.named_parameters())
    compared = {"result": (result, expected), "input": (x.grad, data.grad)}
    compared |= {name: (ours[name].grad, p.grad) for name, p in theirs.named_parameters()}
    compared |= {name: (mine.state_dict()[name], value) for name, value in theirs.state_dict().items()}
    for what, (got, wanted) in compared.items():
        size = max(1.0, wanted.abs().max().item())
        assert_close(got, wanted, bound, bound * size, what)


PUBLISHED = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "densenet121": 7_978_856,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_small": 2_542_856,
    "mobilenet_v3_large": 5_483_032,
    "convnext_tiny": 28_589_128,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_the_published_ones(name):
    with nn.init.skipped():
        model = getattr(models, name)()
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[name]


def test_a_network_takes_its_images_and_no_others():
    small = resnet.ResNet(resnet.BasicBlock, [1], 3, stem=4, widths=[4], in_channels=1)
    assert small(hx.zeros(1, 1, 9, 9)).shape == (1, 3)
    with pytest.raises(nn.LayerError, match=r"takes images \(N, 1, H, W\)"):
        small(hx.zeros(1, 3, 9, 9))
    with pytest.raises(nn.LayerError, match="16 or more on both sides"):
        models.UNet(1, 2, width=2)(hx.zeros(1, 1, 8, 32))
    with pytest.raises(nn.LayerError, match="the layer was made for 3"):
        models.ConvNeXt((4,), (1,), num_classes=2)(hx.zeros(1, 4, 8, 8))


REFUSED = [
    (lambda: resnet.BasicBlock(4, 4, groups=2), "for Bottleneck"),
    (lambda: resnet.ResNet(resnet.BasicBlock, [1, 1], widths=[4]), "as many widths"),
    (lambda: resnet.ResNet(resnet.Bottleneck, [1, 1], replace_stride_with_dilation=[True, True]), "must be 1 flags"),
    (lambda: mobilenet.InvertedResidual(4, 4, 3, 6), "stride must be 1 or 2"),
    (lambda: models.ConvNeXt((4, 8), (1,)), "2 widths for 1 depths"),
    (lambda: models.UNet(1, 1, width=3), "width must be even"),
]


@pytest.mark.parametrize(("make", "text"), REFUSED)
def test_what_cannot_be_built_is_said(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_residual_branches_can_start_at_zero():
    block = resnet.ResNet(resnet.Bottleneck, [1], 2, True, stem=8, widths=[2]).layer1[0]
    assert block.bn3.weight.abs().sum().item() == 0.0 and block.bn2.weight.abs().sum().item() == 2.0


def test_later_blocks_of_convnext_fall_away_more_often():
    model = models.ConvNeXt((4, 4), (1, 2), stochastic_depth_prob=0.4)
    assert [m.p for m in model.modules() if isinstance(m, nn.StochasticDepth)] == pytest.approx([0.0, 0.2, 0.4])


@pytest.mark.parametrize("config", [{"layer_type": "wide"}, {"hidden_sizes": [6, 8]}, {"hidden_act": "gelu"}], ids=str)
def test_a_config_that_is_not_supported_is_refused(config):
    with pytest.raises(ConfigError, match="HX3012 resnet"):
        resnet.ResNet.from_config({"hidden_sizes": [8, 16], "depths": [1, 1], **config})


@pytest.mark.parametrize("name", ["resnet, bottleneck", "mobilenet_v3", "convnext", "unet, bilinear"])
def test_networks_train_on_a_device(name):
    make, _, shape = SMALL[name]
    model = make().to("sim")
    model(hx.ones(*shape).to("sim")).sum().backward()
    assert {p.grad.device.type for p in model.parameters()} == {"sim"}
