"""Metal Shading Language. Compile without fast math: NaN, infinity and the order of sums are kept.

The scalars come as one array of 8-byte words after the buffers: one setBytes a launch, whatever their number.
"""

from helix.kernel import ir
from helix.kernel.render import Renderer

_HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"
_SCALARS = {
    "i32": "int(uint({0}))", "u32": "uint({0})", "i64": "long({0})", "u64": "{0}", "f32": "as_type<float>(uint({0}))",
}  # fmt: skip


class MetalRenderer(Renderer):
    kind = "msl"
    types = {"bool": "bool", "i32": "int", "u32": "uint", "i64": "long", "u64": "ulong", "f32": "float"}
    storage = {
        "i8": "char", "u8": "uchar", "i16": "short", "u16": "ushort", "i32": "int", "u32": "uint", "i64": "long",
        "u64": "ulong", "f16": "half", "f32": "float",
    }  # fmt: skip
    operators = Renderer.operators | {
        "cast": "{type}({0})", "bitcast": "as_type<{type}>({0})", "mulhi": "mulhi({0}, {1})", "abs.f32": "fabs({0})",
    }  # fmt: skip
    functions = ir.FUNCTIONS - {"expm1", "log1p", "erf", "erfc", "lgamma", "nextafter"}
    function_form = {"f32": "precise::{name}({args})"}
    head = _HEAD
    exact_head = _HEAD + "#pragma METAL fp contract(off)\n"
    load_form = {"f16": "float({buffer}[{0}])"}
    store_form = {"f16": "{buffer}[{0}] = half({1});"}
    ids = {name: f"{{type}}({name}.{{axis}})" for name in ("local_id", "group_id", "num_groups")}
    barrier = "threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);"
    shared_form = "threadgroup {type} {name}[{size}];"
    buffer_form = "device {const}{type} *{name}"

    def open(self, kernel):
        parameters = [
            self.buffer_form.format(type=self.stored(b.dtype), name=b.name, const="" if b.written else "const ")
            + f" [[buffer({n})]]"
            for n, b in enumerate(kernel.buffers)
        ]
        if kernel.scalars:
            parameters.append(f"constant ulong *scalars [[buffer({len(kernel.buffers)})]]")
        parameters += [
            "uint3 local_id [[thread_position_in_threadgroup]]",
            "uint3 group_id [[threadgroup_position_in_grid]]",
            "uint3 num_groups [[threadgroups_per_grid]]",
        ]
        lines = [f"kernel void {kernel.name}({', '.join(parameters)}) {{"]
        for n, s in enumerate(kernel.scalars):
            if s.dtype not in _SCALARS:
                self.type(s.dtype)
            value = _SCALARS[s.dtype].format(f"scalars[{n}]")
            lines.append(f"  const {self.type(s.dtype)} {s.name} = {value};")
        return "\n".join(lines)
