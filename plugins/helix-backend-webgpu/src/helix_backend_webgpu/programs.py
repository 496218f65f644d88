"""Programs from WGSL, and the two of the plugin's own: WebGPU copies and fills whole words only, helix any bytes."""

from __future__ import annotations

import struct
from typing import Any

import wgpu

from helix.backends import KernelSource
from helix.errors import CompileError

FORMS = {
    "bool": "?7x", "int8": "b7x", "uint8": "B7x", "int16": "h6x", "uint16": "H6x", "int32": "i4x", "uint32": "I4x",
    "int64": "q", "uint64": "Q", "float16": "e6x", "float32": "f4x", "float64": "d",
}  # fmt: skip
GROUP = 64


class Program:
    """A pipeline, the layout of its bindings and the form of its scalars: 8 bytes each, filled up to 16."""

    def __init__(self, device: Any, source: KernelSource):
        self.n_buffers = source.n_buffers
        form = "".join(FORMS[dtype] for dtype in source.scalar_dtypes)
        self.scalars = struct.Struct("<" + form + "8x" * (len(source.scalar_dtypes) % 2))
        self.layout = device.create_bind_group_layout(entries=self._entries())
        try:
            module = device.create_shader_module(code=source.text.decode())
            self.pipeline = device.create_compute_pipeline(
                layout=device.create_pipeline_layout(bind_group_layouts=[self.layout]),
                compute={"module": module, "entry_point": source.entry},
            )
        except wgpu.GPUError as error:
            raise CompileError(f"HX5006 {source.entry}: {str(error).strip()[:900]}", code="HX5006") from error

    def _entries(self) -> list[dict]:
        kinds: list[dict] = [{"type": "storage"}] * self.n_buffers
        if self.scalars.size:
            kinds.append({"type": "uniform", "has_dynamic_offset": True, "min_binding_size": self.scalars.size})
        return [{"binding": n, "visibility": wgpu.ShaderStage.COMPUTE, "buffer": kind} for n, kind in enumerate(kinds)]

    def bind(self, device: Any, buffers: list, arena: Any) -> Any:
        resources = [{"buffer": buffer, "offset": 0, "size": buffer.size} for buffer in buffers]
        if self.scalars.size:
            resources.append({"buffer": arena, "offset": 0, "size": self.scalars.size})
        entries = [{"binding": n, "resource": resource} for n, resource in enumerate(resources)]
        return device.create_bind_group(layout=self.layout, entries=entries)


_BYTES = """
fn scalar(n: u32) -> u32 { return scalars[n / 2u][n % 2u * 2u]; }

@compute @workgroup_size(64)
fn NAME(@builtin(local_invocation_id) local_id: vec3<u32>, @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) num_groups: vec3<u32>) {
  let begin = scalar(0u);
  let end = scalar(1u);
  let word = begin / 4u + (group_id.y * num_groups.x + group_id.x) * 64u + local_id.x;
  if (word * 4u >= end) { return; }
  var value = goal[word];
  for (var byte = 0u; byte < 4u; byte += 1u) {
    let at = word * 4u + byte;
    if (at >= begin && at < end) {
      value = insertBits(value, byte_for(at - begin), byte * 8u, 8u);
    }
  }
  goal[word] = value;
}
"""
_COPY = """@group(0) @binding(0) var<storage, read_write> goal: array<u32>;
@group(0) @binding(1) var<storage, read_write> origin: array<u32>;
@group(0) @binding(2) var<uniform> scalars: array<vec4<u32>, 2>;
fn byte_for(n: u32) -> u32 { let at = scalar(2u) + n; return extractBits(origin[at / 4u], at % 4u * 8u, 8u); }
"""
_FILL = """@group(0) @binding(0) var<storage, read_write> goal: array<u32>;
@group(0) @binding(1) var<uniform> scalars: array<vec4<u32>, 4>;
fn byte_for(n: u32) -> u32 { let at = n % scalar(2u); return extractBits(scalar(3u + at / 4u), at % 4u * 8u, 8u); }
"""


def _own(name: str, text: str, n_buffers: int, n_scalars: int) -> KernelSource:
    whole = text + _BYTES.replace("NAME", name)
    return KernelSource("wgsl", whole.encode(), name, "", n_buffers, ("uint32",) * n_scalars, (GROUP, 1, 1), exact=True)


COPY_BYTES = _own("copy_bytes", _COPY, 2, 3)  # goal, origin; begin and end in the goal, begin in the origin
FILL_BYTES = _own("fill_bytes", _FILL, 1, 7)  # goal; begin, end, length of the pattern, its four words


def byte_grid(begin: int, end: int, widest: int) -> tuple[int, int, int]:
    """Groups for the words of [begin, end), in rows of at most `widest`."""
    groups = -(-(-(-end // 4) - begin // 4) // GROUP)
    return min(groups, widest), -(-groups // widest), 1
