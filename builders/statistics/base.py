"""What a streaming statistic is.

A statistic sees blocks of activations (axis 0 rows, axis 1 neurons) with the concept of each row, keeps
arrays whose size does not depend on the number of rows, and can be merged with another one that saw other
rows. Everything is accumulated in float64, whatever the blocks hold. Axes: B rows of a block, C concepts,
N neurons.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Self

import numpy as np


class Statistic(ABC):
    """A mergeable statistic of N neurons under C concepts.

    `ARRAYS` names the attributes that are the whole state, so that state() and load() need no code of
    their own in a subclass.
    """

    ARRAYS: ClassVar[tuple[str, ...]]

    def __init__(self, n_concepts: int, width: int) -> None:
        self.n_concepts, self.width = n_concepts, width

    @abstractmethod
    def update(self, acts_BN: np.ndarray, labels_B: np.ndarray) -> None:
        """Add a block of finite activations; labels_B holds the concept index of each row."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Add what `other` (same concepts and width) has seen; the rows of the two must be disjoint."""

    @abstractmethod
    def pooled(self) -> Self:
        """A new statistic with one concept that has seen the rows of all concepts: the background."""

    @abstractmethod
    def result(self) -> dict[str, np.ndarray]:
        """The values by name, each [C, N] (a histogram: [C, N, bins])."""

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

    def by_concept(self, acts_BN: np.ndarray, labels_B: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """(concept index, its rows as contiguous float64 [N, rows]) for each concept present in the block.

        Neurons go first so that numpy sums each neuron's rows pairwise: more accurate than adding row to
        row, and the same bits however the neurons were split into chunks.
        """
        if acts_BN.ndim != 2 or acts_BN.shape[1] != self.width or labels_B.shape != acts_BN.shape[:1]:
            raise ValueError(f"block of shape {acts_BN.shape}, labels {labels_B.shape}, width {self.width}")
        present = np.unique(labels_B)
        if present.size and not 0 <= present[0] <= present[-1] < self.n_concepts:
            raise ValueError(f"concept index outside 0..{self.n_concepts - 1}")
        for concept in present:
            yield int(concept), np.ascontiguousarray(acts_BN[labels_B == concept].T, dtype=np.float64)

    def check_mergeable(self, other: Statistic) -> None:
        """ValueError unless `other` is of the same kind, concepts and width."""
        if type(other) is not type(self) or (other.n_concepts, other.width) != (self.n_concepts, self.width):
            raise ValueError("only statistics of the same kind, concepts and width can be merged")
