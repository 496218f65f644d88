"""Copies between pageable host memory and the device through pinned pieces, two of which take turns.

From pinned memory the device copies while the host goes on; from pageable memory the driver would make the host wait.
"""

from __future__ import annotations

from typing import Any

PIECE = 4 << 20


class Piece:
    def __init__(self, context: Any):
        self.owner, self.memory = context.alloc_pinned(PIECE)
        self.event = context.new_event()


class Staging:
    def __init__(self, context: Any):
        self.context = context
        self.pieces = [Piece(context), Piece(context)]
        self.turn = 0

    def next(self) -> Piece:
        """A piece that no copy uses any more."""
        self.turn ^= 1
        piece = self.pieces[self.turn]
        self.context.wait_event(piece.event)
        return piece

    def copy_in(self, target: int, source: memoryview, stream: Any) -> None:
        """Returns when the host's bytes are read."""
        source = source.cast("B")
        for start in range(0, source.nbytes, PIECE):
            part = source[start : start + PIECE]
            piece = self.next()
            piece.memory[: part.nbytes] = part
            self.context.copy_in(target + start, piece.memory[: part.nbytes], stream)
            self.context.record(piece.event, stream)

    def copy_out(self, target: memoryview, source: int, stream: Any) -> None:
        """Returns when the host's bytes are written; one piece is read while the next is filled."""
        target = target.cast("B")
        waiting: list[tuple[Piece, memoryview]] = []
        for start in range(0, target.nbytes, PIECE):
            part = target[start : start + PIECE]
            piece = self.next()
            self.context.copy_out(piece.memory[: part.nbytes], source + start, stream)
            self.context.record(piece.event, stream)
            waiting.append((piece, part))
            if len(waiting) == len(self.pieces):
                self._finish(*waiting.pop(0))
        for piece, part in waiting:
            self._finish(piece, part)

    def _finish(self, piece: Piece, part: memoryview) -> None:
        self.context.wait_event(piece.event)
        part[:] = piece.memory[: part.nbytes]

    def close(self) -> None:
        for piece in self.pieces:
            self.context.close_event(piece.event)
            piece.memory.release()
            self.context.free_pinned(piece.owner)
        self.pieces.clear()
