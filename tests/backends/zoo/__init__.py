"""Broken plugins, made as installed distributions in a folder: `build(folder)`; and whole ones beside them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PLUGIN_C = Path(__file__).with_name("plugin.c")

WHOLE = """
from helix.backends import Availability, Backend, Device, DeviceInfo

class Shelf(Device):
    def alloc(self, nbytes, pinned): return bytearray(nbytes)
    def free(self, block): block.clear()
    def copy_in(self, block, offset, source, stream): block[offset : offset + len(source)] = source
    def copy_out(self, target, block, offset, stream): target[:] = block[offset : offset + len(target)]
    def sync(self, stream=None): pass

class Plugin(Backend):
    name = "{name}"
    device_class = Shelf
    def probe(self): return Availability([DeviceInfo(name="a shelf")])

def backend(): return Plugin()
"""

CAPSULE = """
import ctypes

def backend():
    library = ctypes.CDLL({library!r})
    library.helix_backend_v1.restype = ctypes.c_void_p
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return new(library.helix_backend_v1(), b"helix.backend.v1", None)
"""


@dataclass(frozen=True)
class Broken:
    """A plugin: its module, what the reason must hold, and how it differs from a plain distribution."""

    source: str
    reason: str
    value: str = "{module}:backend"
    c_flags: str = ""
    files: tuple[tuple[str, str], ...] = ()  # instead of METADATA and entry_points.txt
    entry: str = ""  # another entry point's name than the plugin's


def then(text: str) -> str:
    """A whole plugin with more text behind it."""
    return WHOLE + text


BROKEN = {
    "raises": Broken("import a_driver_nobody_has", "ModuleNotFoundError: No module named 'a_driver_nobody_has'"),
    "exits": Broken("raise SystemExit(3)", "it ended the program while it was loaded (SystemExit: 3)"),
    "vanishes": Broken("import os; os._exit(0)", "loading it ends the process with code 0"),
    "crashes": Broken("import ctypes; ctypes.string_at(8)", "SIGSEGV"),
    "aborts": Broken("import os; os.abort()", "SIGABRT"),
    "loops": Broken("while True: pass", "did not answer within"),
    "sleeps": Broken("import time; time.sleep(600)", "did not answer within"),
    "absent": Broken("", "ModuleNotFoundError", value="no_such_module:backend"),
    "entryless": Broken("", "AttributeError"),
    "nothing": Broken("backend = 7", "its entry point is a int, not a factory"),
    "wrongtype": Broken("def backend(): return 'a backend'", "its factory gave a str"),
    "symbolless": Broken("import ctypes; ctypes.CDLL(None).helix_no_such_symbol", "undefined symbol"),
    "driverless": Broken(
        then(
            "def probe(self): return Availability(reason='no libzoo.so.1; install the zoo driver')\nPlugin.probe = probe"
        ),
        "no libzoo.so.1; install the zoo driver.",
    ),
    "unprobed": Broken(then("Plugin.probe = lambda self: 1 / 0"), "ZeroDivisionError"),
    "elder": Broken(
        then("Plugin.abi = (0, 9)"), "built for ABI 0.9, this helix offers 1.0. Install a newer version of it"
    ),
    "misnamed": Broken(then("Plugin.name = 'other'"), "the backend calls itself 'other'"),
    "half": Broken(then("del Shelf.copy_out"), "lacks copy_out"),
    "chatty": Broken(
        "import os, sys\nprint('hello'); print('oh', file=sys.stderr); os.write(1, b'raw\\n'); raise ValueError('no')",
        "ValueError: no",
    ),
    "meddler": Broken(
        "import ctypes, ctypes.util, signal\n"
        "ctypes.CDLL(ctypes.util.find_library('m')).fesetround(0x400)\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\nraise ValueError('meddled')",
        "ValueError: meddled",
    ),
    "threads": Broken(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\nraise ValueError('threads')",
        "ValueError: threads",
    ),
    "cmajor": Broken(CAPSULE, "built for ABI 2.0", c_flags="-DMAJOR=2"),
    "cshort": Broken(CAPSULE, "the plugin's struct has 40 bytes, and ABI 1.0 begins with", c_flags="-DSHORT=1"),
    "chole": Broken(CAPSULE, "backend 'chole' leaves a required slot empty: mem_free", c_flags="-DHOLE=1"),
    "cmisnamed": Broken(CAPSULE, "the backend calls itself 'zebra'", c_flags='-DNAME="zebra"'),
    "cempty": Broken(CAPSULE, "it found no device", c_flags="-DCOUNT=0"),
    "ccrash": Broken(CAPSULE, "SIGSEGV", c_flags="-DCRASH=1"),
    "garbled": Broken("", "its metadata cannot be read", files=(("entry_points.txt", "[helix.backends]\n=\n\0"),)),
    "reserved": Broken(then(""), "a name that helix keeps for itself", entry="cpu"),
    "Shouting": Broken(then(""), "not made of lower-case letters"),
}
"""By device name. Each has a reason in `helix devices`, and a typed error when it is used."""

TWICE = "twice"  # offered by two distributions
WHOLES = {"shelved": WHOLE, "cshelf": CAPSULE}


def build(folder: Path) -> Path:
    """Installs the zoo into a folder that PYTHONPATH can name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, plugin in BROKEN.items():
        module = f"helix_backend_{name}"
        if plugin.source:
            library = compile_plugin(folder, name, plugin.c_flags) if plugin.source is CAPSULE else ""
            text = plugin.source.replace("{name}", name).replace("{library!r}", repr(library))
            (folder / f"{module}.py").write_text(text)
        elif plugin.value.startswith("{module}"):
            (folder / f"{module}.py").write_text("")
        install(folder, f"helix-backend-{name}", plugin.entry or name, plugin.value.format(module=module), plugin.files)
    for name, source in WHOLES.items():
        library = compile_plugin(folder, name) if source is CAPSULE else ""
        text = source.replace("{name}", name).replace("{library!r}", repr(library))
        (folder / f"helix_backend_{name}.py").write_text(text)
        install(folder, f"helix-backend-{name}", name, f"helix_backend_{name}:backend")
    (folder / "helix_backend_twice.py").write_text(WHOLE.replace("{name}", TWICE))
    for package in ("helix-backend-twice", "Acme_Twice"):
        install(folder, package, TWICE, "helix_backend_twice:backend")
    return folder


def install(folder: Path, package: str, entry: str, value: str, files: tuple[tuple[str, str], ...] = ()) -> None:
    info = folder / f"{package.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[helix.backends]\n{entry} = {value}\n")
    for name, text in files:
        (info / name).write_text(text)


def compile_plugin(folder: Path, name: str, flags: str = "") -> str:
    library = folder / f"lib{name}.so"
    named = "" if "NAME" in flags else f'-DNAME="{name}"'
    include = ROOT / "src" / "helix" / "_core" / "include"
    command = ["cc", "-shared", "-fPIC", "-O0", f"-I{include}", *filter(None, [named, *flags.split()])]
    subprocess.run([*command, "-o", str(library), str(PLUGIN_C)], check=True, timeout=60)
    return str(library)
