"""Copies and fills on the GPU. Metal's own want offsets and sizes that are multiples of 4, and fill with one byte only.

The scalars of a kernel are one array of 8-byte words behind its buffers, as in all kernels of helix.
"""

from __future__ import annotations

from helix.backends.base import KernelSource

GROUP = 256
_HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"
_PLACE = """                 uint3 item [[thread_position_in_threadgroup]], uint3 group [[threadgroup_position_in_grid]]) {
  const ulong n = ulong(group.x) * 256 + item.x;
"""
_COPY = """kernel void {name}(device {type} *to [[buffer(0)]], device const {type} *from [[buffer(1)]],
                 constant ulong *places [[buffer(2)]],
{place}  if (n < places[2]) to[places[0] + n] = from[places[1] + n];
}}
"""
_FILL = """kernel void {name}(device {type} *to [[buffer(0)]], constant ulong *places [[buffer(1)]],
{place}  const ulong width = places[2], at = n % width;
  if (n < places[1]) to[places[0] + n] = {type}(places[3 + at / {per_word}] >> ({bits} * (at % {per_word})));
}}
"""


def _source(form: str, name: str, kind: str, n_buffers: int, n_scalars: int) -> KernelSource:
    size = {"uchar": 1, "ulong": 8}[kind]
    text = _HEAD + form.format(name=name, type=kind, place=_PLACE, per_word=8 // size, bits=8 * size % 64)
    return KernelSource("msl", text.encode(), name, "", n_buffers, ("uint64",) * n_scalars, (GROUP, 1, 1), False)


COPY = {
    1: _source(_COPY, "helix_copy_bytes", "uchar", 2, 3),
    8: _source(_COPY, "helix_copy_words", "ulong", 2, 3),
}
"""By the size of the pieces; scalars: first piece of the target and of the source, and how many."""
FILL = {
    1: _source(_FILL, "helix_fill_bytes", "uchar", 1, 5),
    8: _source(_FILL, "helix_fill_words", "ulong", 1, 5),
}
"""Scalars: first piece, how many, pieces of the pattern, and the pattern in two words."""


def piece(*numbers: int) -> int:
    """8 where all the offsets and sizes are multiples of it, else 1."""
    return 1 if any(number % 8 for number in numbers) else 8
