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
    path = ":".join(filter(None, [str(libraries.folder()), os.environ.get("LD_LIBRARY_PATH")]))
    sys.exit(subprocess.run(sys.argv[1:], env=os.environ | {"LD_LIBRARY_PATH": path}).returncode)
