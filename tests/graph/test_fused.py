"""The op `fused`: many ops as one give the bits of the ops, whatever the dtypes, shapes and layouts; what is not sound is refused."""

import numpy as np
import pytest

import helix
from helix._core import OpCall
from helix.errors import HelixError
from helix.graph.fused import Operand, Program, Result, Step, decode, encode

from .fused_programs import leading_case, random_case, run_apart, run_fused, same_bits

X, B = Operand("input", 0), Operand("input", 1)


def _number(i):
    return Operand("number", i)


def _step(i):
    return Operand("step", i)


SOFTMAX = Program(
    1,
    (),
    (
        Step("amax", (X,), (None, True)),
        Step("sub", (X, _step(0)), (1,)),
        Step("exp", (_step(1),)),
        Step("sum", (_step(2),), (None, True, None)),
        Step("div", (_step(2), _step(3)), ("none",)),
    ),
    (Result(4), Result(3, dropped=True)),
)
AFFINE = Program(
    0,
    (2.0,),
    (Step("mul", (X, B)), Step("add", (_step(0), _number(0)), (1,)), Step("relu", (_step(1),))),
    (Result(2), Result(0)),
)


@pytest.mark.parametrize(
    ("cases", "first"),
    [(random_case, first) for first in range(0, 480, 40)] + [(leading_case, first) for first in range(0, 240, 40)],
    ids=lambda given: getattr(given, "__name__", str(given)),
)
def test_random_programs_give_the_bits_of_their_steps(cases, first):
    for number in range(first, first + 40):
        program, inputs = cases(number)
        if not program.results:
            continue
        want = run_apart(program, inputs)
        try:
            got = run_fused(program, inputs)
        except HelixError as error:
            assert "done by its parts alone" in str(error), number
            continue
        for a, b in zip(got, want, strict=True):
            assert same_bits(a, b), (number, program)


@pytest.mark.parametrize("kind", [helix.float16, helix.bfloat16, helix.float32], ids=lambda kind: kind.name)
@pytest.mark.parametrize("shape", [(8191,), (8192,), (8193,), (20011,), (3, 8195), (9, 2049), (130, 129)])
def test_borders_of_tiles_are_nowhere_in_the_numbers(shape, kind):
    helix.manual_seed(1)
    x, y, turned, row = (
        (helix.randn(n) * 5).to(kind) for n in (shape, shape, (*shape[::-1],), (1,) * (len(shape) - 1) + (shape[-1],))
    )
    for inputs in ([x, y], [x, turned.permute(*range(len(shape))[::-1])], [x, row], [x, helix.tensor(3).to(kind)]):
        for a, b in zip(run_fused(AFFINE, inputs), run_apart(AFFINE, inputs), strict=True):
            assert same_bits(a, b)


@pytest.mark.parametrize("cases", [random_case, leading_case], ids=["last axes", "first axes"])
@pytest.mark.parametrize("first", [500, 560])
def test_results_may_lie_where_inputs_lie(cases, first):
    """Each result is written to the first input that is like it, which may be read by any step, by reductions, and by rows."""
    taken = 0
    for number in range(first, first + 60):
        program, inputs = cases(number)
        inputs = [x.clone() for x in inputs]
        want = run_apart(program, inputs) if program.results else []
        over = {}
        for i, result in enumerate(want):
            fit = [
                k for k, x in enumerate(inputs) if (x.shape, x.dtype) == (result.shape, result.dtype) and k not in over
            ]
            over.update({fit[0]: i} if fit else {})

        def step(*inputs, program=program, over=over):
            made = run_fused(program, list(inputs))
            for k, i in over.items():
                inputs[k].copy_(made[i])
            return [y for i, y in enumerate(made) if i not in over.values()]

        if not over or any(x.dtype.is_complex for x in inputs):
            continue
        try:
            rest = helix.compile(step, passes=False)(*inputs)
        except HelixError as error:
            assert "done by its parts alone" in str(error), number
            continue
        taken += 1
        for k, i in over.items():
            assert same_bits(inputs[k], want[i]), (number, program)
        left = [y for i, y in enumerate(want) if i not in over.values()]
        assert all(map(same_bits, rest, left)), (number, program)
    assert taken > 12


def test_a_sum_of_what_is_written_over_is_that_of_what_was_there():
    x, b = helix.rand(90, 70), helix.rand(70)
    program = Program(
        -1,
        (),
        (Step("mul", (X, B)), Step("sum", (X,), (None, True, None)), Step("sum", (_step(0),), (None, True, None))),
        (Result(0), Result(1), Result(2, dropped=True)),
    )

    @helix.compile
    def step(x, b):
        made = run_fused(program, [x, b])
        x.copy_(made[0])
        return made[1:]

    want = run_apart(program, [x, b])
    rest = step(x, b)
    assert step.statistics()[0].steps == 1
    assert all(map(same_bits, [x, *rest], want))


def test_a_fused_update_is_one_kernel_and_no_copy():
    p, q = helix.rand(190, 170), helix.rand(190, 170)

    @helix.compile
    def step(x):
        new = p * x + q.exp()
        q.copy_((new - p).tanh() * q)
        p.copy_(new)

    with helix.no_grad():
        new = p * 2.0 + q.exp()
        want = new, (new - p).tanh() * q
        step(helix.tensor(2.0))
    assert same_bits(p, want[0]) and same_bits(q, want[1])
    assert step.statistics()[0].steps == 1


def test_another_program_is_told_apart():
    x, b = helix.randn(9, 5), helix.randn(5)
    planted = AFFINE._replace(numbers=(2.0000002,))
    assert same_bits(run_fused(AFFINE, [x, b])[0], run_apart(AFFINE, [x, b])[0])
    assert not same_bits(run_fused(AFFINE, [x, b])[0], run_apart(planted, [x, b])[0])


def test_results_far_larger_than_caches():
    x = helix.randn(1501, 3001)
    for y in (x, x.T):
        program = AFFINE._replace(results=(Result(2),))
        b = helix.randn(y.shape[1])
        assert same_bits(run_fused(program, [y, b])[0], run_apart(program, [y, b])[0])


def test_the_longest_run_with_results_past_the_caches():
    x = helix.ones(4 * 2**20)
    steps = (Step("mul", (X, X)), *[Step("mul", (_step(i), _step(i))) for i in range(95)])
    results = run_fused(Program(0, (), steps, tuple([Result(i) for i in (5, 15, 25, 35, 45, 55, 65, 95)])), [x])
    assert all(helix.equal(result, x) for result in results)


@pytest.mark.parametrize("sizes", [(2**32, 2**32), (2**31, 2**30)])
def test_a_shape_between_steps_that_no_memory_has_is_refused(sizes):
    tall, wide = helix.ones(1, 1).expand(sizes[0], 1), helix.ones(1, 1).expand(1, sizes[1])
    steps = (Step("add", (X, B), (1,)), Step("sum", (_step(0),), (None, True, None)))
    with pytest.raises(HelixError, match="HX1401 fused: the program works on shape"):
        run_fused(Program(2, (), steps, (Result(1, dropped=True),)), [tall, wide])


@pytest.mark.parametrize("columns", [3, 5, 12])
@pytest.mark.parametrize("over", [1, 5, 15])
def test_sums_of_short_rows_have_the_bits_of_the_sum_whatever_is_left_for_the_last_tile(columns, over):
    def mean(x):
        return (x * 2.5).exp().mean(-1)

    for tiles in (1, 2, 7):
        x = helix.rand(2048 // columns * tiles + over, columns, generator=helix.Generator(7))
        assert same_bits(helix.compile(mean)(x), mean(x)), tiles


def test_any_number_of_threads_gives_the_same_bits():
    before = helix.get_num_threads()
    x = helix.randn(700, 900)
    try:
        results = []
        for threads in (1, 2, 3):
            helix.set_num_threads(threads)
            results.append(run_fused(SOFTMAX, [x]))
    finally:
        helix.set_num_threads(before)
    assert all(same_bits(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


SUMS = Program(
    -1,
    (0.5,),
    (
        Step("mul", (X, B)),
        Step("exp", (_step(0),)),
        Step("sum", (_step(0),), (None, True, None)),
        Step("mean", (_step(1),), (None, True, None)),
        Step("mul", (_step(2), _step(3))),
        Step("add", (_step(4), _number(0)), (1,)),
    ),
    (Result(5, dropped=True), Result(3), Result(1)),
)


@pytest.mark.parametrize("shape", [(700, 300), (2000, 1100), (70, 2500)])
def test_sums_over_first_axes_are_the_same_for_any_threads_and_where_they_do_not_depend_on_the_batch(shape):
    before = helix.get_num_threads()
    x, b = helix.randn(*shape), helix.randn(shape[1])
    try:
        for invariant in (False, True):
            helix.use_batch_invariant(invariant)
            want = run_apart(SUMS, [x, b])
            for threads in (1, 2, 3):
                helix.set_num_threads(threads)
                assert all(map(same_bits, run_fused(SUMS, [x, b]), want)), (invariant, threads)
    finally:
        helix.set_num_threads(before)
        helix.use_batch_invariant(False)


def test_results_far_larger_than_caches_that_are_summed_too():
    for shape in ((1501, 3001), (4100, 1024), (5 * 2**20,)):
        x, b = helix.randn(*shape), helix.randn(shape[-1])
        program = SUMS._replace(axes=-len(shape)) if len(shape) == 1 else SUMS
        assert all(map(same_bits, run_fused(program, [x, b]), run_apart(program, [x, b]))), shape


def test_what_goes_on_with_the_frame_behind_a_sum_over_first_axes_is_refused():
    sums = Step("sum", (_step(0),), (None, True, None))
    wide = Program(-1, (), (Step("exp", (X,)), sums, Step("add", (_step(0), _step(1)), (1,))), (Result(2),))
    twice = Program(-1, (), (Step("exp", (X,)), sums, Step("sum", (_step(1),), (None, True, None))), (Result(2),))
    part = Program(-1, (), (Step("exp", (B,)), Step("add", (X, X), (1,)), sums), (Result(2),))
    for program, text in ((wide, "stretches"), (twice, "gives sum what is reduced"), (part, "reduces a part")):
        with pytest.raises(HelixError, match=f"HX1403 fused: the program .*{text}"):
            run_fused(program, [helix.randn(6, 20), helix.randn(1, 20)])


def test_gradients_are_those_of_the_parts():
    helix.manual_seed(2)
    grads = []
    for run in (run_fused, run_apart):
        x = helix.linspace(-1, 1, 12).reshape(3, 4).requires_grad_()
        (run(SOFTMAX, [x])[0] * helix.arange(12).reshape(3, 4)).sum().backward()
        grads.append(x.grad)
    assert same_bits(*grads)


def test_a_device_gives_the_numbers_of_the_parts():
    x, b = helix.randn(6, 5), helix.randn(5)
    there = run_fused(AFFINE, [x.to("sim"), b.to("sim")])
    for a, wanted in zip(there, run_apart(AFFINE, [x, b]), strict=True):
        assert helix.allclose(a.to("cpu"), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("program", [SOFTMAX, AFFINE], ids=["softmax", "affine"])
def test_a_program_is_read_as_it_was_written(program):
    assert decode(*encode(program, 2), 2) == program


BROKEN = {
    "ends too early": ((1, 0, 0), ()),
    "format 2": ((2, 0, 0, 1, 43, 1, 0, 1, 1, 0), ()),
    "an op 9999": ((1, 0, 0, 1, 9999, 1, 0, 1, 1, 0), ()),
    "an operand 1": ((1, 0, 0, 1, 43, 1, 1, 1, 1, 0), ()),
    "a place in the floats 0": ((1, 0, 1, 2, 0, 1, 43, 1, 0, 1, 2, 0), ()),
    "goes on after its end": ((1, 0, 0, 1, 43, 1, 0, 1, 1, 0, 0), ()),
    "has a result 0": ((1, 0, 0, 1, 43, 1, 0, 1, 0, 0), ()),
}


@pytest.mark.parametrize("text", BROKEN)
def test_broken_programs_say_what_is_wrong(text):
    with pytest.raises(HelixError, match=f"HX1403 fused: the program .*{text}"):
        OpCall("fused", BROKEN[text], 1)([helix.randn(3)])


def test_partial_results_and_lost_axes_are_refused():
    lost = SOFTMAX._replace(steps=(Step("amax", (X,), (None, False)), *SOFTMAX.steps[1:]))
    with pytest.raises(HelixError, match="amax without keepdim"):
        run_fused(lost, [helix.randn(3, 4)])
    with pytest.raises(HelixError, match=r"a result of shape \(1, 4\) in a frame of shape \(3, 4\)"):
        run_fused(
            Program(0, (), (Step("exp", (X,)), Step("add", (B, B), (1,))), (Result(0), Result(1))),
            [helix.randn(3, 4), helix.randn(1, 4)],
        )


def test_any_numbers_at_all_are_errors_or_programs():
    rng = np.random.default_rng(5)
    good = encode(SOFTMAX, 2)
    x = [helix.randn(3, 4), helix.randn(4)]
    ran = 0
    for _ in range(1500):
        ints = list(good[0])
        for _ in range(int(rng.integers(1, 4))):
            ints[int(rng.integers(len(ints)))] = int(rng.choice([-1, 0, 1, 2, 3, 5, 8, 40, 125, 2**40, -(2**63)]))
        if rng.random() < 0.2:
            del ints[int(rng.integers(len(ints))) :]
        try:
            OpCall("fused", (tuple(ints), good[1]), 2)(x)
            ran += 1
        except HelixError:
            pass
    assert 0 < ran < 1500
