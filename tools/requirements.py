"""Prints what to install before helix itself: build requirements, run-time needs and the extras named as `a,b`."""

import sys
import tomllib
from pathlib import Path

described = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
project = described["project"]
wanted = described["build-system"]["requires"] + project["dependencies"]
for extra in sys.argv[1].split(","):
    wanted += project["optional-dependencies"][extra]
print(*sorted(wanted))
