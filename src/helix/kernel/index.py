"""Reading and writing at positions that index tensors name: index, gather, index_put, scatter, embedding_backward.

Reads go over the elements of the result. Writes go over the places where no two index values can meet, and visit the
index values of each place one after another in order: a repeated position gets the last value, or the sum in order, as
on the CPU, without atomics. An index outside its axis reads 0 and writes nothing, and is noted
in the record of faults, from which helix raises when it next waits for the device.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from helix.kernel import faults, masks
from helix.kernel import numeric as num
from helix.kernel.build import Builder
from helix.kernel.create import fill, zeros
from helix.kernel.elementwise import check, elementwise, host_scalar, move_op, stored
from helix.kernel.faults import Faults
from helix.kernel.ir import SIZES, WIDE, UnsupportedError
from helix.kernel.kept import kernel
from helix.kernel.layout import as_bits, broadcast_strides, coalesce, contiguous_strides, coordinates_of, size_scalars
from helix.kernel.plan import Call, Host, Plan, Tensor, launch
from helix.kernel.reductions import extreme
from helix.kernel.registry import template


class _Indices:
    """The index operands of a kernel: each moves along one axis of the indexed tensor."""

    def __init__(self, k, kinds, ranks, from_end=True):
        self.k, self.kinds, self.from_end = k, kinds, from_end
        self.faults = Faults(k)
        self.names = [k.scalar(f"axis{n}", "i32") for n in range(len(kinds))]
        self.axis = [(k.scalar(f"axis_size{n}"), k.scalar(f"axis_stride{n}")) for n in range(len(kinds))]
        self.memory = [None if kind[1] else k.buffer(f"i{n}", kind[0]) for n, kind in enumerate(kinds)]
        self.single = [k.scalar(f"i{n}", WIDE[kind[0]]) if kind[1] else None for n, kind in enumerate(kinds)]
        self.at = [None if kind[1] else k.scalar(f"i{n}_at") for n, kind in enumerate(kinds)]
        self.strides = [
            [[k.scalar(f"i{n}_{part}{d}") for d in range(rank)] for part, rank in ranks.items()]
            for n in range(len(kinds))
        ]

    def place(self, *coordinates):
        """Where all indices together lead, and whether each lies on its axis."""
        place, inside = self.k.const(0, self.k.index_dtype), self.k.const(True, "bool")
        for n, (size, stride) in enumerate(self.axis):
            if self.single[n] is not None:
                value = self.single[n]
            else:
                at = self.at[n]
                for own, part in zip(self.strides[n], coordinates):
                    for c, s in zip(part, own):
                        at = at + c * s
                value = self.memory[n][at]
            given, length = num.convert(value, "i64"), size.to("i64")
            value = (given < 0).where(given + length, given) if self.from_end else given
            good = (value >= 0) & (value < length)
            with self.k.when(~good):
                self.faults.note(given, length, self.names[n])
            inside = inside & good
            place = place + value.to(self.k.index_dtype) * stride
        return place, inside


def _index_scalars(indices, axes, strides, from_end):
    """`axes`: number, size and stride; `strides`: name of a part -> strides of each index on the device, in order."""
    scalars, place = dict(faults.SCALARS), 0
    for n, (index, (axis, size, stride)) in enumerate(zip(indices, axes)):
        scalars |= {f"axis{n}": axis if from_end else -1 - axis, f"axis_size{n}": size, f"axis_stride{n}": stride}
        if index.host:
            scalars[f"i{n}"] = Host(index.reference[1])
            scalars |= {f"i{n}_{part}{d}": 0 for part, all_ in strides.items() for d in range(len(all_["rank"]))}
            continue
        for part, all_ in strides.items():
            scalars |= {f"i{n}_{part}{d}": s for d, s in enumerate(all_["own"][place])}
        place += 1
    return scalars


def _kinds(indices):
    if any(i.dtype == "bool" for i in indices):
        raise UnsupportedError("masks are counted on the host")
    return tuple((i.dtype, i.host) for i in indices)


# ---- reads ----


@kernel
def _read_kernel(dtype, kinds, rank, from_end, group, index):
    k = Builder("index", (group, 1, 1), index)
    n = k.scalar("n")
    sizes = [k.scalar(f"size{d}") for d in range(1, rank)]
    y, x = k.buffer("y", dtype, written=True), k.buffer("x", dtype)
    y_at, x_at = k.scalar("y_at"), k.scalar("x_at")
    strides = {name: [k.scalar(f"{name}_stride{d}") for d in range(rank)] for name in ("y", "x")}
    indices = _Indices(k, kinds, {"stride": rank}, from_end)
    with k.items(n) as i:
        coordinates = coordinates_of(i, sizes)
        to, source = y_at, x_at
        for c, ys, xs in zip(coordinates, strides["y"], strides["x"]):
            to, source = to + c * ys, source + c * xs
        place, inside = indices.place(coordinates)
        value = k.variable(k.const(0, WIDE[dtype]))
        with k.when(inside):
            value.set(x[source + place])
        y[to] = value.get()
    return k.finish()


def _read(call, target, y, x, shape, x_strides, indices, index_strides, axes, from_end=True):
    """y[c] = x[c . x_strides + what the indices at c say]; all strides are over the axes of y."""
    if y.numel == 0:
        return Plan()
    sizes, strides = coalesce(shape, [y.strides, x_strides, *index_strides])
    scalars = {"n": prod(shape)} | size_scalars(sizes)
    for name, own in (("y", strides[0]), ("x", strides[1])):
        scalars |= {f"{name}_stride{d}": s for d, s in enumerate(own)}
    scalars |= _index_scalars(indices, axes, {"stride": {"rank": sizes, "own": strides[2:]}}, from_end)
    group = target.group(target.schedule.flat)
    kernel = _read_kernel(y.dtype, _kinds(indices), len(sizes), from_end, group, call.index)
    tensors = {"y": y, "x": x} | faults.TENSORS | {f"i{n}": i for n, i in enumerate(indices) if not i.host}
    return Plan((launch(kernel, tensors, scalars, target.grid(-(-y.numel // group))),))


def _positions(x, indices, out_rank):
    """Which axes of the result come from the index tensors: (first, count), and the axes of x that they replace."""
    axes = [d for d, i in enumerate(indices) if i is not None]
    count = max(len(indices[d].shape) for d in axes)
    together = axes == list(range(axes[0], axes[-1] + 1))
    return (axes[0] if together else 0), count, axes


def _split(x, indices, shape):
    """Strides over the axes of `shape`: of x where it is kept, and of each index where they stand."""
    first, count, axes = _positions(x, indices, len(shape))
    kept = [d for d in range(len(x.shape)) if d not in axes]
    block = tuple(shape[first : first + count])
    x_strides = [x.strides[d] for d in kept]
    x_strides[first:first] = [0] * count
    index_strides = []
    for d in axes:
        if indices[d].host:
            continue
        own = broadcast_strides(indices[d], block)
        index_strides.append((0,) * first + tuple(own) + (0,) * (len(shape) - first - count))
    used = [indices[d] for d in axes]
    return first, count, tuple(x_strides), used, index_strides, [(d, x.shape[d], x.strides[d]) for d in axes]


def _without_mask(call, target, indices, count):
    """What finds the positions of a mask that is the only index, the sizes of its temporaries, and the new indices."""
    given = [i for i in indices if i is not None]
    if not any(i.dtype == "bool" for i in given):
        return (), (), indices
    if len(given) > 1:
        raise UnsupportedError("a mask beside other indices")
    at = indices.index(given[0])
    launches, sizes, found = masks.positions(call, target, given[0], count(at), 0)
    return launches, sizes, [*indices[:at], *found, *indices[at + 1 :]]


@template("index")
def index(call, target):
    x, *indices = call.inputs
    x, y = as_bits(x), as_bits(call.outputs[0])
    finding, sizes, indices = _without_mask(call, target, indices, lambda at: y.shape[at])
    if y.shape != call.outputs[0].shape or x.host:
        raise UnsupportedError("elements of 16 bytes")
    _, _, x_strides, used, index_strides, axes = _split(x, indices, y.shape)
    read = _read(call, target, y, x, y.shape, x_strides, used, index_strides, axes)
    return Plan((*finding, *read.launches), sizes)


@template("gather")
def gather(call, target):
    x, chosen = as_bits(call.inputs[0]), call.inputs[1]
    y = as_bits(call.outputs[0])
    if y.shape != call.outputs[0].shape or not x.shape or not chosen.shape:
        raise UnsupportedError("elements of 16 bytes, or single numbers")
    axis = call.attributes["dim"] % len(x.shape)
    x_strides = tuple(0 if d == axis else s for d, s in enumerate(x.strides))
    return _read(
        call, target, y, x, y.shape, x_strides, [chosen], [chosen.strides], [(axis, x.shape[axis], x.strides[axis])]
    )


@template("embedding")
def embedding(call, target):
    ids, weight = call.inputs
    x, y = as_bits(weight), as_bits(call.outputs[0])
    if ids.host or y.shape != call.outputs[0].shape:
        raise UnsupportedError("a single row")
    axes = [(0, x.shape[0], x.strides[0])]
    x_strides, index_strides = (0,) * len(ids.shape) + x.strides[1:], [(*ids.strides, 0)]
    return _read(call, target, y, x, y.shape, x_strides, [ids], index_strides, axes, from_end=False)


# ---- writes ----

_MODES = {"set": lambda old, new: new, "add": num.add, "prod": num.mul, "amax": num.maximum, "amin": num.minimum}


@kernel
def _write_kernel(dtypes, kinds, ranks, mode, value_on_host, from_end, group, index):
    """One item a place; along the second axes, values one after another."""
    k = Builder(f"scatter_{mode}", (group, 1, 1), index)
    places, steps = k.scalar("places"), k.scalar("steps")
    sizes = {
        part: [k.scalar(f"{part}_size{d}") for d in range(1, rank)] for part, rank in zip(("place", "step"), ranks)
    }
    y, y_at = k.buffer("y", dtypes[0], written=True), k.scalar("y_at")
    y_strides = [k.scalar(f"y_place{d}") for d in range(ranks[0])]
    wide = WIDE[dtypes[0]]
    if value_on_host:
        single = num.convert(host_scalar(k, "v", dtypes[1]), wide)
    else:
        v, v_at = k.buffer("v", dtypes[1]), k.scalar("v_at")
        v_strides = [[k.scalar(f"v_{part}{d}") for d in range(rank)] for part, rank in zip(("place", "step"), ranks)]
    indices = _Indices(k, kinds, dict(zip(("place", "step"), ranks)), from_end)
    with k.items(places) as i:
        own = coordinates_of(i, sizes["place"])
        base = y_at
        for c, s in zip(own, y_strides):
            base = base + c * s
        with k.range(0, steps) as j:
            step = coordinates_of(j, sizes["step"])
            place, inside = indices.place(own, step)
            with k.when(inside):
                if value_on_host:
                    value = single
                else:
                    at = v_at
                    for part, all_ in zip((own, step), v_strides):
                        for c, s in zip(part, all_):
                            at = at + c * s
                    value = num.convert(v[at], wide)
                y[base + place] = stored(_MODES[mode](y[base + place], value), dtypes[0])
    return k.finish()


def write_at(call, target, y, v, mode, place_axes, step_axes, strides, indices, axes, from_end=True):
    """strides: name ("y", "v" or a number of an index) -> strides over all axes; `place_axes`, `step_axes` split them."""
    shape = strides["shape"]
    if prod(shape) == 0:
        return ()
    check(target, y.dtype, v.dtype)
    on_device = [n for n, i in enumerate(indices) if not i.host]
    names = ["y", "v", *on_device]
    parts = {}
    for part, chosen in (("place", place_axes), ("step", step_axes)):
        lists = [[strides[name][d] for d in chosen] for name in names]
        parts[part] = coalesce([shape[d] for d in chosen], lists, ordered=part == "step")
    (place_sizes, place), (step_sizes, step) = parts["place"], parts["step"]
    scalars = {"places": prod(place_sizes), "steps": prod(step_sizes)}
    scalars |= size_scalars(place_sizes, "place_size") | size_scalars(step_sizes, "step_size")
    scalars |= {f"y_place{d}": s for d, s in enumerate(place[0])}
    scalars |= {f"v_place{d}": s for d, s in enumerate(place[1])} | {f"v_step{d}": s for d, s in enumerate(step[1])}
    scalars |= _index_scalars(
        indices, axes,
        {"place": {"rank": place_sizes, "own": place[2:]}, "step": {"rank": step_sizes, "own": step[2:]}}, from_end,
    )  # fmt: skip
    if v.host:
        scalars["v"] = Host(v.reference[1])
    if prod(place_sizes) < 32 and prod(step_sizes) > 65536:
        raise UnsupportedError("a long list of positions for few places")
    group = target.group(64)
    kernel = _write_kernel(
        (y.dtype, v.dtype),
        _kinds(indices),
        (len(place_sizes), len(step_sizes)),
        mode,
        v.host,
        from_end,
        group,
        call.index,
    )
    tensors = {"y": y, "v": v} | faults.TENSORS | {f"i{n}": i for n, i in enumerate(indices) if not i.host}
    return (launch(kernel, tensors, scalars, target.grid(-(-prod(place_sizes) // group))),)


def _copied(call, target, x, y):
    """Launches that make y a copy of x; none where it is x itself (the in-place form cannot be told by the key alone)."""
    return move_op(Call("copy", (x,), (y,), {}, call.index), target, "move", (x,)).launches


@template("index_put")
def index_put(call, target):
    x, v, *indices = call.inputs
    y = call.outputs[0]
    finding, sizes, indices = _without_mask(call, target, indices, lambda at: _count_of(v, y, indices, at))
    first, count, y_strides, used, index_strides, axes = _split(y, indices, _result_shape(y, indices))
    shape = _result_shape(y, indices)
    strides = {"shape": shape, "y": y_strides, "v": broadcast_strides(v, shape)}
    on_device = [n for n, i in enumerate(used) if not i.host]
    strides |= dict(zip(on_device, index_strides))
    steps = list(range(first, first + count))
    places = [d for d in range(len(shape)) if d not in steps]
    mode = "add" if call.attributes["accumulate"] else "set"
    written = write_at(call, target, y, v, mode, places, steps, strides, used, axes)
    return Plan((*finding, *_copied(call, target, x, y), *written), sizes)


def _count_of(v, y, indices, at):
    """How many positions a mask has, when the values say so by their size."""
    mask = indices[at]
    rank = len(y.shape) - len(mask.shape) + 1
    axis = at - (rank - len(v.shape))
    if axis < 0 or v.shape[axis] == 1:
        raise UnsupportedError("one value for all positions of a mask")
    return v.shape[axis]


def _result_shape(x, indices):
    first, count, axes = _positions(x, indices, 0)
    block = [1] * count
    for d in axes:
        own = indices[d].shape
        for at, size in zip(range(count - len(own), count), own):
            block[at] = size if block[at] == 1 else block[at]
    kept = [x.shape[d] for d in range(len(x.shape)) if d not in axes]
    return (*kept[:first], *block, *kept[first:])


@template("scatter", "scatter_add", "scatter_reduce")
def scatter(call, target):
    x, chosen, v = call.inputs
    y = call.outputs[0]
    if not x.shape or not chosen.shape:
        raise UnsupportedError("single numbers")
    axis = call.attributes["dim"] % len(x.shape)

    def write(to, values, mode):
        strides = {"shape": chosen.shape, "y": tuple(0 if d == axis else s for d, s in enumerate(to.strides))}
        strides |= {"v": values.strides if values.shape else (0,) * len(chosen.shape), 0: chosen.strides}
        places = [d for d in range(len(x.shape)) if d != axis]
        axes = [(axis, to.shape[axis], to.strides[axis])]
        return write_at(call, target, to, values, mode, places, [axis], strides, [chosen], axes)

    copied, reduce = _copied(call, target, x, y), call.attributes.get("reduce")
    if call.op == "scatter_add":
        return Plan((*copied, *write(y, v, "add")))
    if call.op == "scatter":
        return Plan((*copied, *write(y, v, {"add": "add", "multiply": "prod"}.get(reduce, "set"))))
    mode, alone = {"sum": "add", "mean": "add"}.get(reduce, reduce), not call.attributes["include_self"]
    launches, sizes = [*copied], []
    if alone:
        start = {"add": 0, "prod": 1, "amax": extreme(y.dtype, False), "amin": extreme(y.dtype, True)}[mode]
        first = _filled(call, target, y.dtype, (), start, sizes, launches)
        launches += write(y, first, "set")
    launches += write(y, v, mode)
    if reduce == "mean":
        count = _filled(call, target, "i32", y.shape, 0 if alone else 1, sizes, launches)
        one = _filled(call, target, "i32", (), 1, sizes, launches)
        launches += write(count, one, "add")
        launches += elementwise(call, target, "share_of", (y, count), y).launches
    return Plan(tuple(launches), tuple(sizes))


def _filled(call, target, dtype, shape, value, sizes, launches):
    """A temporary that holds the value everywhere; its size and what fills it are added to the lists."""
    made = Tensor(dtype, shape, contiguous_strides(shape), ("temporary", len(sizes)))
    sizes.append(SIZES[dtype] * made.numel)
    launches += fill(replace(call, outputs=(made,)), target, value).launches
    return made


@template("embedding_backward")
def embedding_backward(call, target):
    """Rows of the gradient added to the rows that the ids name."""
    g, ids = call.inputs
    y = call.outputs[0]
    if y.dtype not in ("f32", "f64") or call.attributes["padding_idx"] is not None or ids.host:
        raise UnsupportedError("sums that are kept in halves, or a padding row")
    rank = len(g.shape)
    strides = {"shape": g.shape, "y": (0,) * (rank - 1) + y.strides[1:], "v": g.strides, 0: (*ids.strides, 0)}
    written = write_at(
        call,
        target,
        y,
        g,
        "add",
        [rank - 1],
        list(range(rank - 1)),
        strides,
        [ids],
        [(0, y.shape[0], y.strides[0])],
        False,
    )
    return Plan((*zeros(call, target).launches, *written))
