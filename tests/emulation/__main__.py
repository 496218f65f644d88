"""Runs a command for which libcuda, libnvrtc and libcublas are the emulated ones:

python -m tests.emulation helix devices
"""

import os
import subprocess
import sys

from . import libraries

if __name__ == "__main__":
    if len(sys.argv) < 2 or not libraries.available():
        sys.exit(__doc__ if libraries.available() else "the emulation needs gcc and g++")
    folder = str(libraries.folder())
    path = ":".join(filter(None, [folder, os.environ.get("LD_LIBRARY_PATH")]))
    settings = {"HELIX_CACHE_DIR": folder, **os.environ, "LD_LIBRARY_PATH": path}
    sys.exit(subprocess.run(sys.argv[1:], env=settings).returncode)
