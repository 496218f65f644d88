"""A step of an optimizer within a trace: recorded once, with numbers that the optimizer tells anew at each run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import _core, float64
from .._core import Tensor, untraced, wrapped_number, wrapped_numbers
from ..autograd import no_grad
from ..errors import TraceError
from ..graph.around import Around, Changed
from ..graph.tracer import Tracer, active
from .elementwise import Elementwise

if TYPE_CHECKING:
    from .lookahead import Lookahead
    from .optimizer import Optimizer, Update
    from .swa_utils import AveragedModel

Op = type(_core.rule_step)


def tracer_of(what: str) -> Tracer:
    """The running trace. Raises TraceError (HX1702) where one records that is nobody's."""
    tracer = active()
    if tracer is None:
        raise TraceError(f"HX1702 {what} is traced by helix.trace alone", code="HX1702")
    return tracer


def record(optimizer: Optimizer) -> None:
    """Records a step of the optimizer; nothing of it is changed."""
    tracer = tracer_of(f"{type(optimizer).__name__}.step")
    step = TracedStep(optimizer)
    told = iter(step.placeholders(tracer))
    with no_grad():
        for update in step.first:
            update.function(update.tensors, **_told(update, told))
    step.first = []


class TracedStep(Around):
    """Asks the optimizer before each run what its step would be: its numbers go into the graph, its states are counted on."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.name = f"{type(optimizer).__name__}.step"
        self.held: dict[tuple[str, str], Tensor] = {}
        given = [(group, optimizer.with_gradients(group)) for group in optimizer.param_groups]
        with untraced(), no_grad():
            self.first = optimizer.planned(given)
            self._hold()
        # Of gradients a plan has only the place: from now on parameters stand there.
        self.given = [[(name, p, p) for name, p, _ in mine] for _, mine in given]
        self.members = self._members()
        self.form = [_form(update) for update in self.first]
        self.shapes = tuple([(len(n),) if isinstance(n, list) else () for n in _numbers(self.first)])
        self._before: list[tuple[str, dict[str, Any] | None, dict[str, Any]]] = []
        self.buckets: list[Bucket] | None = None

    def _members(self) -> list[list[int]]:
        return [[id(parameter) for parameter in group["params"]] for group in self.optimizer.param_groups]

    def _hold(self) -> None:
        """The states that the graph writes: those there are, or those that begin with its first run."""
        exchanged: dict[int, Tensor] = {}
        for update in self.first:
            for name, values in update.states.items():
                known = self.optimizer.state.get(name, {})
                for key, value in values.items():
                    if isinstance(value, Tensor):
                        begun = id(known.get(key)) == id(value)
                        kept = value if begun else self._ahead(name, key, value)
                        self.held[name, key] = exchanged[id(value)] = kept
        for update in self.first:
            update.tensors[:] = [exchanged.get(id(tensor), tensor) for tensor in update.tensors]

    def _ahead(self, name: str, key: str, fresh: Tensor) -> Tensor:
        """The state that all traces of this optimizer will begin, where none has run yet."""
        kept = self.optimizer.ahead.get((name, key))
        if kept is None or (kept.shape, kept.dtype, kept.device) != (fresh.shape, fresh.dtype, fresh.device):
            kept = self.optimizer.ahead[name, key] = fresh
        return kept

    def placeholders(self, tracer: Tracer) -> list[Tensor]:
        for (name, key), tensor in self.held.items():
            tracer.called(tensor, f"{name}.{key}")
        return tracer.stand_around(self)

    # ---- runs ----------------------------------------------------------------------------------------------

    def before(self) -> Sequence[Tensor]:
        if self._members() != self.members:
            raise Changed(f"{self.name} has other parameters, or other groups of them, than when it was traced")
        return self._again() or self._anew()

    def _again(self) -> list[Tensor] | None:
        """The numbers, where states are as the last run left them: a look at each says so, and no step is planned."""
        if self.buckets is None:
            return None
        told = []
        for bucket in self.buckets:
            numbers = bucket.numbers(self.optimizer)
            if numbers is None:
                return None
            told.append(wrapped_numbers(numbers))
        for bucket in self.buckets:
            bucket.standing.count(1)
        return told

    def after(self) -> None:
        if self.buckets is None and type(self.optimizer).updates is Elementwise.updates:
            self.buckets = _buckets(self.optimizer, self.given, self.form)

    def _anew(self) -> list[Tensor]:
        self.buckets = None
        with no_grad():
            updates = self.optimizer.planned(zip(self.optimizer.param_groups, self.given, strict=True))
            if [_form(update) for update in updates] != self.form:
                raise Changed(f"{self.name} is another step than the one that was traced: {self._difference(updates)}")
            told = [
                wrapped_numbers(n) if isinstance(n, list) else wrapped_number(n, float64) for n in _numbers(updates)
            ]
            self._before = []
            try:
                self._begin([pair for update in updates for pair in update.states.items()])
            except BaseException:
                self.undo()
                raise
        return told

    def _begin(self, states: list[tuple[str, dict[str, Any]]]) -> None:
        state = self.optimizer.state
        for name, values in states:
            self._adopt(name, values)
            self._before.append((name, state.get(name), values))
            state[name] = values
            if "step" in values:
                values["step"] += 1

    def _adopt(self, name: str, values: dict[str, Any]) -> None:
        """States that begin, or that were loaded, go into the tensors that the graph writes; what the step knows nothing of stays."""
        for key, value in values.items():
            if isinstance(value, Tensor):
                kept = self.held.get((name, key))
                if kept is not None and value is not kept:
                    kept.copy_(value)
                    values[key] = kept

    def undo(self) -> None:
        if self.buckets is not None:
            for bucket in self.buckets:
                bucket.standing.count(-1)
            return
        for name, before, values in reversed(self._before):
            if "step" in values:
                values["step"] -= 1
            if before is None:
                del self.optimizer.state[name]
            else:
                self.optimizer.state[name] = before

    def _difference(self, updates: list[Update]) -> str:
        for update, form in zip(updates, self.form, strict=False):
            for now, then in zip(_form(update)[2], form[2], strict=False):
                if now != then:
                    return f"{now[0]} is {now[1]}, it was {then[1]}"
        return "other parameters go together, or they have other states"


class Bucket:
    """Parameters of a group that count the same steps: one update, whose numbers follow from the group and the count."""

    def __init__(self, at: int, slots: Iterable[str], states: dict[str, dict[str, Any]], form: tuple) -> None:
        self.at, self.slots, self.form = at, tuple(slots), form
        self.standing = _core.Standing(list(states), list(states.values()), self.slots)

    def numbers(self, optimizer: Any) -> list[float] | None:
        """The numbers of the next step; None where it is of another form, or states are others."""
        group = optimizer.param_groups[self.at]
        steps = self.standing.steps(optimizer.state)
        if steps < 0 or tuple(optimizer.slots(group)) != self.slots:
            return None
        formula = optimizer.formula(group, {"step": steps})
        known = _record(formula.function.__name__)
        fixed = tuple([pair for pair in formula.options.items() if pair[0] not in known])
        if formula.numbers or formula.function is not self.form[0] or fixed != self.form[2]:
            return None
        return numbers_of(formula.function.__name__, formula.options)


def _buckets(optimizer: Any, given: list[list[Any]], form: list[tuple]) -> list[Bucket] | None:
    """Those of a step that is one update a group; None where it is not."""
    named = [(at, [name for name, _, _ in mine]) for at, mine in enumerate(given) if mine]
    found = []
    for at, names in named:
        group = optimizer.param_groups[at]
        mine = [one for one in form if one[3] == tuple(names)]
        if (
            len(mine) != 1
            or len(form) != len(named)
            or not isinstance(mine[0][0], Op)
            or {*optimizer.numbers(group)} != {"step"}
        ):
            return None
        states = {name: optimizer.state[name] for name in names}
        found.append((form.index(mine[0]), Bucket(at, optimizer.slots(group), states, mine[0])))
    return [bucket for _, bucket in sorted(found, key=lambda pair: pair[0])]


def _form(update: Update) -> tuple:
    """All that is no number: steps of one form are one graph."""
    fixed = tuple([(key, value) for key, value, numbers in _options(update) if numbers is None])
    return update.function, len(update.tensors), fixed, tuple(update.states)


def _numbers(updates: list[Update]) -> list[list[float] | float]:
    """What the steps are told, in order: the numbers of an op together, others one by one."""
    return [numbers for update in updates for _, _, numbers in _options(update) if numbers is not None]


def _told(update: Update, told: Iterator[Tensor]) -> dict[str, Any]:
    """The options with placeholders in the places of numbers."""
    options = dict(update.options)
    for key, value, numbers in _options(update):
        if key in options and isinstance(value, dict):
            options[key] = {**value, "numbers": next(told)}
        elif numbers is not None:
            options[key] = next(told)
    return options


def _options(update: Update) -> Iterator[tuple[str, Any, list[float] | float | None]]:
    """Name, value and numbers of each option; those of an op are one, `numbers`, and follow what is fixed of it. An option
    that is a dict holds those of `rule_step` or its like."""
    if isinstance(update.function, Op):
        yield from _of_op(update.function.__name__, "numbers", update.options)
        return
    for key, value in update.options.items():
        if isinstance(value, dict):
            yield from _of_op("rule_step", key, value)
        else:
            yield key, value, value if isinstance(value, float) else None


class TracedLookahead(Around):
    """Tells each run whether it is a k-th step, and how far the slow weights go."""

    def __init__(self, lookahead: Lookahead) -> None:
        self.lookahead, self.held = lookahead, dict(lookahead.slow)
        self.shapes = ((), (len(numbers_of("rule_step", {})),))

    def before(self) -> Sequence[Tensor]:
        one = self.lookahead
        for name, held in self.held.items():
            if one.slow[name] is not held:  # they were loaded
                one.slow[name] = held.copy_(one.slow[name])
        due = (one.steps + 1) % one.k == 0
        numbers = numbers_of("rule_step", {"states": 0, "c0": one.alpha if due else 0.0})
        told = wrapped_number(float(due), float64), wrapped_numbers(numbers)
        one.steps += 1
        return told

    def undo(self) -> None:
        self.lookahead.steps -= 1


class TracedAverage(Around):
    """Tells each run how far an average of weights goes; `ahead` is how often the run has moved it before."""

    def __init__(self, averaged: AveragedModel, part: Callable[[int], float], ahead: int) -> None:
        self.averaged, self.part, self.ahead = averaged, part, ahead
        self.shapes = ((len(numbers_of("rule_step", {})),),)

    def before(self) -> Sequence[Tensor]:
        part = self.part(int(self.averaged.n_averaged.item()) + self.ahead)
        return [wrapped_numbers(numbers_of("rule_step", {"states": 0, "c0": part}))]


_RECORDS: dict[str, dict[str, float]] = {}


def _record(op: str) -> dict[str, float]:
    """The numbers of an op, in the order of its record, and what they are where they are not given."""
    if op not in _RECORDS:
        (params,) = [record["params"] for record in _core.ops() if record["name"] == op]
        _RECORDS[op] = {p["name"]: p["default"] or 0.0 for p in params if p["kind"] in ("int", "float")}
    return _RECORDS[op]


def numbers_of(op: str, options: Mapping[str, Any]) -> list[float]:
    return [float(options.get(key, default)) for key, default in _record(op).items()]


def _of_op(op: str, name: str, options: dict[str, Any]) -> Iterator[tuple[str, Any, list[float] | None]]:
    known = _record(op)
    for key, value in options.items():
        if key not in known:
            yield key, value, None
    yield name, options, numbers_of(op, options)
