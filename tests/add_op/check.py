"""Adds an op the way CONTRIBUTING says, in three places, and looks at everything that must follow from it.

    make add-op-check

Works in a copy of the tree, so that a failure leaves nothing behind. The places: a record in ops/unary.c, a kernel
in cpu/unary.c, a sample in tests/ops/samples/unary.py.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FAMILY = "unary"

RECORD = """
static hx_status vjp_cube(hx_vjp *v) {
    GIN(0, CALL(mul, G, cj(CALL(mul, CALL(mul, IN(0), IN(0)), 3.0))));
    return HX_OK;
}
#define CUBE                                                                                                  \\
    {.name = "cube", .params = PARAMS(TENSOR("input")), .shape = hx_shape_float, .vjp = vjp_cube,             \\
     .saves = SAVE_IN(0), .flags = HX_ELEMENTWISE,                                                            \\
     .doc = "The third power of each element.\\n\\nExample:\\n    >>> helix.cube(helix.tensor([2., 3.])).tolist()\\n"    \\
            "    [8.0, 27.0]"},
"""

KERNEL = """
#define CUBE_LOOP(T)                                                                                          \\
    static void cube_##T(char **p, const int64_t *step, int64_t n, const void *ctx) {                         \\
        (void)ctx;                                                                                            \\
        for (int64_t i = 0; i < n; i++) {                                                                     \\
            T x = *(const T *)(p[1] + i * step[1]);                                                           \\
            *(T *)(p[0] + i * step[0]) = x * x * x;                                                           \\
        }                                                                                                     \\
    }
CUBE_LOOP(float)
CUBE_LOOP(double)
HX_KERNEL(k_cube) {
    HX_UNUSED;
    return hx_iterate(call, call->in[0].dtype == HX_F32 ? cube_float : cube_double, NULL, err);
}
"""

SAMPLE = """
SAMPLES.append(Sample("cube", (T((3, 4)),), ref=lambda x: x**3))
"""

USE = """
import inspect, helix
x = helix.tensor([1.0, 2.0, -3.0], requires_grad=True)
y = helix.cube(x)
assert y.tolist() == [1.0, 8.0, -27.0] and x.cube().tolist() == y.tolist()
y.sum().backward()
assert x.grad.tolist() == [3.0, 12.0, 27.0]
with helix.no_grad():
    x.cube_()
assert x.tolist() == [1.0, 8.0, -27.0]
assert "third power" in helix.cube.__doc__ and str(inspect.signature(helix.cube)).startswith("(input")
"""


def run(*command: str, cwd: Path, **environment: str) -> None:
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"add-op-check: {' '.join(command)[:200]} failed\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def insert_before(path: Path, marker: str, text: str) -> None:
    source = path.read_text()
    if source.count(marker) != 1:
        sys.exit(f"add-op-check: {path.name} has {source.count(marker)} places {marker!r}, not one")
    path.write_text(source.replace(marker, text + marker))


def insert_after(path: Path, marker: str, text: str) -> None:
    source = path.read_text()
    path.write_text(source.replace(marker, marker + text, 1))


def add_op(tree: Path) -> None:
    core = tree / "src/helix/_core"
    records, kernels = core / "ops" / f"{FAMILY}.c", core / "cpu" / f"{FAMILY}.c"
    insert_before(records, f"const hx_op hx_ops_{FAMILY}[] = {{", RECORD.lstrip("\n"))
    insert_after(records, f"const hx_op hx_ops_{FAMILY}[] = {{", "\n    CUBE")
    insert_before(kernels, f"HX_KERNELS({FAMILY}) = {{", KERNEL.lstrip("\n"))
    insert_after(kernels, f"HX_KERNELS({FAMILY}) = {{", "\n    KERNEL(cube, k_cube, HX_BIT(HX_F32) | HX_BIT(HX_F64)),")
    samples = tree / "tests/ops/samples" / f"{FAMILY}.py"
    samples.write_text(samples.read_text() + SAMPLE)


def copy_of_the_tree(to: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)


def main() -> None:
    tools = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_of_the_tree(tree)
        add_op(tree)
        run("meson", "setup", "build", "-Disa=scalar", cwd=tree, **tools)
        run("ninja", "-C", "build", cwd=tree, **tools)
        for module in (tree / "build/src/helix/_core").glob("_core.*.so"):
            (tree / "src/helix" / module.name).symlink_to(module)
        here = {**tools, "PYTHONPATH": str(tree / "src")}
        run(sys.executable, "-c", USE, cwd=tree, **here)
        run(sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/ops", "-k", "cube", cwd=tree, **here)
        check_stub(tree, here)
    print("add-op-check: one op in three places gives function, methods, gradient, docstring, stub and generic tests")


def check_stub(tree: Path, environment: dict[str, str]) -> None:
    run(sys.executable, "tools/stubs.py", cwd=tree, **environment)
    if not any("def cube(" in path.read_text() for path in (tree / "src").rglob("*.pyi")):
        sys.exit("add-op-check: the stubs do not know cube")


if __name__ == "__main__":
    main()
