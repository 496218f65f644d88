"""What `import helix` costs and brings."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import helix

ROOT = Path(__file__).resolve().parent.parent
PROBE = """
import json, sys
import helix
value = (helix.tensor([1.0, 2.0]) + 1).tolist()
print(json.dumps({"numpy": "numpy" in sys.modules,
                  "rss": int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024, "value": value,
                  "modules": sorted(m for m in sys.modules if "." not in m)}))
"""


def probe():
    return json.loads(
        subprocess.run(
            [
                sys.executable,
                "-I",
                "-c",
                f"import sys; sys.path.insert(0, {str(Path(helix.__file__).parent.parent)!r})\n{PROBE}",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )


def test_import_is_light():
    """Memory and modules; the time is measured by `python -m asv_benchmarks.peers imports`."""
    seen = probe()
    assert seen["value"] == [2, 3]
    assert seen["rss"] < 40
    assert not seen["numpy"]
    assert not {"torch", "ml_dtypes", "inspect", "asyncio", "msgspec", "click", "rich"} & set(seen["modules"])


def test_names():
    assert helix.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name in ("tensor", "zeros", "add", "float32", "no_grad", "Tensor", "manual_seed", "inf", "newaxis", "max"):
        assert name in helix.__all__ and hasattr(helix, name)
    assert callable(helix.tensor) and isinstance(helix.device, type) and helix.random.manual_seed is helix.manual_seed
    assert "io" in dir(helix) and helix.io.save_file


def test_add_all_names_are_real():
    for name in helix.__all__:
        assert getattr(helix, name, None) is not None or name == "newaxis"
