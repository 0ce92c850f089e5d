"""What a rule reaches on texts that it was not made from.

Axes: E examples, R resamples of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEVEL = 0.95
RESAMPLES = 1000


class Figures(NamedTuple):
    """`inside`, `others`: examples of the concept, and others, that the rule says have it. The rest are of [0, 1].

    auc: that an example of the concept scores higher than another one of the same fold, ties half; scores of different
    folds come from different rules. low and high: of 95 % intervals. NaN where there is no such pair.
    """

    inside: int
    others: int
    auc: float
    auc_low: float
    auc_high: float
    f1_low: float
    f1_high: float


def figures(
    score_E: np.ndarray, told_E: np.ndarray, label_E: np.ndarray, fold_E: np.ndarray, counts_RE: np.ndarray
) -> Figures:
    """`told_E`: whether the rule says that the example has the concept, `label_E`: whether it has it (bool).

    `counts_RE`: of `resampled`.
    """
    auc_R = _auc_within(score_E, label_E, fold_E, counts_RE)
    inside_R, others_R = counts_RE @ (told_E & label_E), counts_RE @ (told_E & ~label_E)
    f1_R = 2 * inside_R / (inside_R + others_R + label_E.sum())
    (auc_low, auc_high), (f1_low, f1_high) = _bounds(auc_R[1:]), _bounds(f1_R[1:])
    return Figures(int(inside_R[0]), int(others_R[0]), float(auc_R[0]), auc_low, auc_high, f1_low, f1_high)


def resampled(label_E: np.ndarray, seed: int) -> np.ndarray:
    """How often each example is drawn, int64 [1 + R, E]: once each, then with replacement within its class."""
    draw = np.random.default_rng(seed)
    counts_RE = np.ones((1 + RESAMPLES, len(label_E)), np.int64)
    for each in (label_E, ~label_E):
        n = int(each.sum())
        if n:
            counts_RE[1:, each] = draw.multinomial(n, np.full(n, 1 / n), RESAMPLES)
    return counts_RE


def _auc_within(score_E: np.ndarray, label_E: np.ndarray, fold_E: np.ndarray, counts_RE: np.ndarray) -> np.ndarray:
    wins_R, pairs_R = np.zeros((2, len(counts_RE)))
    for fold in np.unique(fold_E):
        part = np.flatnonzero(fold_E == fold)
        order = part[np.argsort(score_E[part], kind="stable")]
        _, first = np.unique(score_E[order], return_index=True)
        own_RV, rest_RV = (
            np.add.reduceat(counts_RE[:, order] * each[order], first, axis=1) for each in (label_E, ~label_E)
        )
        below_RV = np.cumsum(rest_RV, axis=1) - rest_RV
        wins_R += (own_RV * (below_RV + rest_RV / 2)).sum(axis=1)
        pairs_R += own_RV.sum(axis=1) * rest_RV.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return wins_R / pairs_R


def _bounds(values_R: np.ndarray) -> tuple[float, float]:
    known = values_R[~np.isnan(values_R)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
