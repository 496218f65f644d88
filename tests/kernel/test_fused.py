"""Programs of the op `fused` on a device: one launch, and the numbers of their steps done one by one."""

import pytest

import helix
from helix._core import kernels_run
from helix.graph.fused import Operand, Program, Result, Step

from ..graph.fused_programs import random_case, run_apart, run_fused, same_bits, without_dead

X = Operand("input", 0)


def launches(run):
    run()
    before = kernels_run()
    made = run()
    return made, kernels_run() - before


def chain(x):
    """Ten launches of three kernels, each of which is compiled."""
    y = x * 2.0
    for scale in (1.5, 0.3, 7.0):
        y = (y - x).tanh() * scale
    return y


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_chain_of_ten_is_one_launch(dtype):
    x = helix.rand(64, 80).to(getattr(helix, dtype)).to("sim")  # LEAST_ITEMS and more
    fused = helix.compile(chain)
    want, apart = launches(lambda: chain(x))
    got, together = launches(lambda: fused(x))
    assert (apart, together) == (10, 1)
    assert same_bits(got.to("cpu"), want.to("cpu"))


SOFTMAX = Program(
    1,
    (),
    (
        Step("amax", (X,), (None, True)),
        Step("sub", (X, Operand("step", 0)), (1,)),
        Step("exp", (Operand("step", 1),)),
        Step("sum", (Operand("step", 2),), (None, True, None)),
        Step("div", (Operand("step", 2), Operand("step", 3)), ("none",)),
    ),
    (Result(4), Result(3, dropped=True)),
)


@pytest.mark.parametrize("shape", [(3, 700), (40, 7), (2, 3, 65), (129,)])
def test_a_softmax_in_single_ops_is_one_launch(shape):
    x = helix.randn(*shape).to("sim")
    got, together = launches(lambda: run_fused(SOFTMAX, [x]))
    assert together == 1
    for a, b in zip(got, run_apart(SOFTMAX, [x]), strict=True):
        assert same_bits(a.to("cpu"), b.to("cpu"))


def test_what_comes_before_reductions_over_first_axes_is_one_launch():
    program = Program(
        -1,
        (2.0,),
        (
            Step("mul", (X, Operand("number", 0))),
            Step("exp", (Operand("step", 0),)),
            Step("sum", (Operand("step", 1),), (None, True, None)),
            Step("neg", (Operand("step", 2),)),
            Step("sum", (Operand("step", 0),), (None, True, None)),
        ),
        (Result(3, dropped=True), Result(4), Result(1)),
    )
    x = helix.randn(6, 20).to("sim")
    got, together = launches(lambda: run_fused(program, [x]))
    assert together == 4
    for a, b in zip(got, run_apart(program, [x]), strict=True):
        assert same_bits(a.to("cpu"), b.to("cpu"))


def test_what_the_device_cannot_compute_runs_its_parts():
    x = helix.rand(4, 5).to(helix.complex64).to("sim")
    program = Program(0, (), (Step("mul", (X, X)), Step("neg", (Operand("step", 0),))), (Result(1),))
    before = helix.set_fallback("host")
    try:
        (got,) = run_fused(program, [x])
        (want,) = run_apart(program, [x])
    finally:
        helix.set_fallback(before)
    assert same_bits(got.to("cpu"), want.to("cpu"))


@pytest.mark.parametrize("number", [1, 2, 5, 6, 8, 11, 13, 17])
def test_random_programs_give_the_bits_of_their_steps(number):
    program, inputs = random_case(number)
    program = without_dead(program)
    there = [x.to("sim") for x in inputs]
    if program.results:
        for a, b in zip(run_fused(program, there), run_apart(program, there), strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            assert same_bits(a.to("cpu"), b.to("cpu")), program


class Block(helix.nn.Module):
    """A norm and a gate without products, whose kernels are long to compile."""

    def __init__(self):
        super().__init__()
        self.scale, self.shift = (helix.nn.Parameter(helix.rand(32)) for _ in range(2))

    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred * (centred.square().mean(-1, keepdim=True) + 1e-5).rsqrt()
        h = scaled * self.scale + self.shift
        return (h * helix.sigmoid(h * 1.702) + 0.5).tanh() * 0.5 + x


def test_a_compiled_model_on_a_device_launches_less_and_gives_the_numbers():
    helix.manual_seed(3)
    model, x = Block(), helix.randn(160, 32)

    def train(run, x):
        model.zero_grad()
        loss = run(x).square().mean()
        loss.backward()
        return [loss.detach(), *[p.grad for p in model.parameters()]]

    want, apart = launches(lambda: train(model, x))  # on the CPU, so that no kernel of a single op is compiled
    model.to("sim")
    compiled = helix.compile(model)
    got, together = launches(lambda: train(compiled, x.to("sim")))
    assert together < 0.8 * apart
    for a, b in zip(got, want, strict=True):
        assert helix.allclose(a.to("cpu"), b.to("cpu"), rtol=1e-5, atol=1e-7)
