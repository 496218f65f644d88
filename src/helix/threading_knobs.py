"""torch's further knobs of threads and of the processor, as far as they mean something here."""

from __future__ import annotations

from helix.errors import ParameterError


def get_num_interop_threads() -> int:
    """How many ops of one program run beside each other: one; each op shares its work over `get_num_threads`.

    Example:
        >>> helix.get_num_interop_threads()
        1
    """
    return 1


def set_num_interop_threads(n: int) -> None:
    """Takes 1, which is what there is; raises ParameterError (HX1403) for other numbers.

    Example:
        >>> helix.set_num_interop_threads(1)
    """
    if n != 1:
        raise ParameterError(
            f"HX1403 set_num_interop_threads: ops of one program run one after another, got {n}. Use set_num_threads.",
            op="set_num_interop_threads",
            code="HX1403",
        )


def set_flush_denormal(mode: bool) -> bool:
    """Whether the processor was told to take numbers below the normal ones for 0: never, so False.

    Example:
        >>> helix.set_flush_denormal(False)
        False
    """
    return False


FUNCTIONS = {f.__name__: f for f in (get_num_interop_threads, set_num_interop_threads, set_flush_denormal)}
