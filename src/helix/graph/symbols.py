"""Sizes that are not known yet: dimensions, and what is computed of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import prod
from typing import Any

from ..errors import ParameterError, ShapeError

Sizes = Mapping[str, int]
Monomial = tuple[str, ...]


class Expr:
    """A sum of products of dimensions, each with its factor: 2·B·T + 1. With a divisor, a number that is one such sum divided
    by another.

    Example:
        >>> B = helix.graph.Dim("B")
        >>> expression = 2 * B + 1
        >>> expression, expression.at({"B": 4})
        (2*B + 1, 9)
    """

    __slots__ = ("divisor", "terms")

    def __init__(self, terms: Mapping[Monomial, Fraction | int], divisor: Expr | None = None) -> None:
        found = {key: Fraction(factor) for key, factor in terms.items() if factor}
        self.terms: tuple[tuple[Monomial, Fraction], ...] = tuple(sorted(found.items(), key=_order))
        self.divisor = divisor

    @property
    def names(self) -> frozenset[str]:
        """The dimensions that it depends on."""
        return frozenset(name for key, _ in self.terms for name in key) | (
            self.divisor.names if self.divisor else frozenset()
        )

    @property
    def alone(self) -> str | None:
        """The dimension that it is, with nothing added to it and no factor."""
        if self.divisor is not None or len(self.terms) != 1:
            return None
        ((key, factor),) = self.terms
        return key[0] if len(key) == 1 and factor == 1 else None

    def at(self, sizes: Sizes) -> Any:
        """Its value for these sizes: an int, or a float of an expression with a divisor.

        Raises ShapeError (HX1002) where it is no whole number.
        """
        value = self._fraction(sizes)
        if self.divisor is not None:
            return float(value / self.divisor._fraction(sizes))
        if value.denominator != 1:
            raise ShapeError(f"HX1002 {self} is no whole number for {_listed(sizes)}", code="HX1002")
        return int(value)

    def _fraction(self, sizes: Sizes) -> Fraction:
        return sum((factor * prod(sizes[name] for name in key) for key, factor in self.terms), Fraction(0))

    def __add__(self, other: Expr | int) -> Expr:
        terms = dict(self.terms)
        for key, factor in expression(other).terms:
            terms[key] = terms.get(key, Fraction(0)) + factor
        return Expr(terms)

    __radd__ = __add__

    def __neg__(self) -> Expr:
        return self * -1

    def __sub__(self, other: Expr | int) -> Expr:
        return self + expression(other) * -1

    def __rsub__(self, other: int) -> Expr:
        return self * -1 + other

    def __mul__(self, other: Expr | int) -> Expr:
        terms: dict[Monomial, Fraction] = {}
        for left, a in self.terms:
            for right, b in expression(other).terms:
                key = tuple(sorted(left + right))
                terms[key] = terms.get(key, Fraction(0)) + a * b
        return Expr(terms)

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expr) and self.terms == other.terms and self.divisor == other.divisor

    def __hash__(self) -> int:
        return hash((self.terms, self.divisor))

    def __repr__(self) -> str:
        parts = [_term(key, factor) for key, factor in self.terms] or ["0"]
        text = " + ".join(parts).replace("+ -", "- ")
        return text if self.divisor is None else f"({text})/({self.divisor})"


class Dim(Expr):
    """A dimension whose size is known only when a graph runs; two with one name are the same.

    `min` and `max` bound it; `multiple_of` divides it. A graph refuses other sizes.

    Example:
        >>> batch = helix.graph.Dim("B", min=2)
        >>> helix.graph.Spec((batch, 3))
        Spec((B, 3), float32)
    """

    __slots__ = ("max", "min", "multiple_of", "name")

    def __init__(self, name: str, min: int = 1, max: int | None = None, multiple_of: int = 1) -> None:
        if not isinstance(name, str) or not name.isidentifier():
            raise ParameterError(
                f"HX1403 Dim: name must be an identifier, got {name!r}", code="HX1403", argument="name"
            )
        if multiple_of < 1 or min < 0 or (max is not None and max < min):
            raise ParameterError(
                f"HX1403 Dim: {name} cannot lie between {min} and {max} and be a multiple of {multiple_of}",
                code="HX1403",
            )
        super().__init__({(name,): 1})
        self.name, self.min, self.max, self.multiple_of = name, min, max, multiple_of

    def check(self, size: int) -> None:
        """Raises ShapeError (HX1002) for a size that it cannot have."""
        if size >= self.min and (self.max is None or size <= self.max) and size % self.multiple_of == 0:
            return
        bounds = f"at least {self.min}" + (f" and at most {self.max}" if self.max is not None else "")
        multiple = f" and a multiple of {self.multiple_of}" if self.multiple_of > 1 else ""
        raise ShapeError(
            f"HX1002 dimension {self.name} must be {bounds}{multiple}, got {size}; trace again for other sizes",
            code="HX1002",
            argument=self.name,
            got=size,
        )


class Unknown(Expr):
    """A size that is no sum of products of dimensions, such as one rounded down; it is found by a run, or by `Graph.at`."""

    __slots__ = ("text",)

    def __init__(self, text: str = "?") -> None:
        super().__init__({})
        self.text = text

    def at(self, sizes: Sizes) -> Any:
        raise ShapeError("HX1002 this size is known only from a run, or from graph.at(...)", code="HX1002")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown)

    def __hash__(self) -> int:
        return hash(Unknown)

    def __repr__(self) -> str:
        return self.text


def expression(value: Expr | int) -> Expr:
    return value if isinstance(value, Expr) else Expr({(): value})


def at(value: Any, sizes: Sizes) -> Any:
    """A value in which expressions may stand, also within tuples, with numbers in their places."""
    if isinstance(value, Expr):
        return value.at(sizes)
    if type(value) is tuple:
        return tuple(at(part, sizes) for part in value)
    return value


def has_symbols(value: Any) -> bool:
    return isinstance(value, Expr) or (type(value) is tuple and any(isinstance(part, Expr) for part in value))


def fit(values: Sequence[Any], points: Sequence[Sizes], names: Sequence[str], precision: float = 1e-15) -> Any | None:
    """The expression that has these values at these points, the first 2^n of which are all pairs of two sizes; None if
    there is none. Floats may differ from theirs by `precision` of their size."""
    first = values[0]
    if all(value == first for value in values[1:]):
        return first
    if isinstance(first, bool) or not isinstance(first, (int, float)):
        return None
    made = _whole(values, points, names)
    if made is None and isinstance(first, float):
        made = _quotient(values, points, names, precision)
    return made


def _whole(values: Sequence[Any], points: Sequence[Sizes], names: Sequence[str]) -> Expr | None:
    if any(not abs(value) < 2**62 or value != int(value) for value in values):
        return None
    made = _interpolate([Fraction(int(value)) for value in values[: 2 ** len(names)]], points, list(names))
    return (
        made if all(made._fraction(point) == int(value) for value, point in zip(values, points, strict=True)) else None
    )


def _quotient(values: Sequence[float], points: Sequence[Sizes], names: Sequence[str], precision: float) -> Expr | None:
    """1/(a + b u), u/(a u + b) or (a u + b)/u for a product u of dimensions, such as the correction n/(n - 1) of a variance.
    Only to the last bits of float64: a quotient rounds in other places than the program's own arithmetic."""
    if not all(0 < abs(value) < 2**62 for value in values):
        return None
    one = Expr({(): 1})
    for count in range(1, len(names) + 1):
        for key in combinations(names, count):
            u = Expr({tuple(sorted(key)): 1})
            sizes = [u._fraction(point) for point in points]
            for flip_value, flip_size in ((True, False), (True, True), (False, True)):
                y = [1 / Fraction(value) if flip_value else Fraction(value) for value in values]
                x = [1 / size if flip_size else size for size in sizes]
                if x[0] == x[-1]:
                    continue
                slope = _near((y[-1] - y[0]) / (x[-1] - x[0]), y[0], precision)
                level = _near(y[0] - slope * x[0], y[0], precision)
                line = Expr({u.terms[0][0]: level, (): slope} if flip_size else {u.terms[0][0]: slope, (): level})
                top, bottom = (u if flip_size else one, line) if flip_value else (line, u)
                made = Expr(dict(top.terms), bottom)
                if bottom.terms and all(
                    abs(made.at(p) - value) <= precision * abs(value) for p, value in zip(points, values, strict=True)
                ):
                    return made
    return None


def _near(value: Fraction, beside: Fraction, precision: float) -> Fraction:
    """A simple fraction nearby, where there is one; `beside` tells what counts as near to 0."""
    simple = value.limit_denominator(1000)
    room = Fraction(64 * precision)
    return simple if abs(simple - value) <= room * max(abs(value), abs(beside) / 100) else value


def _interpolate(values: Sequence[Fraction], points: Sequence[Sizes], names: list[str]) -> Expr:
    """Linear in each dimension: halves of the values belong to the lower and the upper size of the first of them."""
    if not names:
        return Expr({(): values[0]})
    half = len(values) // 2
    low, high = points[0][names[0]], points[half][names[0]]
    below = _interpolate(values[:half], points[:half], names[1:])
    above = _interpolate(values[half:], points[half : 2 * half], names[1:])
    slope = (above - below) * Expr({(): Fraction(1, high - low)})
    return below + slope * Expr({(names[0],): 1, (): -low})


def _order(item: tuple[Monomial, Fraction]) -> tuple[int, Monomial]:
    return -len(item[0]), item[0]


def _term(key: Monomial, factor: Fraction) -> str:
    if not key:
        return _factor(factor)
    product = "*".join(key)
    if factor == 1:
        return product
    if factor == -1:
        return f"-{product}"
    return f"{product}/{factor.denominator}" if factor.numerator == 1 else f"{_factor(factor)}*{product}"


def _factor(factor: Fraction) -> str:
    return str(factor) if factor.denominator < 1000 else repr(float(factor))


def _listed(sizes: Sizes) -> str:
    return ", ".join(f"{name} = {size}" for name, size in sizes.items())
