"""Counts in equal bins between two bounds per neuron, for pictures."""

from __future__ import annotations

from typing import Self

import numpy as np

from builders.statistics.base import Statistic


class Histogram(Statistic):
    """result(): counts int64 [C, N, bins].

    Bin k of a neuron is [lower + (upper - lower)·k/bins, lower + (upper - lower)·(k+1)/bins), the last one
    closed, computed in float64: the edges that the view concept_histogram shows. A neuron whose bounds are
    equal has all its counts in bin 0. lower_N and upper_N must enclose everything that update() is given.
    """

    ARRAYS = ("lower", "upper", "counts")

    def __init__(self, n_concepts: int, width: int, lower_N: np.ndarray, upper_N: np.ndarray, bins: int) -> None:
        super().__init__(n_concepts, width)
        self.bins = bins
        self.lower, self.upper = (np.array(bound, dtype=np.float64) for bound in (lower_N, upper_N))
        if self.lower.shape != (width,) or self.upper.shape != (width,) or (self.lower > self.upper).any():
            raise ValueError("lower_N and upper_N must have one value per neuron, lower <= upper")
        self.counts = np.zeros((n_concepts, width, bins), dtype=np.int64)

    def update(self, acts_BN: np.ndarray, labels_B: np.ndarray) -> None:
        """Add a block; ValueError for an activation outside the bounds."""
        row_of_neuron = np.arange(self.width)[:, None] * self.bins
        for concept, acts_NB in self.by_concept(acts_BN, labels_B):
            slots = (row_of_neuron + self._bin_of(acts_NB)).ravel()
            counts = np.bincount(slots, minlength=self.width * self.bins)
            self.counts[concept] += counts.reshape(self.width, self.bins)

    def _bin_of(self, acts_NB: np.ndarray) -> np.ndarray:
        lower, upper = self.lower[:, None], self.upper[:, None]
        if ((acts_NB < lower) | (acts_NB > upper)).any():
            raise ValueError("an activation lies outside the bounds of the histogram")
        span = upper - lower
        with np.errstate(invalid="ignore"):
            # 0/0 of a constant neuron is the only NaN.
            guess = np.nan_to_num((acts_NB - lower) / span * self.bins).astype(np.int64)
        np.minimum(guess, self.bins - 1, out=guess)
        # The division may round across an edge; the comparison with the edge itself decides.
        guess -= acts_NB < lower + span * guess / self.bins
        guess += (acts_NB >= lower + span * (guess + 1) / self.bins) & (guess < self.bins - 1) & (span > 0)
        return guess

    def merge(self, other: Self) -> None:
        """Add what `other` has seen; ValueError if its bins differ."""
        self.check_mergeable(other)
        if not (np.array_equal(self.lower, other.lower) and np.array_equal(self.upper, other.upper)):
            raise ValueError("only histograms with the same bounds can be merged")
        self.counts += other.counts

    def pooled(self) -> Histogram:
        """The counts over all concepts, as a statistic with one concept."""
        pooled = Histogram(1, self.width, self.lower, self.upper, self.bins)
        pooled.counts[0] = self.counts.sum(axis=0)
        return pooled

    def result(self) -> dict[str, np.ndarray]:
        """counts, [C, N, bins]."""
        return {"counts": self.counts.copy()}
