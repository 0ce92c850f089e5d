"""How well one neuron finds a concept by a threshold, and how likely chance does as well.

Axes: C concepts, N neurons, E values of a neuron, M values of the concept, S strata.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from builders.gaussians.sorting import add_up, keep_largest
from builders.intervals.ordered import Ordered
from builders.intervals.packed import Fields


class Thresholds(NamedTuple):
    """Over all thresholds at values of the concept; [N] each, float64."""

    ap: Tensor
    """Average precision where larger values speak for the concept."""
    ap_low: Tensor
    """The same where smaller values do."""
    best_f1: Tensor
    """The largest F1 of a threshold, whichever side speaks for the concept."""


def thresholds(smaller_MN: Tensor, not_larger_MN: Tensor, n_all: int) -> Thresholds:
    """From how many of all values are smaller than the concept's, and how many are not larger, ascending.

    Average precision is the sum over thresholds of the rise in recall times precision (as in scikit-learn), so equal
    values are taken together. F1 = 2·found / (values of the concept + values taken).
    """
    n = len(smaller_MN)
    count_M1 = torch.arange(n, device=smaller_MN.device, dtype=torch.int32)[:, None]
    low, high = count_M1 + 1, n - count_M1
    differs = torch.ones_like(smaller_MN)
    torch.ne(not_larger_MN[1:], not_larger_MN[:-1], out=differs[1:])
    if not differs.all():
        # All of the concept's values that are equal are found at once.
        high = differs * count_M1
        keep_largest(high)
        low = differs.roll(-1, 0).flip(0).mul_(count_M1)
        keep_largest(low)
        low, high = n - low.flip(0), n - high
    ap_low, f1_low = _threshold(low.double(), not_larger_MN.double())
    ap, f1 = _threshold(high.double(), smaller_MN.double().neg_().add_(n_all))
    return Thresholds(ap, ap_low, torch.maximum(f1, f1_low))


def _threshold(found_MN: Tensor, taken_MN: Tensor) -> tuple[Tensor, Tensor]:
    """Average precision and the largest F1, from how many values are found and taken by each threshold."""
    n = len(taken_MN)
    precision = found_MN / taken_MN
    add_up(precision)  # in the same order for any number of neurons
    f1 = torch.div(found_MN, taken_MN.add_(n), out=taken_MN).amax(dim=0).mul_(2)
    return precision[-1] / n, f1


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


def point_biserial(acts_NE: Tensor, labels_E: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the value with being of the concept (0 or 1), [C, N]; NaN where one is constant.

    (mean of the concept - mean of all) / std of all · sqrt(n / n_rest).
    """
    values = acts_NE.double()
    values -= values.mean(dim=1, keepdim=True)
    spread_N = values.square().mean(dim=1).sqrt().cpu().numpy()
    counts_C = np.bincount(labels_E)
    n_C = counts_C.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio_C = 1 / np.sqrt(n_C * (n_C.sum() - n_C))
        found = sums_of_concepts(values, labels_E) / spread_N * ratio_C[:, None]
    return np.where(np.isfinite(found), found, np.nan)


def stratified_auc(row: Ordered, labels_E: np.ndarray, strata_E: np.ndarray) -> np.ndarray:
    """AUC of each concept among pairs of the same stratum, [C, N]; NaN where no stratum has such a pair.

    Sum over strata of U, over the sum of pairs: the Mann-Whitney form of van Elteren's (1960) test without weights.
    """
    own_SC = np.zeros((strata_E.max() + 1, labels_E.max() + 1), np.int64)
    np.add.at(own_SC, (strata_E, labels_E), 1)
    # Twice the pairs of a value and a smaller one of its stratum, equal ones once; two of the concept are no pair.
    twice_NE = torch.zeros_like(row.examples_NE)
    fields = Fields(len(own_SC), 2 * len(strata_E), torch.int64)
    device, word_E = twice_NE.device, strata_E // fields.per_word
    shifts_NE = row.each(torch.from_numpy(strata_E % fields.per_word * fields.bits).to(device))
    ones_WE = fields.ones(torch.from_numpy(strata_E == np.arange(len(own_SC))[:, None]).to(device))
    for word, ones_E in enumerate(ones_WE):
        smaller_NE, not_larger_NE = row.running(row.each(ones_E))
        counts_NE = smaller_NE.add_(not_larger_NE).bitwise_right_shift_(shifts_NE).bitwise_and_(fields.mask)
        if len(ones_WE) > 1:
            counts_NE *= row.each(torch.from_numpy(word_E == word).to(device))
        twice_NE += counts_NE
    twice_u_CN = sums_of_concepts(row.by_example(twice_NE), labels_E) - np.square(own_SC).sum(axis=0)[:, None]
    pairs_C = (own_SC * (own_SC.sum(axis=1, keepdims=True) - own_SC)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return twice_u_CN / (2 * pairs_C[:, None])


def sums_of_concepts(numbers_NE: Tensor, labels_E: np.ndarray) -> np.ndarray:
    """The sum of each neuron's numbers over the columns of each concept, float64 [C, N]."""
    labels_NE = torch.from_numpy(labels_E).to(numbers_NE.device).expand(numbers_NE.shape)
    sums_NC = numbers_NE.new_zeros((len(numbers_NE), int(labels_E.max()) + 1), dtype=torch.float64)
    return sums_NC.scatter_add_(1, labels_NE, numbers_NE.double()).cpu().numpy().T


def rank_correlation(twice_ranks_NE: Tensor, other_E: np.ndarray, tie_term_N: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each neuron with another number of the examples, [N]; NaN if one is constant."""
    from scipy.stats import rankdata

    n = len(other_E)
    other = torch.from_numpy(rankdata(other_E) - (n + 1) / 2).to(twice_ranks_NE.device)
    covariance_N = (twice_ranks_NE - (n + 1)) @ other
    # The squares of ranks from their mean sum to (n³ - n - ties) / 12.
    squares_N = (n**3 - n - tie_term_N) / 3 * float(other.square().sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        return covariance_N.cpu().numpy() / np.sqrt(squares_N)
