"""HiPPO matrices and what state space layers start from.

Sources: Gu et al., "HiPPO: recurrent memory with optimal polynomial projections" (2020); Gu et al., "Efficiently modeling
long sequences with structured state spaces" (2022), appendix C; Gu et al., "On the parameterization and initialization of
diagonal state space models" (2022).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIAGONAL = ("lin", "legs", "inv")


def legs(states: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """A (states, states) and B (states,) of scaled Legendre polynomials: x' = A x + B u."""
    import numpy as np

    n = np.arange(states)
    root = np.sqrt(2.0 * n + 1)
    return -np.tril(np.outer(root, root), -1) - np.diag(n + 1.0), root


class LowRankForm(NamedTuple):
    """V^H A V = diag(eigenvalues) - P P^H with B = V^H B0; half of the conjugate pairs, all of complex128."""

    eigenvalues: NDArray[Any]
    P: NDArray[Any]
    B: NDArray[Any]
    V: NDArray[Any]


def diagonal_plus_low_rank(states: int) -> LowRankForm:
    """HiPPO-LegS as a normal matrix minus a product of rank one; eigenvalues of positive imaginary part, rising."""
    import numpy as np

    if states < 2 or states % 2:
        raise ValueError(f"hippo: the number of states must be even and at least 2, got {states}")
    A, B = legs(states)
    P = np.sqrt(np.arange(states) + 0.5)
    normal = A + np.outer(P, P)
    imaginary, V = np.linalg.eigh(normal * -1j)  # its real part is -1/2 times the identity
    half = slice(states // 2, None)
    V = V[:, half]
    return LowRankForm(-0.5 + 1j * imaginary[half], V.conj().T @ P, V.conj().T @ B, V)


def diagonal_eigenvalues(kind: str, states: int) -> NDArray[Any]:
    """(states // 2,) eigenvalues for a diagonal layer: "lin" and "inv" of S4D, or those of LegS' normal part."""
    import numpy as np

    if kind not in DIAGONAL:
        raise ValueError(f"hippo: init must be one of {', '.join(DIAGONAL)}; got {kind!r}")
    if states < 2 or states % 2:
        raise ValueError(f"hippo: the number of states must be even and at least 2, got {states}")
    n = np.arange(states // 2)
    if kind == "lin":
        return -0.5 + 1j * np.pi * n
    if kind == "inv":
        return -0.5 + 1j * states / np.pi * (states / (2 * n + 1) - 1)
    return diagonal_plus_low_rank(states).eigenvalues
