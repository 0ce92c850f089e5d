"""Count, mean, standard deviation, skewness, excess kurtosis and mean |activation|.

Central moment sums are kept instead of sums of powers, so a mean far from zero costs no digits. Sets of rows are
combined by the formulas of Chan, Golub & LeVeque (1979) for the second moment and Pébay (2008, SAND2008-6212) for
the third and fourth.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from torch import Tensor

from builders.gaussians.statistics.base import Statistic


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


def central_sums(acts_NB: Tensor) -> CentralSums:
    """Two-pass sums over the last axis of float64 rows, at least one value each; numpy arrays [N].

    Any axes may come before the last. Values are first shifted by the first one: differences of nearby numbers
    are exact, so a constant neuron gets a variance of exactly zero and an offset of any size leaves the higher
    moments alone.
    """
    first = acts_NB[..., :1]
    deviation = acts_NB - first
    offset = deviation.mean(dim=-1, keepdim=True)
    deviation -= offset
    square = deviation * deviation
    m2 = square.sum(dim=-1)
    m3 = deviation.mul_(square).sum(dim=-1)
    m4 = square.square_().sum(dim=-1)
    mean = (first + offset)[..., 0]
    return CentralSums(acts_NB.shape[-1], *(each.cpu().numpy() for each in (mean, m2, m3, m4)))


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


def combine_all(parts: CentralSums) -> CentralSums:
    """The sums over the rows of all parts: n [parts], the others [parts, N]. Parts may be empty."""
    n = parts.n[:, None]
    # Relative to one of the means: the differences are small numbers, which the average of the means is not.
    middle = parts.mean[np.argmax(parts.n)]
    delta = parts.mean - middle
    offset = (n / max(n.sum(), 1) * delta).sum(axis=0)
    delta -= offset
    square = delta * delta
    return CentralSums(
        int(n.sum()),
        middle + offset,
        (parts.m2 + n * square).sum(axis=0),
        (parts.m3 + delta * (3 * parts.m2 + n * square)).sum(axis=0),
        (parts.m4 + 4 * delta * parts.m3 + square * (6 * parts.m2 + n * square)).sum(axis=0),
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

    def add(self, concepts: slice, sorted_NCB: Tensor) -> None:
        """Add rows of some concepts."""
        n, *sums_NC = central_sums(sorted_NCB)
        sums = CentralSums(n, *(each.T for each in sums_NC))
        before = self.parts(concepts)
        if before.n.any():
            sums = combine(before._replace(n=before.n[:, None]), sums)
        self._put(concepts, sums._replace(n=before.n + n))
        self.abs_sum[concepts] += sorted_NCB.abs().sum(dim=-1).T.cpu().numpy()

    def merge(self, other: Self) -> None:
        """Add what `other` has seen."""
        self.check_mergeable(other)
        mine, theirs = (each.parts(slice(None)) for each in (self, other))
        both = combine(mine._replace(n=mine.n[:, None]), theirs._replace(n=theirs.n[:, None]))
        self._put(slice(None), both._replace(n=mine.n + theirs.n))
        self.abs_sum += other.abs_sum

    def pooled(self) -> Moments:
        """The moments over the rows of all concepts, as a statistic with one concept."""
        pooled = Moments(1, self.width)
        pooled._put(slice(None), combine_all(self.parts(slice(None))))
        pooled.abs_sum[0] = self.abs_sum.sum(axis=0)
        return pooled

    def rest(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and std over the rows of all *other* concepts, [C, N] each; NaN where there are none.

        Combined from those before a concept and those after it: subtracting a concept from the total would cancel.
        """
        before, after = self._running(range(self.n_concepts)), self._running(range(self.n_concepts - 1, -1, -1))[::-1]
        parts = [CentralSums(*(np.stack(each) for each in zip(*side, strict=True))) for side in (before, after)]
        others = combine(*(each._replace(n=each.n[:, None]) for each in parts))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(others.n > 0, others.mean, np.nan), np.sqrt(others.m2 / others.n)

    def _running(self, concepts: range) -> list[CentralSums]:
        """The sums over all that come before each of them."""
        parts, sums, found = self.parts(slice(None)), CentralSums.nothing((self.width,)), []
        for concept in concepts:
            found.append(sums)
            sums = combine(sums, CentralSums(*(each[concept] for each in parts)))
        return found

    def result(self) -> dict[str, np.ndarray]:
        """The values named in the class docstring, [C, N] each."""
        n = np.broadcast_to(self.n[:, None], self.mean.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = self.m2 / n
            std = np.sqrt(variance)
            return {
                "n": n.copy(),
                "mean": np.where(n > 0, self.mean, np.nan),
                "std": std,
                "skewness": self.m3 / n / (variance * std),
                "kurtosis": self.m4 / n / variance**2 - 3,
                "mean_abs": self.abs_sum / n,
            }

    def parts(self, concepts: slice | np.ndarray) -> CentralSums:
        """The sums of several concepts, n [C], the others [C, N]."""
        return CentralSums(*(each[concepts] for each in (self.n, self.mean, self.m2, self.m3, self.m4)))

    def _put(self, concepts: slice, sums: CentralSums) -> None:
        self.n[concepts] = sums.n
        self.mean[concepts], self.m2[concepts], self.m3[concepts], self.m4[concepts] = sums[1:]
