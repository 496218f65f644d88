"""Steps on a device whose kernels are rendered, against the CPU's."""

from __future__ import annotations

import numpy as np
import pytest

import helix as hx
from helix import _core, nn, optim
from helix.testing.samples import NUMBERS, STATES

RULES = [("rule_step", rule, states) for rule, states in STATES.items()]
RULES += [("trust_step", "trust", 0), ("trust_step", "trust_momentum", 1)]


@pytest.mark.parametrize(("op", "rule", "states"), RULES, ids=lambda v: v if isinstance(v, str) else "")
def test_rules_are_the_cpus(op, rule, states):
    random = np.random.default_rng(0)
    places = {"cpu": [], "sim": []}
    for low in (-2.0, -2.0, 8.0, 0.5, -2.0)[: 2 + states]:
        for shape in ((3, 4), (5,)):
            values = random.uniform(low, 2 if low < 2 else 9, shape).astype(np.float32)
            for name, tensors in places.items():
                tensors.append(hx.tensor(values).to(name))
    for name, tensors in places.items():
        factors = [hx.tensor([0.5, 3.0]).to(name)] if op == "trust_step" else []
        _core.op_named(op)(*factors, tensors, rule=rule, states=states, **NUMBERS)
    for mine, theirs in zip(places["cpu"], places["sim"], strict=True):
        np.testing.assert_allclose(theirs.to("cpu").numpy(), mine.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["RMSprop", "LAMB", "LARS"])
def test_optimizers_run_where_the_parameters_are(name):
    before = hx.get_fallback()
    hx.set_fallback("error")
    try:
        found = []
        for device in ("cpu", "sim"):
            p = nn.Parameter(hx.tensor([[1.0, -2.0], [0.5, 3.0], [2.0, 1.0]]).to(device))
            optimizer = getattr(optim, name)([p], lr=0.1)
            for _ in range(2):
                p.grad = (p * 0.5 + 1).detach()
                optimizer.step()
            found.append(p.detach().to("cpu").numpy())
        np.testing.assert_allclose(found[1], found[0], rtol=1e-5)
    finally:
        hx.set_fallback(before)


def test_a_state_from_a_file_goes_to_the_parameters_device():
    p = nn.Parameter(hx.ones(3, 2).to("sim"))
    optimizer = optim.Lookahead(optim.AdamW([p], lr=0.1), k=1)
    p.grad = hx.ones(3, 2).to("sim")
    optimizer.step()
    saved = optimizer.state_dict()
    state = {name: {k: v.to("cpu") if isinstance(v, hx.Tensor) else v for k, v in values.items()}
             for name, values in saved["state"].items()}  # fmt: skip
    optimizer.load_state_dict({**saved, "state": state})
    before = p.detach().clone()
    optimizer.step()
    assert (p - before).abs().max().item() > 0
