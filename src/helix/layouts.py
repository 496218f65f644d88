"""torch's words for how a tensor lies in memory: `layout`, `memory_format` and `pin_memory`.

Every helix tensor is strided, results are row-major, and memory is not pinned; so these keywords are taken where torch
takes them, and ask for nothing, or raise.
"""

from __future__ import annotations

from helix.errors import ArgumentError, UnsupportedOpError


class _Named:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self):
        return f"helix.{self.name}"

    def __reduce__(self):
        return _named, (self.name,)


class layout(_Named):
    """How the elements of a tensor are kept: `helix.strided` is the one layout there is."""


class memory_format(_Named):
    """The order of the dimensions in memory: `helix.contiguous_format` is row-major."""


strided = layout("strided")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")

NAMES = {kind.name: kind for kind in (strided, contiguous_format, preserve_format, channels_last, channels_last_3d)} | {
    "layout": layout,
    "memory_format": memory_format,
}


def _named(name):
    return NAMES[name]


def check(op, keyword, value):
    """Refuses what helix does not have; None and what it does anyway pass."""
    if keyword == "pin_memory" or value is None or value in (strided, contiguous_format, preserve_format):
        return
    if value in (channels_last, channels_last_3d):
        raise UnsupportedOpError(
            f"HX1701 {op}: {keyword}={value!r} is not built: results are row-major. Use .permute() to say the order of "
            "the axes.",
            op=op,
            code="HX1701",
        )
    wanted = "a helix.layout" if keyword == "layout" else "a helix.memory_format"
    raise ArgumentError(f"HX1103 {op}: {keyword} must be {wanted}, got {value!r}.", op=op, code="HX1103")
