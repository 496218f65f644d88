"""Every layer against torch's: text, state, result, and gradients, in train and in eval mode."""

from __future__ import annotations

import pytest
import torch

import helix as hx
from helix import nn

from .compare import assert_close, copy_weights, to_helix

ACTIVATIONS = ["ReLU", "ReLU6", "SiLU", "Mish", "SELU", "Hardsigmoid", "Hardswish", "Sigmoid", "Tanh", "LogSigmoid",
               "Softsign", "Tanhshrink", "GELU", "LeakyReLU", "ELU", "CELU", "Softplus", "Hardtanh", "Hardshrink",
               "Softshrink", "PReLU", "GLU"]  # fmt: skip

# name, arguments, keywords, input shape
LAYERS = [
    ("Linear", (6, 4), {}, (3, 6)),
    ("Linear", (6, 4), {"bias": False}, (2, 3, 6)),
    ("Conv1d", (4, 6, 3), {"padding": 1, "stride": 2}, (2, 4, 9)),
    ("Conv2d", (4, 6, 3), {"padding": 1}, (2, 4, 7, 5)),
    ("Conv2d", (4, 6, (3, 2)), {"stride": (2, 1), "dilation": 2, "groups": 2, "bias": False}, (2, 4, 9, 8)),
    ("Conv2d", (4, 6, 4), {"padding": "same"}, (2, 4, 7, 5)),
    ("Conv2d", (4, 6, 3), {"padding": "valid"}, (2, 4, 7, 5)),
    ("Conv2d", (4, 6, 3), {"padding": 2, "padding_mode": "circular"}, (2, 4, 7, 5)),
    ("Conv2d", (4, 6, 3), {"padding": 2, "padding_mode": "reflect"}, (2, 4, 7, 5)),
    ("Conv2d", (4, 6, 3), {"padding": "same", "padding_mode": "replicate"}, (2, 4, 7, 5)),
    ("Conv2d", (4, 6, 3), {}, (4, 7, 5)),
    ("Conv3d", (2, 3, 2), {"padding": 1}, (2, 2, 4, 3, 5)),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}, (2, 4, 5)),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "groups": 2}, (2, 4, 4, 5)),
    ("ConvTranspose3d", (2, 3, 2), {"stride": 2}, (1, 2, 3, 2, 3)),
    ("BatchNorm1d", (4,), {}, (5, 4)),
    ("BatchNorm1d", (4,), {"affine": False}, (5, 4, 3)),
    ("BatchNorm2d", (4,), {}, (3, 4, 5, 2)),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, (3, 4, 5, 2)),
    ("BatchNorm2d", (4,), {"momentum": None}, (3, 4, 5, 2)),
    ("BatchNorm3d", (4,), {"momentum": 0.3}, (2, 4, 3, 2, 2)),
    ("InstanceNorm1d", (4,), {}, (2, 4, 6)),
    ("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, (3, 4, 5, 2)),
    ("InstanceNorm3d", (4,), {}, (2, 4, 3, 2, 2)),
    ("GroupNorm", (2, 6), {}, (3, 6, 4)),
    ("GroupNorm", (3, 6), {"affine": False}, (3, 6, 4, 2)),
    ("LayerNorm", (6,), {}, (3, 4, 6)),
    ("LayerNorm", ((4, 6),), {"bias": False}, (3, 4, 6)),
    ("LayerNorm", (6,), {"elementwise_affine": False}, (3, 6)),
    ("RMSNorm", (6,), {}, (3, 4, 6)),
    ("RMSNorm", (6,), {"eps": 1e-3}, (3, 6)),
    ("MaxPool1d", (2,), {}, (2, 3, 7)),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1}, (2, 3, 7, 6)),
    ("MaxPool2d", (2,), {"ceil_mode": True, "dilation": 2}, (2, 3, 7, 6)),
    ("MaxPool3d", (2,), {}, (1, 2, 4, 4, 5)),
    ("AvgPool1d", (2,), {"padding": 1}, (2, 3, 7)),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, (2, 3, 7, 6)),
    ("AvgPool2d", (2,), {"divisor_override": 3}, (2, 3, 6, 6)),
    ("AvgPool3d", (2,), {}, (1, 2, 4, 4, 5)),
    ("LPPool1d", (2, 3), {"stride": 2}, (2, 3, 7)),
    ("LPPool2d", (2.0, (2, 3)), {"ceil_mode": True}, (2, 3, 7, 6)),
    ("LPPool3d", (2, 2), {}, (1, 2, 4, 4, 5)),
    ("LocalResponseNorm", (3,), {"alpha": 0.3, "k": 2.0}, (2, 5, 4)),
    ("LocalResponseNorm", (4,), {}, (2, 5, 3, 2)),
    ("AdaptiveAvgPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveAvgPool2d", ((3, 2),), {}, (2, 3, 7, 6)),
    ("AdaptiveAvgPool3d", (2,), {}, (1, 2, 5, 4, 3)),
    ("AdaptiveMaxPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveMaxPool2d", (2,), {}, (2, 3, 7, 6)),
    ("AdaptiveMaxPool3d", (2,), {}, (1, 2, 5, 4, 3)),
    ("Upsample", (), {"scale_factor": 2}, (2, 3, 4, 5)),
    ("Upsample", (), {"scale_factor": 1.6, "mode": "linear", "recompute_scale_factor": True}, (2, 3, 4)),
    ("UpsamplingNearest2d", (), {"scale_factor": 2}, (2, 3, 4, 5)),
    ("UpsamplingBilinear2d", ((7, 3),), {}, (2, 3, 4, 5)),
    ("ChannelShuffle", (2,), {}, (2, 6, 3, 2)),
    ("Upsample", (), {"size": (7, 9), "mode": "bilinear", "align_corners": True}, (2, 3, 4, 5)),
    ("PixelShuffle", (2,), {}, (2, 8, 3, 2)),
    ("PixelUnshuffle", (2,), {}, (2, 2, 4, 6)),
    ("Unfold", (3,), {"padding": 1, "stride": 2}, (2, 3, 5, 6)),
    ("Fold", ((5, 6), 2), {}, (2, 12, 20)),
    *[
        (
            f"{kind}Pad{n}d",
            (2 if n == 1 else tuple(range(2 * n, 0, -1)) if n == 2 else 1, *value),
            {},
            (2, 3, 5, 6, 5)[: n + 2],
        )
        for kind, value in (
            ("Zero", ()),
            ("Constant", (3.5,)),
            ("Reflection", ()),
            ("Replication", ()),
            ("Circular", ()),
        )
        for n in (1, 2, 3)
    ],
    ("Flatten", (), {}, (2, 3, 4)),
    ("Unflatten", (1, (3, 2)), {}, (2, 6)),
    ("Identity", (), {}, (2, 6)),
    ("Softmax", (1,), {}, (3, 5)),
    ("Softmin", (0,), {}, (3, 5)),
    ("Softmax2d", (), {}, (2, 3, 4, 5)),
    ("Softmax2d", (), {}, (3, 4, 5)),
    ("LogSoftmax", (-1,), {}, (3, 5)),
    ("GELU", (), {"approximate": "tanh"}, (3, 4)),
    ("PReLU", (4,), {}, (3, 4, 2)),
    ("Threshold", (0.1, 20.0), {}, (3, 4)),
    ("Softplus", (2.0, 1.0), {}, (3, 4)),
    *[(name, (), {}, (3, 4)) for name in ACTIVATIONS],
]


def label(case: tuple) -> str:
    return f"{case[0]}-{'-'.join(f'{k}={v}' for k, v in case[2].items())}-{case[3]}"


@pytest.fixture(params=LAYERS, ids=label)
def pair(request):
    """(helix layer, torch layer with the same weights, input shape)"""
    name, args, keywords, shape = request.param
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(*args, **keywords)
    mine = getattr(nn, name)(*args, **keywords)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    copy_weights(mine, theirs)
    return mine, theirs, shape


def test_repr_is_torchs(pair):
    mine, theirs, _ = pair
    if type(mine).__name__ != "AvgPool1d":  # torch alone prints tuples there
        assert repr(mine) == repr(theirs)


def test_state_has_torchs_names_and_layout(pair):
    mine, theirs, _ = pair
    assert {k: tuple(v.shape) for k, v in mine.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    assert list(mine.state_dict()) == list(theirs.state_dict())


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("training", [True, False])
def test_forward_and_backward(pair, training, double):
    mine, theirs, shape = pair
    mine.train(training)
    theirs.train(training)
    dtype, bound = (torch.float64, 1e-9) if double else (torch.float32, 1e-5)
    if double:
        mine.double()
        theirs.double()

    if double and type(mine) is nn.Hardsigmoid:
        bound = 1e-7  # torch's gradient there is the float32 nearest to 1/6

    def close(result, expected, what):
        assert_close(result, expected, bound, bound, what)

    for _ in range(2):  # twice: running statistics move
        data = torch.randn(shape, dtype=dtype, requires_grad=True)
        x = to_helix(data).requires_grad_()
        expected, result = theirs(data), mine(x)
        close(result, expected, "result")
        weight = torch.randn(expected.shape, dtype=dtype)
        (expected * weight).sum().backward()
        (result * to_helix(weight)).sum().backward()
        close(x.grad, data.grad, "input")
    ours = dict(mine.named_parameters())
    for name, parameter in theirs.named_parameters():
        close(ours[name].grad, parameter.grad, name)
    state = mine.state_dict()
    for name, value in theirs.state_dict().items():
        close(state[name], value, name)


def test_dropout_keeps_the_mean_and_is_off_in_eval():
    hx.manual_seed(0)
    layer, x = nn.Dropout(0.25), hx.ones(200, 200)
    y = layer(x)
    assert y.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert abs(y.mean().item() - 1.0) < 0.02
    assert layer.eval()(x) is x


@pytest.mark.parametrize(("kind", "shape"), [("Dropout1d", (8, 40, 5)), ("Dropout2d", (8, 40, 3, 4)),
                                             ("Dropout3d", (8, 40, 2, 3, 2))])  # fmt: skip
def test_channel_dropout_drops_whole_channels(kind, shape):
    hx.manual_seed(1)
    y = getattr(nn, kind)(0.5)(hx.ones(*shape)).reshape(shape[0] * shape[1], -1)
    lows, highs = y.amin(1).tolist(), y.amax(1).tolist()
    assert lows == highs and set(lows) == {0.0, 2.0}


WAYS = [
    {"padding_idx": 2},
    {"padding_idx": -1, "scale_grad_by_freq": True},
    {"max_norm": 0.7, "norm_type": 1.5},
    {"sparse": True},
]


@pytest.mark.parametrize("ways", WAYS, ids=str)
def test_embedding_looks_up_rows(ways):
    theirs, mine = torch.nn.Embedding(7, 4, **ways), nn.Embedding(7, 4, **ways)
    if "padding_idx" in ways:
        assert mine.weight[ways["padding_idx"]].tolist() == [0.0] * 4
    copy_weights(mine, theirs)
    rows = torch.tensor([[1, 2, 6], [1, 1, 0]])
    expected, result = theirs(rows), mine(to_helix(rows))
    assert_close(result, expected)
    (expected**2).sum().backward()
    (result**2).sum().backward()
    assert_close(mine.weight, theirs.weight)
    assert_close(mine.weight.grad, theirs.weight.grad.to_dense())
    assert repr(mine) == repr(theirs)


def test_an_embedding_of_given_rows_is_frozen_unless_told_otherwise():
    rows = hx.tensor([[1.0, 2.0], [3.0, 4.0]])
    for kind in (nn.Embedding, nn.EmbeddingBag):
        assert not kind.from_pretrained(rows).weight.requires_grad
        assert kind.from_pretrained(rows, freeze=False).weight.requires_grad
    with pytest.raises(ValueError, match=r"the weight has shape \(2, 2\), the table \(3, 2\)"):
        nn.Embedding(3, 2, _weight=rows)
    with pytest.raises(ValueError, match="padding_idx 5 is outside a table of 5 rows"):
        nn.EmbeddingBag(5, 2, padding_idx=5)


BAGS = [
    {},
    {"padding_idx": 2},
    {"max_norm": 0.7, "norm_type": 1.0},
]  # by frequency, torch divides by other rows' counts


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("offsets", [[0, 2, 2, 5], None])
@pytest.mark.parametrize("ways", BAGS, ids=str)
def test_embedding_bag(mode, offsets, ways):
    theirs = torch.nn.EmbeddingBag(7, 4, mode=mode, **ways)
    mine = nn.EmbeddingBag(7, 4, mode=mode, **ways)
    copy_weights(mine, theirs)
    rows = torch.tensor([1, 2, 6, 1, 0, 3]) if offsets else torch.tensor([[1, 2, 6], [5, 1, 0]])
    starts = torch.tensor(offsets) if offsets else None
    expected, result = theirs(rows, starts), mine(to_helix(rows), to_helix(starts) if offsets else None)
    assert_close(result, expected)
    (expected**2).sum().backward()
    (result**2).sum().backward()
    assert_close(mine.weight.grad, theirs.weight.grad)
    assert repr(mine) == repr(theirs)


def test_embedding_bag_with_a_factor_for_each_id():
    theirs, mine = torch.nn.EmbeddingBag(5, 3, mode="sum"), nn.EmbeddingBag(5, 3, mode="sum")
    copy_weights(mine, theirs)
    rows, factors = torch.tensor([[1, 4], [0, 0]]), torch.randn(2, 2, requires_grad=True)
    mine_factors = to_helix(factors).requires_grad_()
    expected = theirs(rows, per_sample_weights=factors)
    result = mine(to_helix(rows), per_sample_weights=mine_factors)
    assert_close(result, expected)
    expected.sum().backward()
    result.sum().backward()
    assert_close(mine_factors.grad, factors.grad)


@pytest.mark.parametrize(("axes", "shape"), [(1, (2, 3, 7)), (2, (2, 3, 7, 5)), (3, (1, 2, 4, 5, 4))])
def test_unpooling_puts_maxima_back(axes, shape):
    data = torch.randn(shape, requires_grad=True)
    x = to_helix(data).requires_grad_()

    def there_and_back(package, x):
        pool = getattr(package, f"MaxPool{axes}d")(2, return_indices=True)
        unpool = getattr(package, f"MaxUnpool{axes}d")(2)
        return unpool, unpool(*pool(x), output_size=shape)

    (theirs, expected), (mine, result) = there_and_back(torch.nn, data), there_and_back(nn, x)
    assert repr(mine) == repr(theirs)
    assert_close(result, expected)
    (expected**2).sum().backward()
    (result**2).sum().backward()
    assert_close(x.grad, data.grad)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("masks", ["none", "bool", "float", "padding", "both"])
def test_multihead_attention(batch_first, weights, masks):
    torch.manual_seed(3)
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=batch_first)
    mine = nn.MultiheadAttention(8, 2, batch_first=batch_first)
    copy_weights(mine, theirs)
    query, key = torch.randn(3, 5, 8), torch.randn(3, 4, 8)
    if not batch_first:
        query, key = query.transpose(0, 1).contiguous(), key.transpose(0, 1).contiguous()
    given = {}
    if masks in ("bool", "both"):
        given["attn_mask"] = torch.tensor([[False, True, False, False]] * 5)
    if masks == "float":
        given["attn_mask"] = torch.randn(5, 4)
    if masks in ("padding", "both"):
        given["key_padding_mask"] = torch.tensor([[False] * 4, [False, False, False, True], [False, False, True, True]])
    expected = theirs(query, key, key, need_weights=weights, **given)
    k = to_helix(key)
    result = mine(to_helix(query), k, k, need_weights=weights, **{n: to_helix(m) for n, m in given.items()})
    assert_close(result[0], expected[0])
    assert (result[1] is None) == (expected[1] is None)
    if weights:
        assert_close(result[1], expected[1])


def test_multihead_attention_with_other_key_and_value_sizes():
    torch.manual_seed(4)
    theirs = torch.nn.MultiheadAttention(8, 2, kdim=6, vdim=5, batch_first=True)
    mine = nn.MultiheadAttention(8, 2, kdim=6, vdim=5, batch_first=True)
    copy_weights(mine, theirs)
    query, key, value = torch.randn(3, 5, 8), torch.randn(3, 4, 6), torch.randn(3, 4, 5)
    assert_close(mine(to_helix(query), to_helix(key), to_helix(value))[0], theirs(query, key, value)[0])


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_transformer_encoder(norm_first, activation):
    torch.manual_seed(5)
    keywords = {
        "dim_feedforward": 16,
        "batch_first": True,
        "norm_first": norm_first,
        "activation": activation,
        "dropout": 0.0,
    }
    theirs = torch.nn.TransformerEncoder(
        torch.nn.TransformerEncoderLayer(8, 2, **keywords), 2, enable_nested_tensor=False
    )
    mine = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, **keywords), 2)
    copy_weights(mine, theirs)
    x = torch.randn(3, 5, 8)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(5)
    assert_close(mine(to_helix(x)), theirs(x))
    assert_close(mine(to_helix(x), to_helix(mask)), theirs(x, mask))
    ours = mine(to_helix(x), to_helix(mask), is_causal=True)
    assert_close(ours, theirs(x, mask, is_causal=True))
    (ours**2).sum().backward()
    (theirs(x, mask) ** 2).sum().backward()
    gradients = dict(mine.named_parameters())
    for name, parameter in theirs.named_parameters():
        assert_close(gradients[name].grad, parameter.grad, rtol=1e-4, atol=1e-4, what=name)


def test_bilinear():
    theirs, mine = torch.nn.Bilinear(3, 4, 5), nn.Bilinear(3, 4, 5)
    copy_weights(mine, theirs)
    a, b = torch.randn(2, 3), torch.randn(2, 4)
    assert_close(mine(to_helix(a), to_helix(b)), theirs(a, b))
    assert repr(mine) == repr(theirs)


@pytest.mark.parametrize("pool", [(2,), (3, 2, 1)])
def test_a_relu_that_waits_for_the_pool_changes_no_bit(pool):
    x = hx.randint(-3, 4, (3, 4, 9, 10)).float()
    x[0, 0, 1, 1] = float("nan")
    relu, pooling = nn.ReLU(), nn.MaxPool2d(*pool)
    seen = []

    def run(layers):
        data = x.clone().requires_grad_()
        result = layers(data)
        (result.nan_to_num() * hx.arange(result.numel()).reshape(result.shape)).sum().backward()
        return result.detach().numpy().tobytes(), data.grad.numpy().tobytes()

    together = run(nn.Sequential(relu, pooling))
    for layers in ((relu, pooling), (nn.ReLU(), pooling)):  # a hook on one, then on the other
        kind = "forward" if layers[0] is relu else "forward_pre"
        keep = lambda layer, args, result=None: seen.append((args if result is None else (result,))[0])  # noqa: E731
        getattr(layers[layers[0] is not relu], f"register_{kind}_hook")(keep)
        assert run(nn.Sequential(*layers)) == together
    assert [tuple(t.shape) for t in seen] == [(3, 4, 9, 10)] * 2 and all(t.nan_to_num().min().item() == 0 for t in seen)
    values, places = nn.Sequential(nn.ReLU(), nn.MaxPool2d(*pool, return_indices=True))(x)
    assert values.nan_to_num().min().item() == 0 and places.shape == values.shape


class _Negated(nn.MaxPool2d):
    def forward(self, input):
        return -super().forward(input)


def test_a_pool_or_relu_of_another_meaning_keeps_its_place():
    x = hx.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert nn.Sequential(nn.ReLU(), _Negated(2))(x).item() == -4
    for number, wanted in ((0, -1), (1, -4)):
        layers = [nn.ReLU(), nn.MaxPool2d(2)]
        plain = layers[number].forward
        layers[number].forward = lambda input, plain=plain: -plain(input)
        assert nn.Sequential(*layers)(x).item() == wanted


MAKERS = {  # with more than a few thousand results
    "linear": (nn.Linear(50, 40), (300, 50)),
    "conv": (nn.Conv2d(2, 4, 3), (2, 2, 60, 60)),
    "transposed": (nn.ConvTranspose1d(2, 4, 3), (2, 2, 2000)),
    "batch norm": (nn.BatchNorm2d(2), (3, 2, 40, 40)),
    "view": (nn.Flatten(), (30, 20, 40)),
    "nothing": (nn.Identity(), (30, 20, 40)),
    "sigmoid": (nn.Sigmoid(), (30, 20, 40)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_relu_in_the_memory_of_what_it_reads_changes_no_bit(name):
    layer, shape = MAKERS[name]
    x, seen = hx.randn(*shape), []

    def run(forward):
        data = x.clone().requires_grad_()
        result = forward(data * 1)
        (result * hx.arange(result.numel()).reshape(result.shape)).sum().backward()
        return result.detach().numpy().tobytes(), data.grad.numpy().tobytes()

    apart = run(lambda data: nn.ReLU()(layer(data)))
    assert run(nn.Sequential(layer, nn.ReLU())) == apart
    before = x.clone()
    with hx.no_grad():
        nn.Sequential(layer, nn.ReLU())(x)
        nn.Sequential(nn.ReLU(), layer)(x)
    assert (x == before).all().item()
    watch = layer.register_forward_hook(lambda _layer, _inputs, made: seen.append(made))
    run(nn.Sequential(layer, nn.ReLU()))
    watch.remove()
    if name != "sigmoid":
        assert seen[0].min().item() < 0
