"""What handlers compute with: named values of the model that is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .writer import Writer


class Edge:
    """A value of the model: its name, the name of its dtype, and its shape where a handler knows it.

    A complex tensor is a `Pair` of such. Operators write nodes; the other operand may be a number.
    """

    __slots__ = ("dtype", "name", "shape", "writer")

    def __init__(self, writer: Writer, name: str, dtype: str, shape: tuple[Any, ...] | None = None) -> None:
        self.writer, self.name, self.dtype = writer, name, dtype
        self.shape: Any = shape

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def floating(self) -> bool:
        return "float" in self.dtype

    def __add__(self, other: Any) -> Edge:
        return self.writer.Add(self, other)

    def __radd__(self, other: Any) -> Edge:
        return self.writer.Add(other, self)

    def __sub__(self, other: Any) -> Edge:
        return self.writer.Sub(self, other)

    def __rsub__(self, other: Any) -> Edge:
        return self.writer.Sub(other, self)

    def __mul__(self, other: Any) -> Edge:
        return self.writer.Mul(self, other)

    def __rmul__(self, other: Any) -> Edge:
        return self.writer.Mul(other, self)

    def __truediv__(self, other: Any) -> Edge:
        return self.writer.Div(self, other)

    def __rtruediv__(self, other: Any) -> Edge:
        return self.writer.Div(other, self)

    def __neg__(self) -> Edge:
        return self.writer.Neg(self)

    def to(self, dtype: str) -> Edge:
        return self.writer.cast(self, dtype)


class Pair:
    """Real and imaginary part of a complex tensor: ONNX runtimes know no complex numbers."""

    __slots__ = ("im", "re")

    def __init__(self, re: Edge, im: Edge) -> None:
        self.re, self.im = re, im

    @property
    def shape(self) -> Any:
        return self.re.shape

    @property
    def dtype(self) -> str:
        return "complex128" if self.re.dtype == "float64" else "complex64"
