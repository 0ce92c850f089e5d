"""Connected components of neurons, whose edges come a few at a time.

Axes: A neurons of all layers, P pairs, M neurons that are in a group.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


class Components:
    """`n` neurons, each alone at first. The root of a component is its first neuron."""

    def __init__(self, n: int) -> None:
        self._root_A = np.arange(n)

    def connect(self, a_P: np.ndarray, b_P: np.ndarray) -> None:
        """Each neuron of a_P with that of b_P, int64."""
        if not len(a_P):
            return
        roots, end_X = np.unique(self._roots(np.concatenate([a_P, b_P])), return_inverse=True)
        graph = coo_array((np.ones(len(a_P), np.int8), np.split(end_X, 2)), shape=(len(roots), len(roots)))
        _, component_R = connected_components(graph, directed=False)
        first = np.full(component_R.max() + 1, len(self._root_A))
        np.minimum.at(first, component_R, roots)
        self._root_A[roots] = first[component_R]

    def members(self) -> tuple[np.ndarray, np.ndarray]:
        """(neurons that are not alone, ascending [M]; the number of their component [M], in order of first members)."""
        root_A = self._roots(np.arange(len(self._root_A)))
        count_A = np.bincount(root_A, minlength=len(root_A))
        place_M = np.flatnonzero(count_A[root_A] > 1)
        return place_M, np.unique(root_A[place_M], return_inverse=True)[1]

    def _roots(self, place_X: np.ndarray) -> np.ndarray:
        root_X = self._root_A[place_X]
        while not np.array_equal(root_X, higher_X := self._root_A[root_X]):
            root_X = higher_X
        self._root_A[place_X] = root_X  # shorter next time
        return root_X
