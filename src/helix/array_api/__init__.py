"""helix.array_api: the Python array API standard, 2025.12, strictly. What `__array_namespace__` of a tensor returns.

    from helix import array_api as xp

    x = xp.linspace(0, 1, 5)
    xp.mean(xp.exp(x))

The functions take tensors and return arrays: tensors that follow the standard's promotion (`helix.array_api.Array`). They raise
where the standard leaves a combination of dtypes undefined; gradients flow through them as through the rest of helix.
"""

from __future__ import annotations

from helix.array_api import fft, linalg
from helix.array_api.array import Array
from helix.array_api.constants import *
from helix.array_api.creation import *
from helix.array_api.data_types import *
from helix.array_api.elementwise import *
from helix.array_api.indexing import *
from helix.array_api.inspection import *
from helix.array_api.linear_algebra import *
from helix.array_api.manipulation import *
from helix.array_api.searching import *
from helix.array_api.sets import *
from helix.array_api.sorting import *
from helix.array_api.statistical import *
from helix.array_api.utility import *

__array_api_version__ = "2025.12"
