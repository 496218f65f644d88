"""Module: names, state, modes, hooks, errors that name the layer."""

from __future__ import annotations

import copy

import pytest

import helix as hx
from helix import nn
from helix.errors import CheckpointError, HelixError, ShapeError


class Net(nn.Module):
    def __init__(self):
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8))
        self.norm = nn.BatchNorm1d(8)
        self.head = nn.Linear(8, 2)
        self.scale = nn.Parameter(hx.ones(1))
        self.register_buffer("steps", hx.zeros(1))
        self.register_buffer("cache", hx.zeros(1), persistent=False)

    def forward(self, x):
        return self.head(self.norm(self.body(x))) * self.scale


def test_names_come_in_order_without_super_init():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "scale", "body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias", "norm.weight", "norm.bias",
        "head.weight", "head.bias"]  # fmt: skip
    assert [name for name, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2", "norm", "head"]
    assert "steps" in net.state_dict() and "cache" not in net.state_dict()
    assert {name for name, _ in net.named_buffers()} >= {"steps", "cache", "norm.running_mean"}
    assert net.get_submodule("body.2") is net.body[2]


def test_shared_parameters_are_listed_once_and_saved_under_both_names():
    a = nn.Linear(3, 3)
    b = nn.Linear(3, 3)
    b.weight = a.weight
    both = nn.Sequential(a, b)
    assert len(list(both.parameters())) == 3
    assert {"0.weight", "1.weight"} <= set(both.state_dict())


def test_assigning_a_tensor_over_a_parameter_is_refused():
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"assign an nn.Parameter"):
        layer.weight = hx.zeros(2, 2)
    layer.bias = None
    assert [n for n, _ in layer.named_parameters()] == ["weight"]


def test_load_reports_everything_at_once_and_changes_nothing():
    net, before = Net(), None
    state = {k: v + 1 for k, v in net.state_dict().items()}
    before = net.head.weight.tolist()
    state["head.weigth"] = state.pop("head.weight")
    state["scale"] = hx.ones(3)
    with pytest.raises(CheckpointError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    assert caught.value.code == "HX3003"
    assert "did you mean 'head.weigth'?" in text and "scale: model (1,), state (3,)" in text
    assert net.head.weight.tolist() == before
    del state["scale"]
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert missing == ["head.weight", "scale"] or set(missing) == {"head.weight", "scale"}
    assert unexpected == ["head.weigth"]
    assert net.body[0].bias.tolist() == state["body.0.bias"].tolist()


def test_assign_takes_the_tensors_themselves():
    layer = nn.Linear(2, 2)
    layer.load_state_dict(
        {"weight": hx.ones(2, 2, dtype=hx.float64), "bias": hx.ones(2, dtype=hx.float64)}, assign=True
    )
    assert layer.weight.dtype == hx.float64 and isinstance(layer.weight, nn.Parameter) and layer.weight.requires_grad


def test_to_converts_floats_only_and_keeps_what_does_not_move():
    net = Net()
    weight = net.head.weight
    assert net.to("cpu").head.weight is weight
    net.double()
    assert net.head.weight.dtype == hx.float64 and net.norm.num_batches_tracked.dtype == hx.int64
    assert isinstance(net.head.weight, nn.Parameter)
    assert net(hx.zeros(3, 4, dtype=hx.float64)).dtype == hx.float64


def test_modes_zero_grad_and_requires_grad():
    net = Net()
    assert not net.eval().norm.training and net.train().norm.training
    net(hx.ones(3, 4)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not net(hx.ones(3, 4)).requires_grad


def test_infer_is_eval_without_gradients_in_slices_and_restores_modes():
    net = Net()
    net.head.eval()
    x = hx.arange(20, dtype=hx.float32).reshape(5, 4)
    whole = net.infer(x)
    assert not whole.requires_grad and net.norm.training and not net.head.training
    assert whole.tolist() == net.infer(x, batch_size=2).tolist()


def test_hooks_see_and_replace():
    layer, seen = nn.Linear(2, 2), []
    pre = layer.register_forward_pre_hook(lambda module, args: seen.append("before"))
    post = layer.register_forward_hook(lambda module, args, result: result * 0)
    assert layer(hx.ones(1, 2)).tolist() == [[0.0, 0.0]] and seen == ["before"]
    pre.remove()
    post.remove()
    assert layer(hx.ones(1, 2)).tolist() != [[0.0, 0.0]] and seen == ["before"]


def test_deepcopy_is_independent():
    net = Net()
    twin = copy.deepcopy(net)
    assert [n for n, _ in twin.named_parameters()] == [n for n, _ in net.named_parameters()]
    with hx.no_grad():
        twin.head.weight.fill_(7)
    assert net.head.weight.tolist() != twin.head.weight.tolist()


def test_apply_goes_children_first():
    order = []
    Net().apply(lambda module: order.append(type(module).__name__))
    assert order[-1] == "Net" and order[0] == "Linear"


def test_repr_nests():
    assert repr(nn.Sequential(nn.Linear(1, 2), nn.Sequential(nn.ReLU()))) == (
        "Sequential(\n  (0): Linear(in_features=1, out_features=2, bias=True)\n  (1): Sequential(\n    (0): ReLU()\n  )\n)"
    )


# ---- errors ------------------------------------------------------------------------------------------------


def test_a_misfit_names_the_layer_what_it_expected_and_the_fix():
    net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Sequential(nn.Conv2d(64, 8, 3)))
    with pytest.raises(nn.LayerError) as caught:
        net(hx.zeros(2, 3, 8, 8))
    error = caught.value
    assert isinstance(error, ShapeError) and isinstance(error, ValueError)
    assert error.code == "HX1004" and error.module_path == "2.0" and error.layer is net[2][0]
    assert str(error).startswith("HX1004 2.0 (Conv2d): input has 32 channels, the layer was made for 64.")
    assert "(2, 32, 6, 6) float32 cpu" in str(error)


def test_linear_says_when_flatten_is_missing():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(48, 5))
    with pytest.raises(nn.LayerError, match=r"Use nn.Linear\(4, 5\)") as caught:
        net(hx.zeros(2, 4))
    assert "An earlier layer, 0, gives 4." in str(caught.value)
    with pytest.raises(nn.LayerError, match=r"nn.Flatten\(\)"):
        nn.Linear(48, 5)(hx.zeros(2, 3, 4, 4))


def test_embedding_misfits():
    layer = nn.Embedding(5, 2)
    with pytest.raises(HelixError, match="must be an integer type"):
        layer(hx.zeros(3))
    with pytest.raises(HelixError, match="run from 0 to 5, the table has 5 rows"):
        layer(hx.tensor([0, 5]))


@pytest.mark.parametrize(("layer", "shape"), [
    (nn.Linear(4, 2), (3, 5)), (nn.Conv1d(4, 2, 3), (1, 5, 9)), (nn.Conv2d(4, 2, 3), (9,)),
    (nn.BatchNorm2d(4), (2, 5, 3, 3)), (nn.BatchNorm2d(4), (2, 4)), (nn.InstanceNorm1d(4), (4,)), (nn.LayerNorm(4), (2, 5)), (nn.GroupNorm(2, 4), (2, 6, 3)),
    (nn.ConvTranspose2d(4, 2, 3), (1, 5, 3, 3)), (nn.MultiheadAttention(4, 2), (3, 2, 5))], ids=lambda v: str(v)[:20])  # fmt: skip
def test_every_kind_of_layer_raises_hx1004(layer, shape):
    x = hx.zeros(*shape)
    with pytest.raises(nn.LayerError) as caught:
        layer(x, x, x) if isinstance(layer, nn.MultiheadAttention) else layer(x)
    assert caught.value.code == "HX1004" and str(x.shape) in str(caught.value).replace("Size", "")


def test_an_error_that_is_no_misfit_keeps_its_text_and_gains_the_path():
    class Odd(nn.Module):
        def forward(self, x):
            return x @ hx.zeros(7, 7)

    net = nn.Sequential(nn.Identity(), nn.Sequential(Odd()))
    with pytest.raises(HelixError) as caught:
        net(hx.zeros(2, 3))
    assert caught.value.__notes__ == ["in module 1.0 (Odd)"] and "matmul" in str(caught.value)


def test_containers():
    layers = nn.ModuleList([nn.Linear(1, 1), nn.ReLU()])
    layers.append(nn.Tanh())
    layers.insert(1, nn.Sigmoid())
    assert [type(m).__name__ for m in layers] == ["Linear", "Sigmoid", "ReLU", "Tanh"]
    del layers[0]
    assert len(layers) == 3 and [n for n, _ in layers.named_children()] == ["0", "1", "2"]
    assert isinstance(layers[1:], nn.ModuleList) and len(layers[1:]) == 2
    named = nn.ModuleDict({"a": nn.Linear(1, 1)})
    assert "a" in named and list(named.keys()) == ["a"]
    with pytest.raises(KeyError):
        named["forward"] = nn.ReLU()
    weights = nn.ParameterList([hx.zeros(2)])
    assert isinstance(weights[0], nn.Parameter) and len(list(weights.parameters())) == 1
    assert nn.Sequential({"first": nn.Linear(1, 1)}).first is not None


def test_summary_counts():
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))
    found = model.summary((1, 8, 8))
    assert found.parameters == 8 * 9 + 8 + 5120 + 10
    assert [row.shape for row in found.rows] == [(1, 10), (1, 8, 8, 8), (1, 8, 8, 8), (1, 512), (1, 10)]
    assert found.rows[1].flops == 512 * 18 and found.rows[4].flops == 10 * 1024
    assert "5,210 parameters" in str(found) and model.training


def test_a_buffer_is_registered_when_it_is_assigned():
    class Layer(nn.Module):
        def __init__(self):
            self.kept = nn.Buffer(hx.ones(2))
            self.passing = nn.Buffer(hx.zeros(1), persistent=False)

    layer = Layer().double()
    assert [name for name, _ in layer.named_buffers()] == ["kept", "passing"]
    assert list(layer.state_dict()) == ["kept"] and list(layer.parameters()) == []
    assert layer.kept.dtype == layer.passing.dtype == hx.float64
    layer.kept = hx.full((2,), 3.0)
    assert layer.state_dict()["kept"].tolist() == [3.0, 3.0] and nn.Buffer().shape == (0,)
