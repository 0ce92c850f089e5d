"""Folds: duplicates together, concepts spread, independent of the order of the texts."""

from __future__ import annotations

import numpy as np

from builders.intervals.folds import folds_of


def texts(n_texts: int, n_different: int, n_concepts: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and labels; the same text may have several labels."""
    generator = np.random.default_rng(n_texts)
    different = generator.integers(0, 2**64, n_different, dtype=np.uint64)
    return generator.choice(different, n_texts), generator.integers(0, n_concepts, n_texts)


def test_equal_texts_are_in_one_fold() -> None:
    hashes, labels = texts(500, 120, 4)
    folds = folds_of(hashes, labels, 5)
    assert set(folds.tolist()) == {0, 1, 2, 3, 4}
    for value in np.unique(hashes):
        assert len(set(folds[hashes == value].tolist())) == 1


def test_folds_do_not_depend_on_the_order() -> None:
    hashes, labels = texts(300, 300, 3)
    order = np.random.default_rng(9).permutation(300)
    # Texts of several concepts go with the first of them, whatever the order.
    assert np.array_equal(folds_of(hashes[order], labels[order], 7), folds_of(hashes, labels, 7)[order])


def test_every_concept_is_spread_evenly() -> None:
    generator = np.random.default_rng(3)
    hashes = generator.permutation(np.arange(1, 204, dtype=np.uint64) * 7919)
    labels = np.repeat([0, 1, 2], [150, 50, 3])
    folds = folds_of(hashes, labels, 5)
    for concept in range(3):
        counts = np.bincount(folds[labels == concept], minlength=5)
        assert counts.max() - counts.min() <= 1
    counts = np.bincount(folds, minlength=5)
    assert counts.max() - counts.min() <= 1
