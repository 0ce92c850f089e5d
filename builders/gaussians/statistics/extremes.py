"""Smallest and largest activation."""

from __future__ import annotations

from typing import Self

import numpy as np
from torch import Tensor

from builders.gaussians.statistics.base import Statistic


class Extremes(Statistic):
    """result(): min, max. A concept without rows has min = +inf and max = -inf."""

    ARRAYS = ("min", "max")

    def __init__(self, n_concepts: int, width: int) -> None:
        super().__init__(n_concepts, width)
        self.min = np.full((n_concepts, width), np.inf)
        self.max = np.full((n_concepts, width), -np.inf)

    def add(self, concepts: slice, sorted_NCB: Tensor) -> None:
        """Add rows of some concepts."""
        smallest, largest = (sorted_NCB[..., end].T.cpu().numpy() for end in (0, -1))
        np.minimum(self.min[concepts], smallest, out=self.min[concepts])
        np.maximum(self.max[concepts], largest, out=self.max[concepts])

    def merge(self, other: Self) -> None:
        """Add what `other` has seen."""
        self.check_mergeable(other)
        np.minimum(self.min, other.min, out=self.min)
        np.maximum(self.max, other.max, out=self.max)

    def pooled(self) -> Extremes:
        """The extremes over all concepts, as a statistic with one concept."""
        pooled = Extremes(1, self.width)
        pooled.min[0], pooled.max[0] = self.min.min(axis=0), self.max.max(axis=0)
        return pooled

    def result(self) -> dict[str, np.ndarray]:
        """min and max, [C, N] each."""
        return {"min": self.min.copy(), "max": self.max.copy()}
