"""The product template: C = A B over batches, tiled through shared memory, with operands that a caller describes.

`product` is the engine: it asks for elements of A and B by (batch, row, column) and hands out those of C, so that a
convolution is a product whose operands are read through the windows. Each item keeps a square of results in registers.
"""

from __future__ import annotations

from math import prod

from helix.kernel import numeric as num
from helix.kernel.build import Builder
from helix.kernel.elementwise import check, stored
from helix.kernel.ir import WIDE
from helix.kernel.kept import kernel
from helix.kernel.layout import broadcast_strides, coalesce, coordinates_of, size_scalars
from helix.kernel.plan import Plan, launch
from helix.kernel.registry import template
from helix.kernel.schedule import Tile


def tile_of(target, m, n, size=4):
    """The largest tile of the schedule that the device holds and the result fills."""
    tiles = target.schedule.tiles
    for tile in tiles:
        fits = 2 * tile.span * tile.depth * size <= target.shared_bytes and tile.side**2 <= target.max_group
        if fits and (tile is tiles[-1] or min(m, n) > tile.span // 2):
            return tile
    side = 8 if target.max_group >= 64 else 4 if target.max_group >= 16 else 1
    return Tile(side, 1, 8)


def product(k, tile, sizes, wide, a, b, c):
    """sizes = (batches, m, n, depth of the sum); a(batch, i, p), b(batch, p, j) give values, c(batch, i, j, value) takes them.

    a and b are asked for places inside the operands only.
    """
    batches, m, n, depth = sizes
    side, each, step = tile.side, tile.each, tile.depth
    span, items = tile.span, tile.side * tile.side
    left, right = k.shared("left", wide, span * step), k.shared("right", wide, step * span)
    item = k.local_id()
    row, column = item // side, item % side
    down, across = (m + (span - 1)) // span, (n + (span - 1)) // span
    zero = k.const(0, wide)
    with k.range(k.group_id(), batches * down * across, k.num_groups()) as tile_number:
        batch, within = tile_number // (down * across), tile_number % (down * across)
        first_row, first_column = (within // across) * span, (within % across) * span
        sums = [[k.variable(zero) for _ in range(each)] for _ in range(each)]
        with k.range(0, depth, step) as start:
            with k.range(item, span * step, items) as e:
                i, p = e // step, e % step
                value = k.variable(zero)
                with k.when((first_row + i < m) & (start + p < depth)):
                    value.set(a(batch, first_row + i, start + p))
                left[e] = value.get()
            with k.range(item, step * span, items) as e:
                p, j = e // span, e % span
                value = k.variable(zero)
                with k.when((start + p < depth) & (first_column + j < n)):
                    value.set(b(batch, start + p, first_column + j))
                right[e] = value.get()
            k.barrier()
            with k.range(0, step) as p:
                x = [left[(row + u * side) * step + p] for u in range(each)]
                y = [right[p * span + (column + v * side)] for v in range(each)]
                for u in range(each):
                    for v in range(each):
                        sums[u][v].set(num.add(sums[u][v].get(), num.mul(x[u], y[v])))
            k.barrier()
        for u in range(each):
            for v in range(each):
                i, j = first_row + row + u * side, first_column + column + v * side
                with k.when((i < m) & (j < n)):
                    c(batch, i, j, sums[u][v].get())


def product_grid(target, tile, batches, m, n):
    return target.grid(batches * -(-m // tile.span) * -(-n // tile.span))


@kernel
def _matmul(dtypes, rank, tile, index, bias):
    wide = WIDE[dtypes[2]]
    k = Builder("linear" if bias else "matmul", (tile.side * tile.side, 1, 1), index)
    names = ("a", "b", "y")
    memory = [k.buffer(name, d, written=name == "y") for name, d in zip(names, dtypes)]
    at = [k.scalar(f"{name}_at") for name in names]
    sizes = [k.scalar(s) for s in ("batches", "m", "n", "depth")]
    batch_sizes = [k.scalar(f"batch{d}") for d in range(1, rank)]
    strides = [[k.scalar(f"{name}_{s}") for s in ("row", "column")] for name in names]
    batch_strides = [[k.scalar(f"{name}_batch{d}") for d in range(rank)] for name in names]
    if bias:
        extra, extra_at, extra_stride = k.buffer("bias", bias), k.scalar("bias_at"), k.scalar("bias_stride")

    def place(o, batch, i, j):
        found = at[o] + i * strides[o][0] + j * strides[o][1]
        for c, s in zip(coordinates_of(batch, batch_sizes), batch_strides[o]):
            found = found + c * s
        return found

    def write(batch, i, j, value):
        if bias:
            value = num.add(value, num.convert(extra[extra_at + j * extra_stride], wide))
        memory[2][place(2, batch, i, j)] = stored(value, dtypes[2])

    def reader(o):
        return lambda batch, i, j: num.convert(memory[o][place(o, batch, i, j)], wide)

    product(k, tile, sizes, wide, reader(0), reader(1), write)
    return k.finish()


def _matrices(x, front):
    """Shape and strides with vectors as matrices: a row in front, a column behind."""
    if len(x.shape) > 1:
        return x.shape, x.strides
    return ((1, *x.shape), (0, *x.strides)) if front else ((*x.shape, 1), (*x.strides, 0))


def plan_product(target, index, a, b, y, bias=None):
    """y = a b (+ bias over the last axis): pairs of (tensor, shape, strides), all with two matrix axes and equal batches."""
    (ta, a_shape, a_strides), (tb, b_shape, b_strides), (ty, y_shape, y_strides) = a, b, y
    batch_shape = y_shape[:-2]
    m, n, depth = y_shape[-2], y_shape[-1], a_shape[-1]
    if prod(y_shape) == 0:
        return Plan()
    sizes, batch = coalesce(
        batch_shape,
        [y_strides[:-2], _spread(a_shape, a_strides, batch_shape), _spread(b_shape, b_strides, batch_shape)],
    )
    scalars = {"batches": prod(batch_shape), "m": m, "n": n, "depth": depth} | size_scalars(sizes, "batch")
    for name, strides, own in (("y", y_strides, batch[0]), ("a", a_strides, batch[1]), ("b", b_strides, batch[2])):
        scalars |= {f"{name}_row": strides[-2], f"{name}_column": strides[-1]}
        scalars |= {f"{name}_batch{d}": s for d, s in enumerate(own)}
    tensors = {"a": ta, "b": tb, "y": ty}
    if bias is not None:
        tensors["bias"] = bias
        scalars["bias_stride"] = bias.strides[-1] if bias.shape and bias.shape[-1] > 1 else 0
    wide = WIDE[ty.dtype]
    tile = tile_of(target, m, n, 8 if wide in ("f64", "i64", "u64") else 4)
    kernel = _matmul((ta.dtype, tb.dtype, ty.dtype), len(sizes), tile, index, bias.dtype if bias is not None else None)
    return Plan((launch(kernel, tensors, scalars, product_grid(target, tile, prod(batch_shape), m, n)),))


def _spread(shape, strides, batch_shape):
    class _Batch:
        pass

    part = _Batch()
    part.shape, part.strides = shape[:-2], strides[:-2]
    return broadcast_strides(part, batch_shape)


@template("matmul")
def matmul(call, target):
    a, b = call.inputs
    y = call.outputs[0]
    check(target, a.dtype, b.dtype, y.dtype)
    a_shape, a_strides = _matrices(a, True)
    b_shape, b_strides = _matrices(b, False)
    y_shape, y_strides = list(y.shape), list(y.strides)
    if len(a.shape) == 1:
        at = len(y_shape) - (0 if len(b.shape) == 1 else 1)
        y_shape.insert(at, 1)
        y_strides.insert(at, 0)
    if len(b.shape) == 1:
        y_shape.append(1)
        y_strides.append(0)
    return plan_product(
        target, call.index, (a, a_shape, a_strides), (b, b_shape, b_strides), (y, tuple(y_shape), tuple(y_strides))
    )


@template("linear")
def linear(call, target):
    """x w^T + bias, all rows of x in one product where its strides allow."""
    x, w, bias = call.inputs
    y = call.outputs[0]
    check(target, x.dtype, w.dtype, y.dtype)
    x_shape, x_strides = _matrices(x, True)
    y_shape, y_strides = _matrices(y, True)
    if len(x.shape) > 2:
        sizes, strides = coalesce(x.shape[:-1], [y.strides[:-1], x.strides[:-1]])
        if len(sizes) == 1:
            x_shape, x_strides = (sizes[0], x.shape[-1]), (strides[1][0], x.strides[-1])
            y_shape, y_strides = (sizes[0], y.shape[-1]), (strides[0][0], y.strides[-1])
    w_shape, w_strides = (w.shape[1], w.shape[0]), (w.strides[1], w.strides[0])
    return plan_product(
        target, call.index, (x, x_shape, x_strides), (w, w_shape, w_strides), (y, y_shape, y_strides), bias
    )
