"""Drops of benchmarks/beyond/scores.py against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.beyond.scores import Outcome, resamples, split_per_concept

# Two classes, three texts each; the unedited model misses text 2 and text 5.
GOLD = np.array([0, 0, 0, 1, 1, 1])
BASE = np.array([0, 0, 1, 1, 1, 0])
# The spec at class 0 loses text 0, wins text 2 and loses text 3; that at class 1 loses texts 3 and 4.
ANSWERS = np.array([[1, 0, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0]])
OUTCOME = Outcome(GOLD, BASE, ANSWERS, np.full(6, 0.5), np.full((2, 6), 0.25))


def test_drops_of_both_protocols() -> None:
    # answered: class 0 loses 1 of 2 and 1 of 2 elsewhere; class 1 loses 2 of 2 and 0 of 2 elsewhere.
    assert OUTCOME.drops("answered") == pytest.approx((0.75, 0.25))
    assert OUTCOME.drops("answered", classes=[1]) == pytest.approx((1.0, 0.0))
    # all: class 0 loses 1 and wins 1 of 3, and 1 of 3 elsewhere; class 1 loses 2 of 3 and 0 of 3 elsewhere.
    assert OUTCOME.drops("all") == pytest.approx((1 / 3, 1 / 6))
    assert OUTCOME.drops("all", metric="confidence") == pytest.approx((0.25, 0.25))
    assert OUTCOME.n_of_class("answered") == [2, 2]


def test_resamples_keep_the_size_of_each_class() -> None:
    for rows in resamples(GOLD, 5, 0):
        assert (np.bincount(GOLD[rows]) == [3, 3]).all()


def test_parts_are_disjoint_and_balanced() -> None:
    examples = [(f"text {n}", "ab"[n % 2]) for n in range(20)]
    dev, test = split_per_concept(examples, [3, 5], 0)
    assert not set(dev) & set(test)
    assert [sum(concept == "a" for _, concept in part) for part in (dev, test)] == [3, 5]
    assert (len(dev), len(test)) == (6, 10)
