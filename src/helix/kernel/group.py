"""What the items of a group do together: reductions through shared memory, and rows shared out among groups."""

from __future__ import annotations

from contextlib import contextmanager


class Shared:
    """Room for one state (a tuple of values) of each item."""

    def __init__(self, k, dtypes, name="shared"):
        self.k, self.size = k, k.group[0]
        self.arrays = [k.shared(f"{name}{n}", dtype, self.size) for n, dtype in enumerate(dtypes)]

    def reduce(self, state, combine):
        """The states of all items combined in a tree; every item gets the result."""
        k, item, size = self.k, self.k.local_id(), self.size // 2
        for array, value in zip(self.arrays, state):
            array[item] = value
        k.barrier()
        while size:
            with k.when(item < size):
                both = combine(tuple(a[item] for a in self.arrays), tuple(a[item + size] for a in self.arrays))
                for array, value in zip(self.arrays, both):
                    array[item] = value
            k.barrier()
            size //= 2
        result = tuple(array[0] for array in self.arrays)
        k.barrier()
        return result


class Variables:
    """A state that changes."""

    def __init__(self, k, state):
        self.all = [k.variable(v) for v in state]

    def get(self):
        return tuple(v.get() for v in self.all)

    def set(self, state):
        for variable, value in zip(self.all, state):
            variable.set(value)


def reduce_over(k, shared, identity, combine, start, stop, element):
    """element(j) for all j of [start, stop) combined by the whole group."""
    state = Variables(k, identity)
    with k.range(start + k.local_id(), stop, k.group[0]) as j:
        state.set(combine(state.get(), element(j)))
    return shared.reduce(state.get(), combine)


@contextmanager
def rows(k, count, axis=0):
    """One group a row; a group takes several when there are more rows than groups."""
    with k.range(k.group_id(axis), count, k.num_groups(axis)) as row:
        yield row
