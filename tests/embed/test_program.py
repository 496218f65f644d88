"""The program in C that starts Python itself."""

import os
import subprocess
import sys
import sysconfig

import pytest

from .build import EXAMPLES, INSTALLED, WARNINGS, config


def flags_to_hold_python(folder):
    """What links a program with Python; None where its library is not there."""
    version, where = sysconfig.get_config_var("LDVERSION"), sysconfig.get_config_var("LIBDIR")
    flags = [f"-L{where}", f"-Wl,-rpath,{where}", f"-lpython{version}"]
    (folder / "empty.c").write_text("int main(void) { return 0; }\n")
    linked = subprocess.run(["cc", "empty.c", *flags, "-o", "empty"], cwd=folder, capture_output=True, timeout=60)
    return None if linked.returncode else flags


def test_fits_lines_on_threads_without_the_gil(tmp_path):
    flags = flags_to_hold_python(tmp_path)
    if flags is None:
        pytest.skip("Python's library is not here")
    headers = [config("cflags"), f"-I{sysconfig.get_path('include')}"]
    source = str(EXAMPLES / "embed-c" / "program.c")
    command = ["cc", *WARNINGS, source, "-o", "program", *headers, *flags, "-pthread"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    ended = subprocess.run(
        [str(tmp_path / "program"), sys.executable],
        env=os.environ | {"PYTHONPATH": INSTALLED},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    wanted = ["1.000000 x + 0.000000", "-2.000000 x + 1.000000", "0.500000 x + -3.000000"]
    assert [line.replace(" -0.000000", " 0.000000") for line in ended.stdout.splitlines()] == wanted
