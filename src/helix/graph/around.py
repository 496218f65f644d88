"""What the program around a graph does at each run: it tells numbers that change, and its gradients come and go."""

from __future__ import annotations

from collections.abc import Sequence

from .._core import Guard, Tensor
from ..errors import TraceError


class Changed(TraceError):
    """The program is not the one that was traced: an optimizer steps in another way, or gradients are there that were not."""

    def __init__(self, what: str) -> None:
        super().__init__(f"HX1702 {what}; trace the function again", code="HX1702")


class Around:
    """One who takes part in each run of a graph, and gives it inputs that no caller sees.

    `shapes` are those of the inputs: () for a number that counts as Python's, (n,) for the numbers of an op.
    """

    shapes: tuple[tuple[int, ...], ...] = ()

    def before(self) -> Sequence[Tensor]:
        """The inputs for a run that is about to begin. Raises Changed, before anything is changed."""
        return ()

    def after(self) -> None:
        """A run has ended well."""

    def undo(self) -> None:
        """The run failed: `before` has not been."""


class Gradients(Around):
    """Gradients of leaves that the traced program looked at: there, or not there, before it began; and those it took away."""

    def __init__(self, there: list[tuple[Tensor, bool]], cleared: list[Tensor]) -> None:
        self.there, self.cleared = there, cleared

    def before(self) -> Sequence[Tensor]:
        for leaf, had in self.there:
            if (leaf.grad is not None) is not had:
                raise Changed(
                    f"a parameter of shape {leaf.shape} has a gradient from before, which it had not when the function was traced"
                    if not had
                    else f"a parameter of shape {leaf.shape} has no gradient, which it had when the function was traced"
                )
        return ()

    def after(self) -> None:
        for leaf in self.cleared:
            leaf.grad = None


class Required(Around):
    """Which tensors required a gradient when a graph that leaves gradients was traced: freezing one takes another graph."""

    def __init__(self, named: Sequence[tuple[str, Tensor]]) -> None:
        self.free = [(name, leaf) for name, leaf in named if leaf.requires_grad]
        self.fixed = [(name, leaf) for name, leaf in named if not leaf.requires_grad]
        self.guard = Guard([], [], [], [leaf for _, leaf in self.free], [leaf for _, leaf in self.fixed])

    def before(self) -> Sequence[Tensor]:
        if not self.guard.as_before():
            for name, leaf in self.free:
                if not leaf.requires_grad:
                    raise Changed(f"{name} was frozen since, but the graph leaves a gradient with it")
            name = next(name for name, leaf in self.fixed if leaf.requires_grad)
            raise Changed(f"{name} requires a gradient now, which the graph does not compute")
        return ()


class Watched:
    """The gradient of one leaf during a trace."""

    __slots__ = ("before", "leaf", "seen", "set")

    def __init__(self, leaf: Tensor, before: Tensor | None) -> None:
        self.leaf, self.before = leaf, before
        self.seen = self.set = False


def begin(around: Sequence[Around]) -> list[Tensor]:
    """What all of them give for a run."""
    given: list[Tensor] = []
    for i, one in enumerate(around):
        try:
            given += one.before()
        except BaseException:
            undo(around[:i])
            raise
    return given


def end(around: Sequence[Around]) -> None:
    for one in around:
        one.after()


def undo(around: Sequence[Around]) -> None:
    for one in reversed(around):
        one.undo()
