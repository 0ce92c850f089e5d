"""How well one neuron finds a concept by a threshold, and how likely chance does as well.

Axes: C concepts, N neurons, E values of a neuron, M values of the concept, S strata.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from builders.gaussians.separation import twice_u_of_sorted
from builders.gaussians.sorting import Labelled, places_by
from builders.intervals.ordered import Ordered


class Thresholds(NamedTuple):
    """Over all thresholds at values of the concept; [N] each, float64."""

    ap: Tensor
    """Average precision where larger values speak for the concept."""
    ap_low: Tensor
    """The same where smaller values do."""
    best_f1: Tensor
    """The largest F1 of a threshold, whichever side speaks for the concept."""


def thresholds(row: Ordered, place_NM: Tensor) -> Thresholds:
    """From where the concept's values stand in the sorted rows, ascending.

    Average precision is the sum over thresholds of the rise in recall times precision (as in scikit-learn), so equal
    values are taken together. F1 = 2·found / (values of the concept + values taken).
    """
    n_all, n = row.values_NE.shape[1], place_NM.shape[1]
    if row.tied:
        first, last = row.first_NE.gather(1, place_NM), row.last_NE.gather(1, place_NM)
        # All of the concept's values that are equal are found at once.
        low = torch.searchsorted(last, last, right=True)
        high = n - torch.searchsorted(first, first)
        taken_low, taken_high = last.double(), (n_all - first).double()
    else:
        low = torch.arange(1, n + 1, device=place_NM.device)
        high = low.flip(0)
        taken_low = place_NM.double().add_(1)
        taken_high = taken_low.neg().add_(n_all + 1)
    f1 = torch.maximum((low / (taken_low + n)).amax(1), (high / (taken_high + n)).amax(1)) * 2
    return Thresholds((high / taken_high).mean(1), (low / taken_low).mean(1), f1)


def p_values(twice_u_CN: np.ndarray, counts_C: np.ndarray, tie_term_N: np.ndarray) -> np.ndarray:
    """Two-sided p of the Mann-Whitney U, [C, N]: normal approximation, corrected for ties and for continuity.

    As scipy.stats.mannwhitneyu(method="asymptotic") (Hollander & Wolfe 1973, section 4.1). NaN where all values are
    equal or the concept is the only one.
    """
    n = counts_C[:, None].astype(np.float64)
    n_all = counts_C.sum()
    pairs = n * (n_all - n)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = pairs / 12 * (n_all + 1 - tie_term_N / (n_all * (n_all - 1)))
        z = (np.abs(twice_u_CN - pairs) / 2 - 0.5) / np.sqrt(variance)
    return np.where(variance > 0, np.minimum(1, 2 * ndtr(-z)), np.nan)


def point_biserial(values_NE: Tensor, labels_NE: Tensor, counts_C: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the value with being of the concept (0 or 1), [C, N]; NaN where one is constant.

    (mean of the concept - mean of all) / std of all · sqrt(n / n_rest).
    """
    values = values_NE.double()
    values -= values.mean(dim=1, keepdim=True)
    sums_NC = values.new_zeros((len(values), counts_C.size)).scatter_add_(1, labels_NE, values)
    spread_N = values.square().mean(dim=1).sqrt().cpu().numpy()
    n_C = counts_C.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio_C = 1 / np.sqrt(n_C * (n_C.sum() - n_C))
        found = sums_NC.cpu().numpy().T / spread_N * ratio_C[:, None]
    return np.where(np.isfinite(found), found, np.nan)


def stratified_auc(row: Ordered, labels_NE: Tensor, strata_NE: Tensor, n_concepts: int) -> np.ndarray:
    """AUC of each concept among pairs of the same stratum, [C, N]; NaN where no stratum has such a pair.

    Sum over strata of U, over the sum of pairs: the Mann-Whitney form of van Elteren's (1960) test without weights.
    """
    twice_u = np.zeros((n_concepts, len(row.values_NE)))
    pairs_C = np.zeros(n_concepts)
    for _, place_NM in places_by(strata_NE):
        part = Labelled(row.values_NE.gather(1, place_NM), labels_NE.gather(1, place_NM))
        counts_C = torch.bincount(part.concepts_NE[0], minlength=n_concepts).cpu().numpy()
        twice_u += twice_u_of_sorted(part, counts_C)
        pairs_C += counts_C * (counts_C.sum() - counts_C)
    with np.errstate(invalid="ignore"):
        return twice_u / (2 * pairs_C[:, None])


def rank_correlation(twice_ranks_NE: Tensor, other_E: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each neuron with another number of the examples, [N]; NaN if one is constant."""
    from scipy.stats import rankdata

    other = torch.from_numpy(rankdata(other_E)).to(twice_ranks_NE.device)
    mine = twice_ranks_NE - twice_ranks_NE.mean(dim=1, keepdim=True)
    other -= other.mean()
    length = mine.square().sum(dim=1).sqrt() * other.square().sum().sqrt()
    return (mine @ other / length).cpu().numpy()
