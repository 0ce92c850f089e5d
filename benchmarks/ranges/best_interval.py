"""The interval of a neuron's activation that tells a concept best, plainly: a reference for the product.

Of all closed intervals the one with the largest coverage - leakage: the share of the concept's texts inside minus the
share of all other texts inside. On a sorted row that is a maximum subarray, every own text weighing 1/n and every
other -1/n_rest (here times n * n_rest: whole numbers, so that nothing is rounded). Equal values are never parted. A
bound is a value that was seen; where the interval reaches the end of what was seen it is open, to infinity. Of equally
good intervals the one that ends first is taken, and of those the shortest.

Axes: E texts, N neurons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

FOLDS = 5
_FAR = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Sorted:
    """Activations of some texts, each neuron's ascending; `text_NE` says whose they are."""

    values_NE: np.ndarray
    text_NE: np.ndarray

    def only(self, kept_E: np.ndarray) -> Sorted:
        """Those of the texts where `kept_E` (bool) holds; the numbers of the texts stay."""
        stays_NE = kept_E[self.text_NE]
        shape = len(self.text_NE), int(kept_E.sum())
        return Sorted(self.values_NE[stays_NE].reshape(shape), self.text_NE[stays_NE].reshape(shape))


def by_value(acts_EN: np.ndarray) -> Sorted:
    acts_NE = np.ascontiguousarray(acts_EN.T)
    text_NE = np.argsort(acts_NE, axis=1, kind="stable")
    return Sorted(np.take_along_axis(acts_NE, text_NE, axis=1), text_NE)


def interval_of(acts: Sorted | np.ndarray, own_E: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(lower_N, upper_N): the best interval of every neuron for the texts where `own_E` (bool) holds.

    `acts`: acts_EN, or the same sorted, of some or all of the texts that `own_E` is about. Where no interval is
    better than none, as for a neuron that is the same everywhere, it is the whole line.
    """
    given = acts if isinstance(acts, Sorted) else by_value(acts)
    values_NE = given.values_NE
    n_neurons, n = values_NE.shape
    sums, lowest, cut = _running(given, own_E)
    end_N = np.where(cut, sums - lowest, -1).argmax(axis=1)
    rows = np.arange(n_neurons)
    places = np.arange(n + 1)
    starts = cut & (sums == lowest[rows, end_N][:, None]) & (places < end_N[:, None])
    start_N = n - starts[:, ::-1].argmax(axis=1)  # the last such place
    none_N = ~starts.any(axis=1)
    lower_N = np.where((start_N == 0) | none_N, -np.inf, values_NE[rows, np.minimum(start_N, n - 1)])
    upper_N = np.where((end_N == n) | none_N, np.inf, values_NE[rows, np.maximum(end_N, 1) - 1])
    return lower_N, upper_N


def best_told(given: Sorted, own_E: np.ndarray) -> np.ndarray:
    """[N]: coverage - leakage of each best interval on the very texts that it is found on."""
    sums, lowest, cut = _running(given, own_E)
    n_own = int(own_E[given.text_NE[0]].sum())
    return np.where(cut, sums - lowest, 0).max(axis=1) / (n_own * (sums.shape[1] - 1 - n_own))


def _running(given: Sorted, own_E: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sums, lowest, cut) [N, E + 1], places before each text and after the last: the sum of the weights up to there,
    the lowest such sum so far where an interval may begin, and whether one may begin or end there."""
    own_NE = own_E[given.text_NE]
    n_neurons, n = own_NE.shape
    n_own = int(own_NE[0].sum())
    sums = np.zeros((n_neurons, n + 1), np.int32)
    np.cumsum(np.where(own_NE, np.int32(n - n_own), np.int32(-n_own)), axis=1, out=sums[:, 1:])
    cut = np.ones((n_neurons, n + 1), bool)
    cut[:, 1:-1] = given.values_NE[:, 1:] > given.values_NE[:, :-1]  # equal values are not parted
    return sums, np.minimum.accumulate(np.where(cut, sums, _FAR), axis=1), cut


def inside(acts_EN: np.ndarray, lower_N: np.ndarray, upper_N: np.ndarray) -> np.ndarray:
    """bool [E, N]."""
    return (acts_EN >= lower_N) & (acts_EN <= upper_N)


def shares(inside_EN: np.ndarray, own_E: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(coverage_N, leakage_N): the share inside of the texts of the concept, and of all others."""
    return inside_EN[own_E].mean(axis=0), inside_EN[~own_E].mean(axis=0)


def folds_of(labels_E: np.ndarray, count: int = FOLDS) -> np.ndarray:
    """The fold of each text, 0 .. count - 1: every `count`-th text of a class is in the same."""
    fold_E = np.empty(len(labels_E), int)
    for label in np.unique(labels_E):
        rows = np.flatnonzero(labels_E == label)
        fold_E[rows] = np.arange(len(rows)) % count
    return fold_E


def held_out_inside(acts_EN: np.ndarray, given: Sorted, own_E: np.ndarray, fold_E: np.ndarray) -> np.ndarray:
    """bool [E, N]: whether each text lies in the interval that was found without its fold (cross-fitting).

    Texts whose fold is negative have no part in it, and False.
    """
    inside_EN = np.zeros(acts_EN.shape, bool)
    for kept_E, out_E in parts(fold_E):
        lower_N, upper_N = interval_of(given.only(kept_E), own_E)
        inside_EN[out_E] = inside(acts_EN[out_E], lower_N, upper_N)
    return inside_EN


def parts(fold_E: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(texts to find on, texts to measure on) for each fold, bool [E]."""
    for fold in range(fold_E.max() + 1):
        yield (fold_E >= 0) & (fold_E != fold), fold_E == fold
