"""Which fold each text of a corpus belongs to: an interval is found on the other folds and counted on this one."""

from __future__ import annotations

import numpy as np


def folds_of(hashes_X: np.ndarray, labels_X: np.ndarray, n_folds: int) -> np.ndarray:
    """The fold of each of X texts, int64 [X], 0 to n_folds - 1. It depends on the set of texts, not on their order.

    Texts with the same hash (uint64) are in one fold, so that none is both learned from and counted. Beyond that the
    folds are stratified: the different texts of a concept, ascending by hash, are dealt out in turn, and each concept
    goes on where the one before it stopped. A text of several concepts is dealt out with the first of them.
    """
    order = np.lexsort((hashes_X, labels_X))
    different_H, first = np.unique(hashes_X[order], return_index=True)
    fold_H = np.empty(len(different_H), np.int64)
    fold_H[np.argsort(first)] = np.arange(len(different_H)) % n_folds
    return fold_H[np.searchsorted(different_H, hashes_X)]
