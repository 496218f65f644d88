"""Devices by the table: one that a plugin of helix offers, found at its first use, and one that the extension registers."""

import os
import subprocess
import sys

from .build import INSTALLED, ROOT, compile_extension

ON_SIM = """
from tests.embed.table import *
helix.set_fallback("host")
assert negate_on(b"sim") == ("sim:0", [-1, 2, -3])
nothing = ctypes.c_void_p(1)
assert from_data(b"nowhere", FLOAT32, None, 0, None, byref(nothing)) == 3 and not nothing.value
assert error_number() == 5001 and b"nowhere" in error_text(), error_text()
try:
    raise_error()
except helix.errors.DeviceError as error:
    assert error.code == "HX5001" and "nowhere" in str(error)
assert error_text() == b""
assert from_data(b"nowhere", FLOAT32, None, 0, None, byref(nothing)) == 3
assert (helix.ones(2) + 1).tolist() == [2, 2]  # the error stays with the embedder
"""
OF_ITS_OWN = """
import sys
from tests.embed.table import *
entry = ctypes.CDLL(sys.argv[1]).helix_backend_v1
entry.restype = c_void_p
helix.set_fallback("error")
assert register_backend(entry(), b"") == 0, error_text()
assert negate_on(b"own") == ("own:0", [-1, 2, -3])
assert (-helix.ones(3).to("own")).cpu().tolist() == [-1, -1, -1]
assert register_backend(entry(), b"") == 5 and b"registered already" in error_text()
"""


def child(script, *arguments):
    own = {k: v for k, v in os.environ.items() if not k.startswith("HELIX_")}
    own["PYTHONPATH"] = os.pathsep.join([INSTALLED, str(ROOT)])
    command = [sys.executable, "-c", script, *map(str, arguments)]
    ended = subprocess.run(command, env=own, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr


def test_device_of_a_plugin_is_found_at_its_first_use():
    child(ON_SIM)


def test_backend_of_the_extension(tmp_path):
    kept = ROOT / "tests" / "abi" / "v1_0"
    flags = (f"-I{kept}", '-DNAME="own"')
    child(OF_ITS_OWN, compile_extension(tmp_path, "plugin", kept / "plugin.c", flags=flags, helix=False))
