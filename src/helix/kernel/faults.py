"""What a kernel finds wrong in its data, noted in the record from which helix raises when it next waits for the stream."""

from __future__ import annotations

from helix.kernel.plan import LATE, OpNumber


class Faults:
    """The record, as a kernel writes it. Several items may do so at once: the words of any of them name a fault."""

    def __init__(self, k):
        self.record, self.op = k.buffer("late", "i32", written=True), k.scalar("op_number", "i32")

    def note(self, value, length, axis):
        """An i64 index that is outside an axis of the length; `axis` is -1 - its number where indices are not negative."""
        low, high = -(2**31), 2**31 - 1
        shown = (value < low).where(low, (value > high).where(high, value))
        for word, x in enumerate((self.op, shown.to("i32"), length.to("i32"), axis)):
            self.record[word] = x


TENSORS = {"late": LATE}
SCALARS = {"op_number": OpNumber()}
