"""Zachary's karate club: who met whom outside of the club, and whom they followed when it split."""

from __future__ import annotations

from typing import NamedTuple

from .. import eye, tensor
from ..tensor import Tensor

# For each member, in the numbers of the paper, the members of smaller number that they met.
MET = {
    2: [1], 3: [1, 2], 4: [1, 2, 3], 5: [1], 6: [1], 7: [1, 5, 6], 8: [1, 2, 3, 4], 9: [1, 3], 10: [3], 11: [1, 5, 6],
    12: [1], 13: [1, 4], 14: [1, 2, 3, 4], 17: [6, 7], 18: [1, 2], 20: [1, 2], 22: [1, 2], 26: [24, 25], 28: [3, 24, 25],
    29: [3], 30: [24, 27], 31: [2, 9], 32: [1, 25, 26, 29], 33: [3, 9, 15, 16, 19, 21, 23, 24, 30, 31, 32],
    34: [9, 10, 14, 15, 16, 19, 20, 21, 23, 24, 27, 28, 29, 30, 31, 32, 33],
}  # fmt: skip
INSTRUCTORS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 17, 18, 20, 22})
MEMBERS = 34


class Graph(NamedTuple):
    """Nodes' features (nodes, features), edges (2, edges) in both directions, and a class for each node."""

    x: Tensor
    edge_index: Tensor
    y: Tensor


def karate_club() -> Graph:
    """34 members, 78 pairs who met outside of the club, and two classes: 0 followed the instructor (member 0), 1 the
    administrator (member 33). Features are one-hot numbers. Zachary, "An information flow model for conflict and fission in
    small groups", Journal of Anthropological Research 33, 1977.

    Example:
        >>> x, edges, y = helix.data.karate_club()
        >>> x.shape, edges.shape, int(y.sum())
        ((34, 34), (2, 156), 17)
    """
    pairs = [(one - 1, other - 1) for one, others in MET.items() for other in others]
    pairs += [(other, one) for one, other in pairs]
    followed = [0 if member in INSTRUCTORS else 1 for member in range(1, MEMBERS + 1)]
    return Graph(eye(MEMBERS), tensor(pairs).t().contiguous(), tensor(followed))
