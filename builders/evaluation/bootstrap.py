"""Bootstrap confidence intervals: percentile intervals over resampled examples, paired for differences.

Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 (paired data) and 13 (percentile
interval). Drawing n examples with replacement gives each example a multinomial count; these counts are drawn
once per group of examples and used for every arm and metric, so that differences are paired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
_CELLS = 1 << 22
"""Counts held at once: 32 MB."""


@dataclass(frozen=True)
class Interval:
    """A value with the bounds of its 95 % interval; None where fewer than 2 examples allow none."""

    value: float
    low: float | None
    high: float | None


def resampled_sums(columns_EK: np.ndarray, count: int, seed: int) -> np.ndarray:
    """[1 + count, K]: the column sums, then those of `count` resamples of the E rows (none where E < 2).

    The resamples depend on E, `count` and `seed` alone.
    """
    n = len(columns_EK)
    sums = [columns_EK.sum(axis=0, keepdims=True)]
    draw = np.random.default_rng(seed)
    rows = max(1, _CELLS // max(n, 1))
    for start in range(0, count if n > 1 else 0, rows):
        counts_RE = draw.multinomial(n, np.full(n, 1 / n), min(rows, count - start))
        sums.append(counts_RE @ columns_EK)
    return np.concatenate(sums)


def interval(values: np.ndarray) -> Interval:
    """The first value with the percentile interval of the others, if any."""
    if len(values) < 2:
        return Interval(float(values[0]), None, None)
    low, high = np.quantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(values[0]), float(low), float(high))
