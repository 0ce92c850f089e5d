"""What a streaming statistic is.

A statistic sees blocks of activations, keeps arrays whose size does not depend on the number of
rows, and can be merged with another one that saw other rows. Everything is accumulated in float64. The blocks
may be on any device, what is kept is in memory. Axes: B rows of a block, C concepts, N neurons.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from builders.gaussians.sorting import sort_rows


class Statistic(ABC):
    """A mergeable statistic of N neurons under C concepts.

    `ARRAYS` names the attributes that are the whole state, so that state() and load() need no code of
    their own in a subclass.
    """

    ARRAYS: ClassVar[tuple[str, ...]]

    def __init__(self, n_concepts: int, width: int) -> None:
        self.n_concepts, self.width = n_concepts, width

    @abstractmethod
    def add(self, concepts: slice, sorted_NCB: Tensor) -> None:
        """Add as many rows, at least one, to each of some neighbouring concepts.

        sorted_NCB: finite float64 activations, the rows of each neuron and concept ascending.
        """

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add what `other` (same concepts and width) has seen; the rows of the two must be disjoint."""

    @abstractmethod
    def pooled(self) -> Self:
        """A new statistic with one concept that has seen the rows of all concepts: the background."""

    @abstractmethod
    def result(self) -> dict[str, np.ndarray]:
        """The values by name, each [C, N]."""

    def state(self) -> dict[str, np.ndarray]:
        """A copy of everything accumulated so far, as plain arrays that np.savez can write."""
        return {name: getattr(self, name).copy() for name in self.ARRAYS}

    def load(self, state: dict[str, np.ndarray]) -> None:
        """Continue from a state(); ValueError if it comes from a statistic of another kind or shape."""
        if set(state) != set(self.ARRAYS):
            raise ValueError(f"state has the arrays {sorted(state)}, expected {sorted(self.ARRAYS)}")
        for name in self.ARRAYS:
            mine = getattr(self, name)
            if mine.shape != state[name].shape or mine.dtype != state[name].dtype:
                raise ValueError(f"state array {name!r} does not have the shape and type of this statistic")
        for name in self.ARRAYS:
            setattr(self, name, state[name].copy())

    def update(self, acts_BN: np.ndarray, labels_B: np.ndarray) -> None:
        """Add a block of finite activations; labels_B holds the concept index of each row.

        Raises ValueError for another width and for a concept that is not there.
        """
        if acts_BN.ndim != 2 or acts_BN.shape[1] != self.width or labels_B.shape != acts_BN.shape[:1]:
            raise ValueError(f"block of shape {acts_BN.shape}, labels {labels_B.shape}, width {self.width}")
        present = np.unique(labels_B)
        if present.size and not 0 <= present[0] <= present[-1] < self.n_concepts:
            raise ValueError(f"concept index outside 0..{self.n_concepts - 1}")
        for concept in present:
            own_NB = np.ascontiguousarray(acts_BN[labels_B == concept].T, dtype=np.float64)
            self.add(slice(concept, concept + 1), sort_rows(torch.from_numpy(own_NB))[:, None])

    def check_mergeable(self, other: Statistic) -> None:
        """ValueError unless `other` is of the same kind, concepts and width."""
        if type(other) is not type(self) or (other.n_concepts, other.width) != (self.n_concepts, self.width):
            raise ValueError("only statistics of the same kind, concepts and width can be merged")
