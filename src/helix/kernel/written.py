"""A kernel whose body is text in a target's own language, between a head and a foot that a renderer writes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from helix.kernel.ir import Buffer, Scalar, UnsupportedError


@dataclass(frozen=True, slots=True)
class Written:
    """A kernel whose body is text. Tensor t lies in the buffer places[t], from the element `name_at` on."""

    name: str
    tensors: tuple[Buffer, ...]
    buffers: tuple[Buffer, ...]
    places: tuple[int, ...]
    scalars: tuple[Scalar, ...]
    group: tuple[int, int, int]
    text: str
    functions: str = ""
    exact: bool = False
    shared: tuple = ()
    body: tuple = ()

    def merged(self, same):
        """The kernel with one buffer for those that lie in one block."""
        kept = sorted(set(same))
        for n, t in enumerate(self.tensors):
            if t.dtype != self.tensors[same[n]].dtype:
                raise UnsupportedError(
                    f"{t.name} and {self.tensors[same[n]].name} lie in one block and differ in dtype"
                )
        buffers = tuple(
            replace(self.buffers[b], written=any(t.written for t, s in zip(self.tensors, same) if s == b)) for b in kept
        )
        return replace(self, buffers=buffers, places=tuple(kept.index(s) for s in same))

    def stored_as(self, dtype_of):
        """The kernel with the dtypes by which a target's memory holds the tensors."""
        tensors, buffers = (
            tuple(replace(b, dtype=dtype_of(b.dtype)) for b in those) for those in (self.tensors, self.buffers)
        )
        return replace(self, tensors=tensors, buffers=buffers)
