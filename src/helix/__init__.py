"""helix: one deep-learning framework for any architecture, any data and any hardware."""

from helix import _core

globals().update(_core.functions())

from math import e, inf, nan, pi  # noqa: E402

from helix import autograd, device, dtypes, errors, layouts, random, tensor  # noqa: E402  (rebound below)
from helix import (  # noqa: E402
    composites,
    creation,
    low_rank,
    matrix_ops,
    ops,
    order_statistics,
    predicates,
    product_ops,
    randomness,
    shape_ops,
    spectrograms,
    statistics,
    tensor_memory,
    threading_knobs,
)

globals().update(dtypes.TYPES)
globals().update({alias: dtypes.TYPES[name] for alias, name in dtypes.ALIASES.items()})
globals().update(layouts.NAMES)
for _module in (
    ops,
    product_ops,
    matrix_ops,
    shape_ops,
    predicates,
    order_statistics,
    statistics,
    composites,
    creation,
    low_rank,
    spectrograms,
    tensor_memory,
    threading_knobs,
):
    globals().update(_module.FUNCTIONS)

from helix._core import (  # noqa: E402
    Event,
    Generator,
    Stream,
    Tensor,
    as_tensor,
    asarray,
    can_cast,
    current_stream,
    default_generator,
    device,
    device_memory_stats,
    devices,
    dtype,
    empty_cache,
    from_dlpack,
    from_numpy,
    frombuffer,
    get_default_device,
    get_default_dtype,
    get_fallback,
    get_num_threads,
    is_grad_enabled,
    is_inference_mode_enabled,
    memory_stats,
    promote_types,
    reset_peak_memory,
    result_type,
    set_default_device,
    set_default_dtype,
    set_fallback,
    set_memory_limit,
    set_num_threads,
    synchronize,
    tensor,
)
from helix.autograd import enable_grad, inference_mode, no_grad, set_grad_enabled  # noqa: E402
from helix.checkpointing import checkpoint, checkpoint_sequential  # noqa: E402
from helix.determinism import (  # noqa: E402
    are_deterministic_algorithms_enabled,
    is_batch_invariant,
    is_deterministic,
    is_deterministic_algorithms_warn_only_enabled,
    use_batch_invariant,
    use_deterministic,
    use_deterministic_algorithms,
)
from helix.dtypes import finfo, iinfo  # noqa: E402
from helix.headers import get_cython_path, get_include, get_pkgconfig_dir  # noqa: E402
from helix.precision import autocast, get_autocast_dtype, is_autocast_enabled  # noqa: E402
from helix.printing import get_printoptions, set_printoptions  # noqa: E402
from helix.random import fork_rng, get_rng_state, initial_seed, manual_seed, seed, set_rng_state  # noqa: E402

__version__ = "0.1.0"
newaxis = None

# Imported at their first use.
_LAZY = (
    "amp",
    "array_api",
    "backends",
    "cli",
    "config",
    "data",
    "einops",
    "energy",
    "fft",
    "func",
    "graph",
    "io",
    "linalg",
    "kernel",
    "metrics",
    "models",
    "nn",
    "onnx",
    "optim",
    "profiler",
    "signal",
    "special",
    "testing",
    "train",
)


# Names of lazy modules that stand at the top as well.
_LAZY_NAMES = {
    "Model": "train",
    "Trainer": "train",
    "compile": "graph",
    "cond": "graph",
    "estimate": "graph",
    "scan": "graph",
    "while_loop": "graph",
}


def __getattr__(name):
    if name in _LAZY_NAMES:
        from importlib import import_module

        return getattr(import_module("helix." + _LAZY_NAMES[name]), name)
    if name in _LAZY:
        from importlib import import_module

        try:
            return import_module("helix." + name)
        except ModuleNotFoundError as error:
            if error.name != "helix." + name:
                raise
    raise AttributeError(f"module 'helix' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_LAZY, *_LAZY_NAMES})


__all__ = [name for name in dir() if not name.startswith("_")]
