"""The best interval against a brute force over all intervals, on short rows with many equal values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmarks.ranges.best_interval import best_told, by_value, folds_of, held_out_inside, inside, interval_of, shares


def brute(values: np.ndarray, own: np.ndarray) -> tuple[float, float, float]:
    """(coverage - leakage, lower, upper) over all pairs of bounds that were seen, and the two infinities."""
    seen = sorted(set(values.tolist()))
    best = (0.0, -np.inf, np.inf)
    for last, upper in enumerate(seen):
        for first in range(last, -1, -1):  # ending first, then the shortest
            within = (values >= seen[first]) & (values <= upper)
            score = within[own].mean() - within[~own].mean()
            if score > best[0] + 1e-9:
                best = (
                    score,
                    -np.inf if first == 0 else seen[first],
                    np.inf if last == len(seen) - 1 else upper,
                )
    return best


def rows(seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    n = int(draw.integers(2, 12))
    acts_EN = draw.integers(-3, draw.integers(-2, 6), (n, 40)).astype(np.float32) / 2
    own_E = np.zeros(n, bool)
    own_E[draw.permutation(n)[: draw.integers(1, n)]] = True
    return acts_EN, own_E


@pytest.mark.parametrize("seed", range(40))
def test_no_interval_is_better_and_the_choice_among_equals_is_fixed(seed: int) -> None:
    acts_EN, own_E = rows(seed)
    lower_N, upper_N = interval_of(acts_EN, own_E)
    told_N = best_told(by_value(acts_EN), own_E)
    coverage_N, leakage_N = shares(inside(acts_EN, lower_N, upper_N), own_E)
    for neuron in range(acts_EN.shape[1]):
        score, lower, upper = brute(acts_EN[:, neuron], own_E)
        assert coverage_N[neuron] - leakage_N[neuron] == pytest.approx(score)
        assert told_N[neuron] == pytest.approx(score)
        assert (lower_N[neuron], upper_N[neuron]) == (lower, upper)


def test_a_neuron_that_never_varies_has_the_whole_line() -> None:
    lower_N, upper_N = interval_of(np.full((6, 2), 1.5, np.float32), np.arange(6) < 2)
    assert np.isneginf(lower_N).all()
    assert np.isposinf(upper_N).all()


def test_of_some_texts_it_is_what_those_texts_alone_give() -> None:
    acts_EN = np.random.default_rng(1).normal(size=(30, 25)).astype(np.float32)
    own_E, kept_E = np.arange(30) % 3 == 0, np.arange(30) % 4 != 1
    some = interval_of(by_value(acts_EN).only(kept_E), own_E)
    alone = interval_of(acts_EN[kept_E], own_E[kept_E])
    np.testing.assert_array_equal(some, alone)


def test_held_out_every_text_is_judged_by_the_other_folds() -> None:
    draw = np.random.default_rng(2)
    acts_EN = draw.integers(0, 9, (24, 7)).astype(np.float32)
    labels_E = np.repeat([0, 1, 2], 8)
    fold_E = folds_of(labels_E, 4)
    fold_E[5] = -1
    found_EN = held_out_inside(acts_EN, by_value(acts_EN), labels_E == 1, fold_E)
    for text, neuron in itertools.product(range(24), range(7)):
        others = (fold_E != fold_E[text]) & (fold_E >= 0)
        _, lower, upper = brute(acts_EN[others, neuron], labels_E[others] == 1)
        assert found_EN[text, neuron] == (text != 5 and lower <= acts_EN[text, neuron] <= upper)
    assert {tuple(np.bincount(fold_E[labels_E == c], minlength=4)) for c in (1, 2)} == {(2, 2, 2, 2)}
