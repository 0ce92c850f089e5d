"""Separation against scipy's rank statistics, quadrature, and counting by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from builders.gaussians.separation import (
    RangeCounts,
    dprime,
    overlap,
    range_bounds,
    ranges_counted,
    twice_u,
)
from builders.gaussians.sorting import counts_below, sort_labelled
from tests.builders.gaussians.samples import CONCEPT_SIZES, columns, labels

C = len(CONCEPT_SIZES)


def in_ranges(parts: list[np.ndarray], lower: np.ndarray, upper: np.ndarray) -> RangeCounts:
    """ranges_counted of the examples [n, N] of each concept."""
    counts = np.array([len(part) for part in parts])
    acts_NE = torch.from_numpy(np.ascontiguousarray(np.vstack(parts).T))
    everything = sort_labelled(acts_NE, torch.from_numpy(np.repeat(np.arange(len(parts)), counts)))
    counted, below = ranges_counted(everything, lower, upper, counts, np.sort(acts_NE.numpy()[:, ::3], axis=1))
    assert np.array_equal(below, counts_below(everything, np.sort(acts_NE.numpy()[:, ::3], axis=1), len(parts)))
    return counted


@pytest.mark.parametrize("seed", range(5))
def test_twice_u_is_mann_whitney(seed):
    acts, label = columns(seed).astype(np.float32), labels()
    counted = twice_u(acts, label, C)
    assert counted.dtype == np.int64
    for concept in range(C):
        own, rest = acts[label == concept], acts[label != concept]
        reference = stats.mannwhitneyu(own, rest, axis=0).statistic
        np.testing.assert_array_equal(counted[concept], 2 * reference)


def test_twice_u_counts_ties_once_and_wins_twice():
    acts = np.array([[1], [2], [2], [3], [0]], dtype=np.float32)
    label = np.array([0, 0, 1, 1, 2])
    # concept 0: 1 beats 0; 2 beats 0 and ties with 2
    np.testing.assert_array_equal(twice_u(acts, label, 3)[:, 0], [2 + 2 + 1, 4 + 1 + 6, 0])


def test_twice_u_of_a_single_concept_is_zero():
    assert (twice_u(np.ones((4, 2), dtype=np.float32), np.zeros(4, dtype=int), 1) == 0).all()


def test_dprime():
    assert dprime(np.array(3.0), np.array(1.0), np.array(1.0), np.array(1.0)) == pytest.approx(2)
    assert dprime(np.array(0.0), np.array(0.0), np.array(1.0), np.array(2.0)) == pytest.approx(-1 / np.sqrt(2))
    assert np.isnan(dprime(np.array(0.0), np.array(0.0), np.array(1.0), np.array(0.0)))
    assert np.isnan(dprime(np.array(0.0), np.array(1.0), np.array(np.nan), np.array(np.nan)))


PAIRS = [
    (0, 1, 0, 1),
    (0, 1, 1, 1),
    (0, 1, 0, 3),
    (2, 0.5, -1, 2),
    (0, 1, 5, 1.0000001),
    (0, 1, 1e-9, 1 + 1e-12),
    (1e6, 1e-2, 1e6 + 0.01, 3e-2),
    (0, 1, 9, 2),
    (0, 1e-6, 0.5, 1),
    (-3, 4, 3, 0.25),
]


@pytest.mark.parametrize("pair", PAIRS)
def test_overlap_is_the_integral_of_the_smaller_density(pair):
    mean_a, std_a, mean_b, std_b = pair

    def smaller(x: float) -> float:
        return min(stats.norm.pdf(x, mean_a, std_a), stats.norm.pdf(x, mean_b, std_b))

    knots = sorted({m + k * s for m, s in ((mean_a, std_a), (mean_b, std_b)) for k in range(-12, 13)})
    reference = sum(integrate.quad(smaller, low, high, limit=200)[0] for low, high in itertools.pairwise(knots))
    value = overlap(*map(np.float64, pair))
    assert value == pytest.approx(reference, rel=1e-5, abs=1e-12)
    assert overlap(mean_b, std_b, mean_a, std_a) == pytest.approx(value, rel=1e-12)


def test_overlap_of_equal_stds_is_twice_the_tail():
    d = np.linspace(0, 70, 200)
    np.testing.assert_allclose(
        overlap(0.0, 1.0, d, 1.0), 2 * stats.norm.cdf(-d / 2), rtol=1e-12, err_msg="far tails too"
    )


def test_overlap_of_point_masses():
    mean_a, std_a = np.array([0.0, 0.0, 0.0, np.nan, 0.0]), np.array([0.0, 0.0, 0.0, 0.0, 1.0])
    mean_b, std_b = np.array([0.0, 1.0, 0.0, 0.0, np.nan]), np.array([0.0, 0.0, 2.0, 1.0, np.nan])
    np.testing.assert_array_equal(overlap(mean_a, std_a, mean_b, std_b), [1, 0, 0, np.nan, np.nan])


def test_range_bounds_round_once():
    mean, std = np.float32([[1.1, 1e6]]), np.float32([[0.3, 0.01]])
    lower, upper = range_bounds(mean, std, [2.0, 2.5])
    assert lower.shape == (2, 1, 2) and lower.dtype == upper.dtype == np.float32
    for t, tau in enumerate([2.0, 2.5]):
        for k in range(2):
            m, s = float(mean[0, k]), float(std[0, k])
            assert lower[t, 0, k] == np.float32(m - tau * s)
            assert upper[t, 0, k] == np.float32(m + tau * s)


@pytest.mark.parametrize("many", [False, True], ids=["4 concepts", "20 concepts, in parts"])
@pytest.mark.parametrize("seed", range(3))
def test_range_counts_are_those_of_a_plain_loop(seed, many):
    taus = [0.5, 1.0, 2.5]
    acts, label = columns(seed).astype(np.float32), labels()
    if many:
        acts, label = acts[:, ::4], np.arange(len(label)) % 20
    n_concepts = label.max() + 1
    parts = [acts[label == c] for c in range(n_concepts)]
    mean = np.stack([p.mean(0, dtype=np.float64) for p in parts]).astype(np.float32)
    std = np.stack([p.std(0, dtype=np.float64) for p in parts]).astype(np.float32)
    lower, upper = range_bounds(mean, std, taus)
    counted = in_ranges(parts, lower, upper)
    assert all(field.dtype == np.int32 for field in counted)
    for t in range(len(taus)):
        for c in range(n_concepts):
            for k in range(acts.shape[1]):
                low, high = lower[t, c, k], upper[t, c, k]
                hits = [int(((p[:, k] >= low) & (p[:, k] <= high)).sum()) for p in parts]
                shares = [-1 if o == c else hits[o] / len(parts[o]) for o in range(n_concepts)]
                worst = shares.index(max(shares))
                got = tuple(int(field[t, c, k]) for field in counted)
                assert got == (hits[c], sum(hits) - hits[c], worst, hits[worst])


def test_a_range_is_closed():
    own = np.float32([[1, 2, 3]]).T
    other = np.float32([[0, 1, 1, 3, 4]]).T
    lower = np.float32([[[1], [9]]])
    upper = np.float32([[[3], [9]]])
    counted = in_ranges([own, other], lower, upper)
    assert counted.inside.tolist() == [[[3], [0]]]
    assert counted.others_inside.tolist() == [[[3], [0]]]


def test_worst_concept_ties_go_to_the_lowest_index_and_need_another_concept():
    one = np.zeros((2, 1), dtype=np.float32)
    bounds = np.zeros((1, 3, 1), dtype=np.float32)
    assert in_ranges([one, one, one], bounds, bounds).worst_concept[0, :, 0].tolist() == [1, 0, 0]
    alone = in_ranges([one], bounds[:, :1], bounds[:, :1])
    assert (alone.worst_concept.item(), alone.worst_inside.item(), alone.others_inside.item()) == (-1, 0, 0)
