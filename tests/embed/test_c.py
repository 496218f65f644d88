"""The example in C: an op with kernel and gradient, a thread without the GIL, errors, a call before the import."""

import os
import pickle
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import helix

from .build import EXAMPLES, INSTALLED, ROOT, WARNINGS, compile_extension, config, install_example, load

MINE = EXAMPLES / "embed-c" / "mine.c"
STRICT = ("-std=c99", "-D_POSIX_C_SOURCE=200809L", *WARNINGS)


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    pytest.importorskip("mesonpy")
    return load("mine", install_example(tmp_path_factory.mktemp("c"), "embed-c", "mine", " ".join(STRICT)))


def points():
    return helix.tensor([[1.0, -3.0, 0.5], [2.0, 0.25, -0.125]], dtype="float64", requires_grad=True)


def test_registered_op(mine):
    x = points()
    expected = 2.0 * x / (1 + x.abs())
    assert helix.ops.mine_softsign(x, scale=2.0).tolist() == expected.tolist()
    transposed = helix.ops.mine_softsign(x.detach().mT, 2.0)  # the kernel sees dense views only
    assert transposed.tolist() == expected.mT.tolist()
    assert helix.ops.mine_softsign is helix._core.mine_softsign
    assert "1 + |input|" in helix.ops.mine_softsign.__doc__
    assert str(helix.ops.mine_softsign.__signature__) == "(input, scale=1.0, *, out=None)"
    assert pickle.loads(pickle.dumps(helix.ops.mine_softsign)) is helix.ops.mine_softsign


def test_gradients_of_registered_op(mine):
    def op(x):
        return helix.ops.mine_softsign(x, 1.5)

    assert helix.autograd.gradcheck(op, (points(),))
    assert helix.autograd.gradgradcheck(op, (points(),))
    x = helix.tensor([-3.0], dtype="float64", requires_grad=True)
    op(x).backward()
    assert x.grad.item() == pytest.approx(1.5 / 16)


def test_refusals_of_registered_op(mine):
    with pytest.raises(helix.errors.HelixError, match="mine_softsign: no kernel for int64"):
        helix.ops.mine_softsign(helix.tensor([1, 2]))
    x = points()
    y = helix.ops.mine_softsign(x * 1)
    z = (x * 1).detach().requires_grad_()
    out = helix.ops.mine_softsign(z)
    with helix.no_grad():
        z += 1
    with pytest.raises(helix.errors.GradientError, match="changed in place"):
        out.sum().backward()
    assert y.shape == x.shape


def test_registered_op_on_a_device_runs_on_the_host(mine):
    """It has a kernel for the CPU alone, and a gradient made of ops."""
    before = helix.get_fallback()
    helix.set_fallback("host")
    try:
        x = points()
        y = helix.ops.mine_softsign(x.to("sim"), 2.0)
        y.sum().backward()
    finally:
        helix.set_fallback(before)
    assert str(y.device) == "sim:0"
    assert y.cpu().tolist() == helix.ops.mine_softsign(x, 2.0).tolist()
    assert (x.grad - 2 / (1 + x.abs()).square()).abs().max().item() < 1e-15


def test_registering_twice_is_refused(mine, tmp_path):
    with pytest.raises(helix.errors.ParameterError, match="registered already"):
        load("mine", compile_extension(tmp_path, "mine", MINE, flags=STRICT))


def test_thread_without_the_gil(mine):
    assert mine.on_a_thread(helix.tensor([1.0, -2.0])).tolist() == [2.0, -4.0]
    with pytest.raises(RuntimeError, match="the thread failed: only floating"):
        mine.on_a_thread(helix.tensor([1, 2]))


def test_errors_become_exceptions(mine):
    with pytest.raises(helix.errors.ShapeError, match="HX1002 matmul"):
        mine.call("matmul", helix.ones(2, 3), helix.ones(2, 3))
    with pytest.raises(helix.errors.UnsupportedOpError, match="no op named 'nope'"):
        mine.call("nope", helix.ones(1), helix.ones(1))
    with pytest.raises(TypeError, match="got 1 "):
        mine.call("add", 1, 2)
    assert mine.call("add", helix.ones(2), helix.ones(2)).tolist() == [2, 2]


def test_inplace_keeps_identity(mine):
    x = helix.ones(2)
    assert mine.call("add_", x, helix.ones(2)) is x
    assert x.tolist() == [2, 2]


NO_IMPORT = """
#include <Python.h>
#include <helix/api.h>
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "early", NULL, -1, NULL, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_early(void) { (void)helix_import; helix_table()->error_clear(); return PyModule_Create(&definition); }
"""


def test_use_before_import_says_so(tmp_path):
    source = tmp_path / "early.c"
    source.write_text(NO_IMPORT)
    compile_extension(tmp_path, "early", source)
    ended = subprocess.run(
        [sys.executable, "-c", "import early"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode != 0
    assert "helix_import()" in ended.stderr


SEVERAL = """
#include <Python.h>
#define HELIX_UNIQUE_SYMBOL several_table
#include <helix/api.h>
int several_major(void);
static PyObject *major(PyObject *m, PyObject *n) { (void)m, (void)n; return PyLong_FromLong(several_major()); }
static PyMethodDef methods[] = {{"major", major, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "several", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_several(void) { return helix_import() < 0 ? NULL : PyModule_Create(&definition); }
"""
OTHER_FILE = """
#define HELIX_UNIQUE_SYMBOL several_table
#define HELIX_NO_IMPORT
#include <helix/api.h>
int several_major(void) { return helix_table()->abi_major; }
"""


def test_several_files_share_one_table(tmp_path):
    first, second = tmp_path / "first.c", tmp_path / "second.c"
    first.write_text(SEVERAL)
    second.write_text(OTHER_FILE)
    assert load("several", compile_extension(tmp_path, "several", first, second, flags=tuple(WARNINGS))).major() == 1


def compiles(language, tmp_path, *flags):
    source = tmp_path / f"use.{language}"
    source.write_text("#include <Python.h>\n#include <helix/api.h>\nint use(void) { return helix_import(); }\n")
    compiler = "c++" if language == "cpp" else "cc"
    include = f"-I{sysconfig.get_path('include')}"
    command = [compiler, "-fsyntax-only", *WARNINGS, *flags, config("cflags"), include, str(source)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(not shutil.which("c++"), reason="no C++ compiler here")
def test_headers_are_cplusplus_too(tmp_path):
    ended = compiles("cpp", tmp_path, "-std=c++11", "-pedantic")
    assert ended.returncode == 0, ended.stderr


def test_headers_are_pedantic_c99(tmp_path):
    ended = compiles("c", tmp_path, "-std=c99", "-D_POSIX_C_SOURCE=200809L", "-pedantic")
    assert ended.returncode == 0, ended.stderr


def test_a_target_newer_than_the_headers_does_not_compile(tmp_path):
    assert "HELIX_TARGET_ABI_MINOR is newer" in compiles("c", tmp_path, "-DHELIX_TARGET_ABI_MINOR=9").stderr


def test_extension_of_the_first_headers_runs(tmp_path):
    """Compiled against the kept headers of 1.0: the whole example, in a process of its own."""
    kept = ROOT / "tests" / "abi" / "v1_0"
    compile_extension(tmp_path, "mine", MINE, flags=(f"-I{kept}",), helix=False)
    use = "import helix, mine; assert mine.on_a_thread(helix.tensor([1.0, -2.0])).tolist() == [2.0, -4.0]\n"
    use += "assert helix.ops.mine_softsign(helix.tensor([-3.0], dtype='float64')).item() == -0.75"
    own = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), INSTALLED])}
    ended = subprocess.run(
        [sys.executable, "-c", use], cwd=tmp_path, env=own, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr


def test_extension_of_a_later_minor_asks_for_a_newer_helix(tmp_path):
    headers = tmp_path / "helix"
    shutil.copytree(Path(helix.get_include()) / "helix", headers)
    later = (headers / "backend.h").read_text().replace("#define HX_ABI_MINOR 0", "#define HX_ABI_MINOR 7")
    (headers / "backend.h").write_text(later)
    source = tmp_path / "skew.c"
    source.write_text(SKEWED)
    for target, refused in ((0, False), (7, True)):
        flags = (f"-I{tmp_path}", f"-DHELIX_TARGET_ABI_MINOR={target}")
        (tmp_path / str(target)).mkdir()  # Python keeps a module of one path
        skew = load("skew", compile_extension(tmp_path / str(target), "skew", source, flags=flags, helix=False))
        if refused:
            with pytest.raises(
                ImportError, match=r"ABI 1\.7, the installed helix .* offers 1\.0; install a newer helix"
            ):
                skew.again()
        else:
            skew.again()


# A core of another ABI, put where the capsule is looked for.
SKEWED = """
#include <Python.h>
#include <helix/api.h>
static PyObject *skewed(PyObject *m, PyObject *version) {
    static hx_api other;
    other = *(hx_api *)PyCapsule_GetPointer(PyTuple_GetItem(version, 0), HX_API_CAPSULE);
    other.abi_major = (uint16_t)PyLong_AsLong(PyTuple_GetItem(version, 1));
    other.abi_minor = (uint16_t)PyLong_AsLong(PyTuple_GetItem(version, 2));
    (void)m;
    return PyCapsule_New(&other, HX_API_CAPSULE, NULL);
}
static PyObject *again(PyObject *m, PyObject *n) {
    (void)m, (void)n;
    if (helix_import() < 0) return NULL;
    Py_RETURN_NONE;
}
static PyMethodDef methods[] = {{"skewed", skewed, METH_VARARGS, ""}, {"again", again, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "skew", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_skew(void) { return PyModule_Create(&definition); }
"""


def test_other_versions_are_refused_with_both_numbers(tmp_path, monkeypatch):
    source = tmp_path / "skew.c"
    source.write_text(SKEWED)
    skew = load("skew", compile_extension(tmp_path, "skew", source))
    capsule = helix._core._C_API_v1
    skew.again()
    monkeypatch.setattr(helix._core, "_C_API_v1", skew.skewed(capsule, 1, 7))
    skew.again()  # a newer minor is fine
    monkeypatch.setattr(helix._core, "_C_API_v1", skew.skewed(capsule, 2, 0))
    with pytest.raises(ImportError, match=r"ABI 1\.0.*offers 2\.0"):
        skew.again()
    monkeypatch.delattr(helix._core, "_C_API_v1")
    with pytest.raises(ImportError, match="ABI 1, which the installed helix does not offer"):
        skew.again()
