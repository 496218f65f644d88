"""Optimizers against torch's, step by step; states that survive."""

from __future__ import annotations

import pytest
import torch

import helix as hx
from helix import nn, optim
from helix.errors import CheckpointError

from ..nn.compare import assert_close, to_helix

CASES = [
    ("SGD", {"lr": 0.01}),
    ("SGD", {"lr": 0.01, "momentum": 0.9}),
    ("SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.01, "momentum": 0.9, "dampening": 0.3, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"weight_decay": 0.1, "betas": (0.5, 0.9), "decoupled_weight_decay": True}),
    ("Adam", {"amsgrad": True, "lr": 0.1, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"weight_decay": 0.3, "amsgrad": True, "eps": 1e-5, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"weight_decay": 0.1, "maximize": True, "betas": (0.8, 0.9)}),
    ("NAdam", {}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("NAdam", {"weight_decay": 0.1, "momentum_decay": 0.1, "lr": 0.02}),
    ("RAdam", {"lr": 0.01}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "betas": (0.8, 0.9)}),
    ("RAdam", {"weight_decay": 0.1, "maximize": True}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.3, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"weight_decay": 0.1, "rho": 0.5, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"weight_decay": 0.1, "momentum": 0.9, "lr": 1e-3}),
    ("RMSprop", {"centered": True, "alpha": 0.9, "lr": 1e-3}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "alpha": 0.9, "lr": 1e-3, "maximize": True}),
    ("ASGD", {}),
    ("ASGD", {"t0": 5, "lambd": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.1), "maximize": True}),
    ("Adafactor", {}),
    ("Adafactor", {"weight_decay": 0.1, "lr": 0.1, "eps": (1e-4, 0.01), "maximize": True}),
    ("Muon", {"lr": 0.02}),
    ("Muon", {"nesterov": False, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3}),
]
SHAPES = {"Muon": [(7, 5), (3, 6), (4, 4)]}


@pytest.fixture(autouse=True)
def _torch_as_precise_as_the_parameters(request, monkeypatch):
    """torch keeps some numbers of a state in its default dtype, and rounds Muon's iteration to bfloat16."""
    before, parameters = torch.get_default_dtype(), getattr(request.node, "callspec", None)
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())
    torch.set_default_dtype(parameters.params.get("dtype", torch.float64) if parameters else torch.float32)
    yield
    torch.set_default_dtype(before)


def parameters(name, dtype):
    torch.manual_seed(0)
    data = [torch.randn(shape, dtype=dtype) for shape in SHAPES.get(name, [(7, 5), (11,), (3, 2, 2)])]
    return [torch.nn.Parameter(t.clone()) for t in data], [nn.Parameter(to_helix(t)) for t in data]


def made(name, parameters, **options):
    """The tested optimizer; Muon's iteration in the precision of the parameters, as torch's is here."""
    if name == "Muon":
        first = parameters[0]["params"][0] if isinstance(parameters[0], dict) else parameters[0]
        options["ns_dtype"] = "float64" if first.dtype == hx.float64 else "float32"
    return getattr(optim, name)(parameters, **options)


def steps(reference, tested, theirs, mine, count):
    """One parameter gets its first gradient late, and one has none on every third step."""
    for step in range(count):
        for i, (a, b) in enumerate(zip(theirs, mine, strict=True)):
            gradient = torch.randn(a.shape, dtype=a.dtype)
            absent = (i == 1 and step < 3) or (i == 2 and step % 3 == 0)
            a.grad = None if absent else gradient
            b.grad = None if absent else to_helix(gradient)
        reference.step()
        tested.step()
        if step in (0, 4, count - 1):
            for a, b in zip(theirs, mine, strict=True):
                bound = 1e-5 if a.dtype == torch.float32 else 1e-12
                assert_close(b, a, rtol=bound, atol=bound, what=f"step {step}")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_a_hundred_steps_are_torchs(name, options, dtype):
    theirs, mine = parameters(name, dtype)
    groups = [{"params": theirs[:2]}, {"params": theirs[2:], "lr": 0.005}]
    ours = [{"params": mine[:2]}, {"params": mine[2:], "lr": 0.005}]
    steps(getattr(torch.optim, name)(groups, **options), made(name, ours, **options), theirs, mine, 100)


@pytest.mark.parametrize(("name", "options"), CASES[1::2], ids=str)
def test_goes_on_from_torchs_state(name, options):
    theirs, _ = parameters(name, torch.float64)
    reference = getattr(torch.optim, name)(theirs, **options)
    for _ in range(4):
        for p in theirs:
            p.grad = torch.randn(p.shape, dtype=p.dtype)
        reference.step()
    mine = [nn.Parameter(to_helix(t)) for t in theirs]
    tested = made(name, mine, **{**options, "lr": 7.0})
    tested.load_state_dict(reference.state_dict())
    steps(reference, tested, theirs, mine, 5)


def test_muon_rounds_its_iteration_to_bfloat16(monkeypatch):
    """As torch does, whose sums are in another order: within some units in the last place of a step of about lr."""
    monkeypatch.undo()
    theirs, mine = parameters("Muon", torch.float32)
    reference, tested = torch.optim.Muon(theirs, lr=0.02), optim.Muon(mine, lr=0.02)
    for a, b in zip(theirs, mine, strict=True):
        a.grad = torch.randn(a.shape, dtype=a.dtype)
        b.grad = to_helix(a.grad)
    reference.step()
    tested.step()
    for a, b in zip(theirs, mine, strict=True):
        assert_close(b, a, rtol=0, atol=0.02 * 2**-5)


RESUMED = [*CASES, ("Lion", {}), ("LAMB", {}), ("LARS", {"momentum": 0.9}), ("SOAP", {"precondition_frequency": 2})]


@pytest.mark.parametrize(("name", "options"), RESUMED, ids=str)
def test_going_on_from_a_saved_state_is_bit_identical(name, options):
    def fresh():
        hx.manual_seed(1)
        return nn.Linear(5, 3, bias=name != "Muon")

    def steps(model, optimizer, first, last):
        for step in range(first, last):
            optimizer.zero_grad()
            (model(hx.full((4, 5), 0.1 * step + 1)) ** 2).sum().backward()
            optimizer.step()

    straight, make = fresh(), getattr(optim, name)
    steps(straight, make(straight.named_parameters(), **options), 0, 6)
    first = fresh()
    optimizer = make(first.named_parameters(), **options)
    steps(first, optimizer, 0, 3)
    second = fresh()
    second.load_state_dict(first.state_dict())
    resumed = make(second.named_parameters(), **options)
    resumed.load_state_dict(optimizer.state_dict())
    steps(second, resumed, 3, 6)
    for mine, expected in zip(second.parameters(), straight.parameters(), strict=True):
        assert mine.tolist() == expected.tolist()


def test_groups_have_their_own_options():
    a, b = nn.Parameter(hx.ones(2)), nn.Parameter(hx.ones(2))
    optimizer = optim.SGD([{"params": [a]}, {"params": [b], "lr": 1.0}], lr=0.1)
    (a + b).sum().backward()
    optimizer.step()
    assert a.tolist() == pytest.approx([0.9, 0.9]) and b.tolist() == [0.0, 0.0]
    assert optimizer.param_groups[1]["names"] == ["1"]


def test_state_is_kept_under_names():
    model = nn.Sequential(nn.Linear(2, 2))
    optimizer = optim.AdamW(model.named_parameters())
    model(hx.ones(1, 2)).sum().backward()
    optimizer.step()
    assert set(optimizer.state_dict()["state"]) == {"0.weight", "0.bias"}
    other = optim.AdamW(nn.Sequential(nn.ReLU(), nn.Linear(2, 2)).named_parameters())
    with pytest.raises(CheckpointError, match=r"not in the state: 1[.]weight, 1[.]bias"):
        other.load_state_dict(optimizer.state_dict())


def test_a_state_of_other_shapes_is_refused_whole():
    optimizer = optim.Adam([nn.Parameter(hx.ones(2))], lr=0.5)
    state = {"step": 1, "exp_avg": hx.ones(3), "exp_avg_sq": hx.ones(3)}
    saved = {"state": {"0": state}, "param_groups": [{"lr": 9.0, "names": ["0"]}]}
    with pytest.raises(CheckpointError, match="exp_avg of '0' does not fit"):
        optimizer.load_state_dict(saved)
    with pytest.raises(CheckpointError, match=r"hold \[2\] parameters, those here \[1\]"):
        optimizer.load_state_dict({"state": {}, "param_groups": [{"lr": 9.0, "params": [0, 1]}]})
    assert optimizer.param_groups[0]["lr"] == 0.5 and not optimizer.state


def test_closure():
    p = nn.Parameter(hx.ones(2))
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2.0 and p.tolist() == pytest.approx([0.8, 0.8])


def test_hooks_run_around_steps_and_states():
    p = nn.Parameter(hx.ones(2))
    optimizer, seen = optim.SGD([p], lr=0.1), []
    pre = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("pre"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("post"))
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("saving"))
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "note": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, state: seen.append(state["note"]))
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
    p.grad = hx.ones(2)
    optimizer.step()
    pre.remove()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == ["pre", "post", "post", "saving", 1, "loaded"]


@pytest.mark.parametrize(
    ("name", "options"), [*CASES[1::3], ("Lion", {}), ("LAMB", {}), ("LARS", {}), ("SOAP", {})], ids=str
)
def test_master_weights_step_as_float32_does(name, options):
    """A bfloat16 parameter with master weights is the float32 one, rounded, under the same gradients."""
    torch.manual_seed(4)
    start, make = to_helix(torch.randn(6, 4, dtype=torch.float32)).to(hx.bfloat16), getattr(optim, name)
    low, high = nn.Parameter(start.clone()), nn.Parameter(start.to(hx.float32))
    small, wide = make([low], **options, master_weights=True), make([high], **options)
    for _ in range(6):
        low.grad = to_helix(torch.randn(6, 4, dtype=torch.float32)).to(hx.bfloat16)
        high.grad = low.grad.to(hx.float32)
        small.step()
        wide.step()
        assert low.dtype == hx.bfloat16 and low.tolist() == high.detach().to(hx.bfloat16).tolist()
    master = small.state_dict()["state"]["0"]["master_weight"]
    assert master.dtype == hx.float32 and master.tolist() == high.tolist()


@pytest.mark.parametrize(("make", "text"), [
    (lambda p: optim.SGD(p, lr=-1), "lr must not be negative"),
    (lambda p: optim.SGD(p, nesterov=True), "nesterov needs a momentum"),
    (lambda p: optim.Adam(p, betas=(1.0, 0.9)), r"betas\[0\]"),
    (lambda p: optim.Adam([]), "no parameters"),
    (lambda p: optim.Adam([p[0], p[0]]), "twice"),
    (lambda p: optim.Adam([{"params": p, "learning_rate": 1}]), "unknown option 'learning_rate'"),
    (lambda p: optim.Adam([p[0] * 2]), "only leaves"),
    (lambda p: optim.Adam(p[0]), "one tensor"),
    (lambda p: optim.Adam(p, learning_rate=1), "unknown argument 'learning_rate'"),
    (lambda p: optim.Adam(p, differentiable=True), "cannot be differentiated"),
    (lambda p: optim.Adadelta(p, rho=2), "rho must lie between 0 and 1"),
    (lambda p: optim.Rprop(p, etas=(1.2, 0.5)), "one above 1"),
    (lambda p: optim.Adafactor(p, d=0.5), "d must be at least 1"),
    (lambda p: optim.Muon(p), "must be matrices, '0' has shape"),
    (lambda p: optim.Muon(p, ns_dtype="int8"), "ns_dtype must be one of bfloat16"),
    (lambda p: optim.LBFGS(p, line_search_fn="armijo"), "None or 'strong_wolfe'"),
    (lambda p: optim.SOAP(p, precondition_frequency=0), "precondition_frequency must be at least 1"),
    (lambda p: optim.SAM(optim.SGD(p), rho=-1), "rho must not be negative"),
    (lambda p: optim.Lookahead(optim.SGD(p), k=0), "k must be at least 1")])  # fmt: skip
def test_wrong_arguments_are_refused(make, text):
    with pytest.raises((ValueError, TypeError), match=text):
        make([nn.Parameter(hx.ones(2))])


def test_factors_of_a_step_may_be_a_view_with_gaps():
    parameters, factors = [hx.ones(2) for _ in range(3)], hx.tensor([1.0, 50.0, 2.0, 50.0, 3.0, 50.0])[::2]
    hx._core.trust_step(factors, parameters + [hx.ones(2) for _ in range(3)], rule="trust", states=0, c0=1.0)
    assert [p.tolist() for p in parameters] == [[0.0, 0.0], [-1.0, -1.0], [-2.0, -2.0]]


@pytest.mark.parametrize("options", [{}, {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-5}, {"maximize": True}], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_only_the_rows_that_were_looked_up_move_as_torchs(options, dtype):
    torch.manual_seed(0)
    theirs = torch.nn.Embedding(9, 4, sparse=True, dtype=dtype)
    mine = nn.Embedding.from_pretrained(to_helix(theirs.weight.detach()), freeze=False, sparse=True)
    reference, tested = (
        torch.optim.SparseAdam(theirs.parameters(), **options),
        optim.SparseAdam(mine.parameters(), **options),
    )
    for step in range(30):
        if step == 15:  # from torch's state, which is dense too
            tested = optim.SparseAdam(mine.parameters(), lr=7.0)
            tested.load_state_dict(reference.state_dict())
        rows, factors = torch.randint(0, 7, (5,)), torch.randn(5, 4, dtype=dtype)
        factors[step % 5] = 0  # a row that is looked up, and has no gradient
        for table, optimizer, chosen, by in (
            (theirs, reference, rows, factors), (mine, tested, to_helix(rows), to_helix(factors)),
        ):  # fmt: skip
            optimizer.zero_grad()
            (table(chosen) * by).sum().backward()
            optimizer.step()
        bound = 1e-5 if dtype == torch.float32 else 1e-12
        assert_close(mine.weight, theirs.weight, rtol=bound, atol=bound, what=f"step {step}")
    assert not tested.state_dict()["state"]["0"]["exp_avg"][7:].any()
    with pytest.raises(ValueError, match="parameters have rows, '0' is one number"):
        optim.SparseAdam([nn.Parameter(hx.tensor(1.0))])
