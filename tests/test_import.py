"""What `import helix` costs and brings."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import helix

ROOT = Path(__file__).resolve().parent.parent
PROBE = """
import json, sys, time
start = time.perf_counter()
import helix
took = time.perf_counter() - start
before = time.perf_counter()
value = (helix.tensor([1.0, 2.0]) + 1).tolist()
print(json.dumps({"ms": 1e3 * took, "first_ms": 1e3 * (time.perf_counter() - before), "numpy": "numpy" in sys.modules,
                  "rss": int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024, "value": value,
                  "modules": sorted(m for m in sys.modules if "." not in m)}))
"""


def probe():
    return json.loads(subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(Path(helix.__file__).parent.parent)!r})\n{PROBE}"],
                                     capture_output=True, text=True, check=True).stdout)


def test_import_is_quick_and_light():
    runs = [probe() for _ in range(5)]
    best = min(runs, key=lambda run: run["ms"])
    assert best["value"] == [2, 3]
    assert best["ms"] < 60 and best["first_ms"] < 20 and best["rss"] < 40
    assert not best["numpy"]
    assert not {"torch", "ml_dtypes", "inspect", "asyncio", "msgspec", "click", "rich"} & set(best["modules"])


def test_names():
    assert helix.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name in ("tensor", "zeros", "add", "float32", "no_grad", "Tensor", "manual_seed", "inf", "newaxis", "max"):
        assert name in helix.__all__ and hasattr(helix, name)
    assert callable(helix.tensor) and isinstance(helix.device, type) and helix.random.manual_seed is helix.manual_seed
    assert "io" in dir(helix) and helix.io.save_file


def test_add_all_names_are_real():
    for name in helix.__all__:
        assert getattr(helix, name, None) is not None or name == "newaxis"
