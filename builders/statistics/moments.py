"""Count, mean, standard deviation, skewness, excess kurtosis and mean |activation|.

Central moment sums are kept instead of sums of powers, so a mean far from zero costs no digits. Two sets of
rows are combined by the pairwise formulas of Chan, Golub & LeVeque (1979) for the second moment and Pébay
(2008, SAND2008-6212) for the third and fourth.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from builders.statistics.base import Statistic


class CentralSums(NamedTuple):
    """n, the mean, and the sums of (x - mean)^p for p = 2, 3, 4. n is a number or broadcasts against mean."""

    n: float | np.ndarray
    mean: np.ndarray
    m2: np.ndarray
    m3: np.ndarray
    m4: np.ndarray

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> CentralSums:
        """The sums of no rows: the neutral element of combine()."""
        return cls(0, *(np.zeros(shape) for _ in range(4)))

    def std(self) -> np.ndarray:
        """Population standard deviation (divides by n); NaN where there are no rows."""
        with np.errstate(invalid="ignore"):
            return np.sqrt(self.m2 / self.n)


def central_sums(acts_NB: np.ndarray) -> CentralSums:
    """Two-pass sums over the last axis of contiguous float64 rows, at least one per neuron.

    Values are first shifted by the first row: differences of nearby numbers are exact, so a constant neuron
    gets a variance of exactly zero and an offset of any size leaves the higher moments alone.
    """
    first = acts_NB[:, :1]
    deviation = acts_NB - first
    offset = deviation.mean(axis=1, keepdims=True)
    deviation -= offset
    square = deviation * deviation
    m2 = square.sum(axis=1)
    m3 = (square * deviation).sum(axis=1)
    m4 = np.square(square, out=square).sum(axis=1)
    return CentralSums(acts_NB.shape[1], (first + offset)[:, 0], m2, m3, m4)


def combine(a: CentralSums, b: CentralSums) -> CentralSums:
    """The sums over the rows of both. Either may be empty (n = 0)."""
    total = np.asarray(a.n + b.n, dtype=np.float64)
    n = np.maximum(total, 1)
    # Shares rather than counts, so that no product of counts grows large.
    pa, pb = a.n / n, b.n / n
    delta = b.mean - a.mean
    pd2 = pa * pb * delta * delta
    return CentralSums(
        a.n + b.n,
        a.mean + delta * pb,
        a.m2 + b.m2 + n * pd2,
        a.m3 + b.m3 + n * pd2 * delta * (pa - pb) + 3 * delta * (pa * b.m2 - pb * a.m2),
        a.m4
        + b.m4
        + n * pd2 * delta * delta * (pa * pa - pa * pb + pb * pb)
        + 6 * delta * delta * (pa * pa * b.m2 + pb * pb * a.m2)
        + 4 * delta * (pa * b.m3 - pb * a.m3),
    )


class Moments(Statistic):
    """result(): n, mean, std (population), skewness, kurtosis (excess), mean_abs.

    Skewness g1 = m3/m2^1.5 and kurtosis g2 = m4/m2^2 - 3 are the biased (population) forms, NaN where the
    variance is zero. Everything but n is NaN for a concept without rows.
    """

    ARRAYS = ("n", "mean", "m2", "m3", "m4", "abs_sum")

    def __init__(self, n_concepts: int, width: int) -> None:
        super().__init__(n_concepts, width)
        self.n = np.zeros(n_concepts, dtype=np.int64)
        self.mean, self.m2, self.m3, self.m4 = CentralSums.nothing((n_concepts, width))[1:]
        self.abs_sum = np.zeros((n_concepts, width))

    def update(self, acts_BN: np.ndarray, labels_B: np.ndarray) -> None:
        """Add a block; two passes over it, then one combine() per concept."""
        for concept, acts_NB in self.by_concept(acts_BN, labels_B):
            self._put(concept, combine(self.part(concept), central_sums(acts_NB)))
            self.abs_sum[concept] += np.abs(acts_NB).sum(axis=1)

    def merge(self, other: Self) -> None:
        """Add what `other` has seen."""
        self.check_mergeable(other)
        for concept in range(self.n_concepts):
            self._put(concept, combine(self.part(concept), other.part(concept)))
        self.abs_sum += other.abs_sum

    def pooled(self) -> Moments:
        """The moments over the rows of all concepts, as a statistic with one concept."""
        everything = CentralSums.nothing((self.width,))
        for concept in range(self.n_concepts):
            everything = combine(everything, self.part(concept))
        pooled = Moments(1, self.width)
        pooled._put(0, everything)
        pooled.abs_sum[0] = self.abs_sum.sum(axis=0)
        return pooled

    def rest(self) -> list[CentralSums]:
        """For each concept the sums over the rows of all *other* concepts.

        Combined from the parts before and after it: subtracting a concept from the total would cancel.
        """
        after = [CentralSums.nothing((self.width,))]
        for concept in range(self.n_concepts - 1, 0, -1):
            after.append(combine(self.part(concept), after[-1]))
        before, rest = CentralSums.nothing((self.width,)), []
        for concept in range(self.n_concepts):
            rest.append(combine(before, after.pop()))
            before = combine(before, self.part(concept))
        return rest

    def result(self) -> dict[str, np.ndarray]:
        """The values named in the class docstring, [C, N] each."""
        n = np.broadcast_to(self.n[:, None], self.mean.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = self.m2 / n
            return {
                "n": n.copy(),
                "mean": np.where(n > 0, self.mean, np.nan),
                "std": np.sqrt(variance),
                "skewness": self.m3 / n / variance**1.5,
                "kurtosis": self.m4 / n / variance**2 - 3,
                "mean_abs": self.abs_sum / n,
            }

    def part(self, concept: int) -> CentralSums:
        """The sums of one concept, arrays [N]."""
        return CentralSums(
            int(self.n[concept]), self.mean[concept], self.m2[concept], self.m3[concept], self.m4[concept]
        )

    def _put(self, concept: int, sums: CentralSums) -> None:
        self.n[concept] = sums.n
        self.mean[concept], self.m2[concept], self.m3[concept], self.m4[concept] = sums[1:]
