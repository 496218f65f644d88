"""OpenCL C 1.2 and later. Halves are read and written by vload_half, so that no extension is needed."""

from helix.kernel.render import Parameters

_DOUBLE = "#ifdef cl_khr_fp64\n#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n#endif\n"


class OpenCLRenderer(Parameters):
    kind = "opencl-c"
    types = {
        "bool": "bool",
        "i32": "int",
        "u32": "uint",
        "i64": "long",
        "u64": "ulong",
        "f32": "float",
        "f64": "double",
    }
    storage = {
        "i8": "char", "u8": "uchar", "i16": "short", "u16": "ushort", "i32": "int", "u32": "uint", "i64": "long",
        "u64": "ulong", "f16": "half", "f32": "float", "f64": "double",
    }  # fmt: skip
    operators = Parameters.operators | {
        "bitcast": "as_{type}({0})", "mulhi": "mul_hi({0}, {1})", "abs.f32": "fabs({0})", "abs.f64": "fabs({0})",
    }  # fmt: skip
    infinity = {"f32": "INFINITY", "f64": "(double)INFINITY"}
    nan = {"f32": "NAN", "f64": "(double)NAN"}
    head = _DOUBLE
    exact_head = _DOUBLE + "#pragma OPENCL FP_CONTRACT OFF\n"
    load_form = {"f16": "vload_half({0}, {buffer})"}
    store_form = {"f16": "vstore_half_rte({1}, {0}, {buffer});"}
    ids = {
        "local_id": "({type})get_local_id({number})",
        "group_id": "({type})get_group_id({number})",
        "num_groups": "({type})get_num_groups({number})",
    }
    barrier = "barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);"
    shared_form = "__local {type} {name}[{size}];"
    buffer_form = "__global {const}{type} *{name}"
    kernel_form = "__kernel __attribute__((reqd_work_group_size({x}, {y}, {z})))\nvoid {name}({parameters}) {{"
