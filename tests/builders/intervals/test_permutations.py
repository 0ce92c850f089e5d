"""What the best neuron reaches by luck: the maxima against loops, and how often chance is called a discovery."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from builders.intervals import permutations, stretches
from builders.intervals.ordered import ordered
from builders.intervals.permutations import CLOSE, STRETCHES, Chance, labellings_of

DEVICE = torch.device("cpu")


def maxima(acts_EN: np.ndarray, labels_X: np.ndarray, examples_E: np.ndarray, n_permutations: int, seed: int = 0):
    """(what was drawn, what the code under test finds of all neurons)."""
    drawn = labellings_of(labels_X, examples_E, n_permutations, seed)
    row = ordered(torch.from_numpy(np.ascontiguousarray(acts_EN.T)))
    return drawn, Chance(drawn, DEVICE).maxima(row, row.twice_ranks_NE())


def auc(values: np.ndarray, own: np.ndarray) -> float:
    mine, rest = values[own][:, None], values[~own]
    return float((mine > rest).mean() + 0.5 * (mine == rest).mean())


def rise(values: np.ndarray, own: np.ndarray) -> float:
    """The best interval between stretches of equal numbers of values, equal values in one, by all pairs of cuts."""
    ascending = np.sort(values)
    cuts = [*sorted({float(ascending[k * len(values) // STRETCHES]) for k in range(STRETCHES)}), np.inf]
    sums = [0.0]
    for low, high in itertools.pairwise(cuts):
        stretch = (values >= low) & (values < high)
        sums.append(sums[-1] + (stretch & own).sum() / own.sum() - (stretch & ~own).sum() / (~own).sum())
    return max(b - a for i, a in enumerate(sums) for b in sums[i:])


def test_maxima_are_those_of_loops() -> None:
    generator = np.random.default_rng(2)
    labels_X = np.repeat([0, 1, 2], [20, 33, 47])
    for decimals in (7, 1):
        acts_EN = generator.standard_normal((100, 6)).astype(np.float32).round(decimals)
        drawn, found = maxima(acts_EN, labels_X, np.arange(100), 20)
        assert drawn.n_sizes == 3 and drawn.size_C.tolist() == [0, 1, 2]
        for concept in range(3):
            own = labels_X == concept
            assert np.isclose(found.auc[concept], max(abs(auc(v, own) - 0.5) + 0.5 for v in acts_EN.T))
            assert np.isclose(found.interval[concept], max(rise(v, own) for v in acts_EN.T), atol=1e-5)
            for draw in range(20):
                chosen = drawn.chosen_EL[:, drawn.size_C[concept] * 20 + draw]
                assert chosen.sum() == own.sum()
                due = max(abs(auc(v, chosen) - 0.5) + 0.5 for v in acts_EN.T)
                assert np.isclose(found.null_auc[concept, draw], due)
                assert np.isclose(
                    found.null_interval[concept, draw], max(rise(v, chosen) for v in acts_EN.T), atol=1e-5
                )


def test_labels_of_many_texts_are_made_numbers_some_at_a_time(monkeypatch) -> None:
    generator = np.random.default_rng(3)
    labels_X, acts_EN = np.repeat([0, 1, 2], [20, 33, 47]), generator.standard_normal((100, 6)).astype(np.float32)
    _, whole = maxima(acts_EN, labels_X, np.arange(100), 20)
    monkeypatch.setattr(permutations, "_HELD_BYTES", 0)
    monkeypatch.setattr(permutations, "ROWS", 7)
    monkeypatch.setattr(stretches, "ROWS", 7)
    _, parts = maxima(acts_EN, labels_X, np.arange(100), 20)
    for name, values in vars(whole).items():
        assert np.array_equal(values, getattr(parts, name)), name


def test_concepts_of_similar_size_share_the_draws_of_the_smallest() -> None:
    labels_X = np.repeat(np.arange(4), [100, 80, 81, 30])
    drawn = labellings_of(labels_X, np.arange(291), 20, 0)
    assert drawn.size_C.tolist() == [2 if 100 >= CLOSE * 80 else 1, 1, 1, 0]
    sizes = drawn.chosen_EL.sum(axis=0)[: drawn.n_sizes * 20].reshape(-1, 20)
    assert (sizes == np.array([30, 80, 100])[:, None]).all()


def test_whole_texts_are_drawn() -> None:
    examples_E = np.repeat(np.arange(12), np.arange(1, 13))
    drawn = labellings_of(np.repeat([0, 1], 6), examples_E, 25, 0)
    for text in range(12):
        rows = drawn.chosen_EL[examples_E == text]
        assert (rows == rows[0]).all()


def test_draws_depend_on_the_seed_alone() -> None:
    labels_X, examples_E = np.repeat([0, 1], 30), np.arange(60)
    first, again, other = (labellings_of(labels_X, examples_E, 20, seed).chosen_EL for seed in (4, 4, 5))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_shuffled_labels_are_seldom_called_significant() -> None:
    """Of 200 fits whose labels mean nothing at most one in twenty may beat luck at p = .05, give or take three std."""
    generator = np.random.default_rng(11)
    called = np.zeros(2)
    for fit in range(200):
        shared = generator.standard_normal((60, 3))
        acts_EN = (shared @ generator.standard_normal((3, 40)) + generator.standard_normal((60, 40))).astype(np.float32)
        _, found = maxima(acts_EN, generator.permutation(np.repeat([0, 1], [20, 40])), np.arange(60), 39, seed=fit)
        for i, (best, null) in enumerate(
            ((found.auc[0], found.null_auc[0]), (found.interval[0], found.null_interval[0]))
        ):
            called[i] += (1 + (null >= best - 1e-6).sum()) / 40 <= 0.05
    assert (called <= 10 + 3 * np.sqrt(200 * 0.05 * 0.95)).all()
    assert (called > 0).all()  # a test that never calls anything would pass as well
