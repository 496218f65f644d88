"""The table of helix/api.h by ctypes, which lets go of the GIL during a call. Run in a child process by test_devices.py."""

import ctypes
import re
from ctypes import POINTER, byref, c_char_p, c_int32, c_uint64, c_void_p
from pathlib import Path

import helix

LAYOUT = Path(__file__).parents[1] / "abi" / "v1_0" / "layout.c"
OFFSETS = {name: int(at) for name, at in re.findall(r"AT\(hx_api, (\w+), (\d+)\)", LAYOUT.read_text())}

pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
pointer_of.restype, pointer_of.argtypes = c_void_p, [ctypes.py_object, c_char_p]
TABLE = pointer_of(helix._core._C_API_v1, b"helix._core._C_API_v1")


def slot(name, result, *arguments):
    address = c_void_p.from_address(TABLE + OFFSETS[name]).value
    return ctypes.CFUNCTYPE(result, *arguments)(address)


to_device = slot("tensor_to_device", c_int32, c_void_p, c_char_p, POINTER(c_void_p))
from_data = slot("tensor_from_data", c_int32, c_char_p, c_int32, c_void_p, c_int32, c_void_p, POINTER(c_void_p))
read = slot("tensor_read", c_int32, c_void_p, c_void_p, c_uint64)
release = slot("tensor_release", None, c_void_p)
device_of = slot("tensor_device", c_char_p, c_void_p)
call_op = slot(
    "call_op", c_int32, c_char_p, c_void_p, ctypes.c_uint32, c_void_p, ctypes.c_uint32, c_void_p, ctypes.c_uint32
)
register_backend = slot("register_backend", c_int32, c_void_p, c_char_p)
synchronize = slot("synchronize", c_int32, c_char_p)
error_text = slot("error_text", c_char_p)
error_number = slot("error_number", c_int32)
raise_error = ctypes.PYFUNCTYPE(ctypes.py_object)(c_void_p.from_address(TABLE + OFFSETS["raise_error"]).value)  # GIL
FLOAT32 = 11


def negate_on(device):
    """-x on a device and back, by the table alone."""
    values, shape, made, out = (ctypes.c_float * 3)(1, -2, 3), (ctypes.c_int64 * 1)(3), c_void_p(), c_void_p()
    assert from_data(device, FLOAT32, shape, 1, values, byref(made)) == 0, error_text()
    assert call_op(b"neg", byref(made), 1, None, 0, byref(out), 1) == 0, error_text()
    assert synchronize(device) == 0, error_text()
    name = device_of(out).decode()
    assert read(out, values, 12) == 0, error_text()
    home = c_void_p()
    assert to_device(out, b"cpu", byref(home)) == 0, error_text()
    assert device_of(home) == b"cpu"
    for tensor in (made, out, home):
        release(tensor)
    return name, list(values)
