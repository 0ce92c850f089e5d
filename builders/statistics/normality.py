"""How far a sample is from the normal distribution fitted to it.

The Kolmogorov-Smirnov distance D = sup |F_n(x) - Phi((x - mean)/std)|, with mean and std (population, ddof 0)
taken from the same sample. It is a description, not a test: because the normal was fitted to the sample, the
usual Kolmogorov-Smirnov p-values are far too large. The right reference is Lilliefors' (1967), whose critical
values `lilliefors_reference` simulates. It needs the sorted sample, so unlike the other statistics it cannot
be accumulated over blocks.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from builders.statistics.moments import central_sums


def ks_distance(acts_EN: np.ndarray) -> np.ndarray:
    """D of each column (float64 [N], in [0, 1]); NaN where the std is 0 or there are fewer than 2 rows."""
    return ks_of_sorted(np.sort(acts_EN.T, axis=1))


def ks_of_sorted(sorted_NE: np.ndarray) -> np.ndarray:
    """The same for rows that are sorted already.

    The supremum is attained just before or at a step of F_n; with ties the outermost members of the tie
    give the two sides of the step, so the maximum over all positions is exact.
    """
    width, n = sorted_NE.shape
    if n < 2:
        return np.full(width, np.nan)
    acts_NE = np.ascontiguousarray(sorted_NE, dtype=np.float64)
    sums = central_sums(acts_NE)
    with np.errstate(divide="ignore", invalid="ignore"):
        cdf = ndtr((acts_NE - sums.mean[:, None]) / sums.std()[:, None])
    steps = np.arange(n + 1) / n
    distance = np.maximum((steps[1:] - cdf).max(axis=1), (cdf - steps[:-1]).max(axis=1))
    return np.where(sums.m2 > 0, distance, np.nan)


def lilliefors_reference(n: int, level: float = 0.95, draws: int = 20_000, seed: int = 0) -> float:
    """The `level` quantile of D over `draws` simulated normal samples of size n.

    A sample whose D is larger is not normal at significance 1 - level. (The simulation uses the same ddof-0
    std as ks_distance; Lilliefors' own table uses ddof 1, which differs visibly only for small n.)
    """
    samples_EN = np.random.default_rng(seed).standard_normal((n, draws))
    return float(np.quantile(ks_distance(samples_EN), level))
