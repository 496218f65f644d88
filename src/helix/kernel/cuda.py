"""CUDA C++, for NVRTC or nvcc without any header. Exact kernels are compiled with --fmad=false."""

from helix.kernel import ir
from helix.kernel.render import Parameters

_BITS = """template <class T, class S> static __device__ __forceinline__ T bits(S from) {
  union { S from; T to; } u;
  u.from = from;
  return u.to;
}
"""


class CudaRenderer(Parameters):
    kind = "cuda-c"
    types = {
        "bool": "bool", "i32": "int", "u32": "unsigned int", "i64": "long long", "u64": "unsigned long long",
        "f32": "float", "f64": "double",
    }  # fmt: skip
    storage = types | {"i8": "signed char", "u8": "unsigned char", "i16": "short", "u16": "unsigned short"}
    storage = {d: t for d, t in storage.items() if d != "bool"}
    operators = Parameters.operators | {
        "bitcast": "bits<{type}>({0})", "mulhi.u32": "__umulhi({0}, {1})", "mulhi.i32": "__mulhi({0}, {1})",
        "mulhi.u64": "__umul64hi({0}, {1})", "mulhi.i64": "__mul64hi({0}, {1})",
        "abs.f32": "fabsf({0})", "abs.f64": "fabs({0})",
    }  # fmt: skip
    functions = ir.FUNCTIONS
    function_form = {"f32": "{name}f({args})", "f64": "{name}({args})"}
    suffix = Parameters.suffix | {"i64": "LL", "u64": "ULL"}
    infinity = {"f32": "bits<float>(0x7f800000u)", "f64": "bits<double>(0x7ff0000000000000ULL)"}
    nan = {"f32": "bits<float>(0x7fc00000u)", "f64": "bits<double>(0x7ff8000000000000ULL)"}
    head = _BITS
    ids = {
        "local_id": "({type})threadIdx.{axis}", "group_id": "({type})blockIdx.{axis}",
        "num_groups": "({type})gridDim.{axis}",
    }  # fmt: skip
    barrier = "__syncthreads();"
    shared_form = "__shared__ {type} {name}[{size}];"
    buffer_form = "{const}{type} *{name}"
    kernel_form = 'extern "C" __global__ void __launch_bounds__({size}) {name}({parameters}) {{'
