"""A line search for the strong Wolfe conditions: Nocedal and Wright, "Numerical Optimization", algorithms 3.5 and 3.6,
with cubic interpolation and the safeguards of Schmidt's minFunc, which torch follows too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from ..tensor import Tensor


class Point(NamedTuple):
    """A place on the line: how far, the value, the gradient, and the slope along the line."""

    at: float
    value: float
    gradient: Tensor
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    step: float,
    longest: float,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
    most: int = 25,
) -> tuple[Point, int]:
    """The point found, and how often the function was evaluated. `longest` is the largest element of the direction."""

    def too_high(point: Point) -> bool:
        return point.value > start.value + c1 * point.at * start.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    previous, point, count = start, evaluate(step), 1
    bracket = None
    while count - 1 < most:
        if too_high(point) or (count > 2 and point.value >= previous.value):
            bracket = (previous, point)
        elif flat(point):
            return point, count
        elif point.slope >= 0:
            bracket = (previous, point)
        if bracket is not None:
            break
        nearest, farthest = point.at + 0.01 * (point.at - previous.at), point.at * 10
        step = cubic_minimum(previous, point, nearest, farthest)
        previous, point, count = point, evaluate(step), count + 1
    low, high = bracket or (start, point)
    if high.value < low.value:
        low, high = high, low
    stuck = False
    while count - 1 < most and abs(high.at - low.at) * longest >= tolerance_change:
        step, stuck = _inside(low, high, stuck)
        point, count = evaluate(step), count + 1
        if too_high(point) or point.value >= low.value:
            high = point
            if high.value < low.value:
                low, high = high, low
            continue
        if flat(point):
            return point, count
        if point.slope * (high.at - low.at) >= 0:
            high = low
        low = point
    return low, count


def _inside(low: Point, high: Point, stuck: bool) -> tuple[float, bool]:
    """The next trial between two points: kept off their places if interpolation brings too little twice."""
    left, right = sorted((low, high), key=lambda point: point.at)
    step = cubic_minimum(left, right, left.at, right.at)
    margin = 0.1 * (right.at - left.at)
    if min(right.at - step, step - left.at) >= margin:
        return step, False
    if not (stuck or step >= right.at or step <= left.at):
        return step, True
    return (right.at - margin if abs(step - right.at) < abs(step - left.at) else left.at + margin), False


def cubic_minimum(a: Point, b: Point, least: float, most: float) -> float:
    """The minimum of the cubic through two points and their slopes, between two bounds."""
    left, right = (a, b) if a.at <= b.at else (b, a)
    mean = left.slope + right.slope - 3 * (left.value - right.value) / (left.at - right.at)
    square = mean * mean - left.slope * right.slope
    if not square >= 0:
        return (least + most) / 2
    root = math.sqrt(square)
    below = right.slope - left.slope + 2 * root
    if below == 0:
        return (least + most) / 2
    found = right.at - (right.at - left.at) * ((right.slope + root - mean) / below)
    return min(max(found, least), most)
