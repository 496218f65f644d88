"""Every sample, one file a family, named as the family's file in src/helix/_core/ops."""

import importlib
import pkgutil

from ..sample import Sample

SAMPLES: list[Sample] = []
for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    SAMPLES += importlib.import_module(f"{__name__}.{_module}").SAMPLES
