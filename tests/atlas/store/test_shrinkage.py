"""What to expect of picked neurons: against a plain computation, and against what such neurons do on new counts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from atlas.store.reader import open_atlas
from atlas.store.shrinkage import expected_shares
from tests.atlas_factory import FAMILIES, PER_CONCEPT, write_small_atlas

RNG = np.random.default_rng(12)


def plainly(inside, others, neurons, n, n_others):
    """The same by loops over neurons and points, without stretches: (coverage, leakage) of each."""
    points = [step / 100 for step in range(-100, 101)]

    def binomial(count, of):
        share = (count + 0.5) / (of + 1)
        return share * (1 - share) / of

    weights = []
    for own, other in zip(inside, others, strict=True):
        j, variance = own / n - other / n_others, binomial(own, n) + binomial(other, n_others)
        row = []
        for point in points:
            wider = variance * (1 + 0.7 * min(1.0, max(0.0, 1 - point / 0.4)))
            wider = max(wider, 0.0001)
            row.append(math.exp(-((j - point) ** 2) / 2 / wider) / math.sqrt(wider))
        weights.append(row)
    prior = [1 / len(points)] * len(points)
    for _ in range(100):
        fresh = [0.0] * len(points)
        for row, count in zip(weights, neurons, strict=True):
            total = sum(w * p for w, p in zip(row, prior, strict=True))
            for g in range(len(points)):
                fresh[g] += count * row[g] * prior[g] / total / sum(neurons)
        prior = fresh
    found = []
    for row, own, other in zip(weights, inside, others, strict=True):
        posterior = [w * p for w, p in zip(row, prior, strict=True)]
        excess = own / n - other / n_others - np.dot(posterior, points) / sum(posterior)
        if own / n - other / n_others > np.dot(prior, points):
            excess = max(0.0, excess)
        mine, theirs = binomial(own, n), binomial(other, n_others)
        coverage = own / n - excess * mine / (mine + theirs)
        leakage = other / n_others + excess * theirs / (mine + theirs)
        found.append((min(1, max(0, coverage)), min(1, max(0, leakage))))
    return np.array(found).T


def test_as_computed_plainly():
    # J of no two of them is so close that they would share a stretch.
    inside, others = np.array([0, 3, 9, 11, 20, 12, 18, 20]), np.array([40, 30, 31, 20, 21, 9, 4, 0])
    neurons = np.array([40, 900, 2000, 800, 50, 20, 2, 1])
    due = plainly(inside, others, neurons, 20, 60)
    np.testing.assert_allclose(expected_shares(inside, others, neurons, 20, 60), due, rtol=1e-9)


def drawn(coverage_N, leakage_N, n, n_others):
    return RNG.binomial(n, coverage_N), RNG.binomial(n_others, leakage_N)


def of_neurons(inside_N, others_N, n, n_others):
    """Expected J of each neuron, and its held-out J."""
    pairs, place_N, neurons = np.unique(np.stack([inside_N, others_N]), axis=1, return_inverse=True, return_counts=True)
    coverage, leakage = expected_shares(*pairs, neurons, n, n_others)
    return (coverage - leakage)[place_N], inside_N / n - others_N / n_others


def test_the_first_of_many_that_tell_nothing_are_expected_to_tell_nothing():
    share_N = RNG.uniform(0.2, 0.6, 20000)
    expected_N, held_out_N = of_neurons(*drawn(share_N, share_N, 40, 200), 40, 200)
    first = np.argsort(-held_out_N)[:20]
    assert held_out_N[first].mean() > 0.25
    assert abs(expected_N[first].mean()) < 0.03


@pytest.mark.parametrize("n", [40, 100])
def test_what_is_expected_of_the_first_is_what_they_do_next(n):
    """Of 20,000 neurons a hundredth tells the concept, more or less well."""
    told_N = np.where(RNG.random(20000) < 0.01, RNG.uniform(0.1, 0.6, 20000), 0)
    coverage_N = 0.3 + told_N
    expected_N, held_out_N = of_neurons(*drawn(coverage_N, np.full(20000, 0.3), n, 5 * n), n, 5 * n)
    first = np.argsort(-held_out_N, kind="stable")[:50]
    assert abs(expected_N[first].mean() - told_N[first].mean()) < 0.04
    assert held_out_N[first].mean() - told_N[first].mean() > abs(expected_N[first].mean() - told_N[first].mean())
    assert ((expected_N - told_N) ** 2).mean() < 0.2 * ((held_out_N - told_N) ** 2).mean()


def test_one_that_stands_apart_is_left_alone():
    inside, others, neurons = np.array([30, 95]), np.array([90, 6]), np.array([5000, 1])
    coverage, leakage = expected_shares(inside, others, neurons, 100, 300)
    np.testing.assert_allclose((coverage[1], leakage[1]), (0.95, 0.02), atol=0.02)


def test_of_what_stands_out_no_more_is_expected_than_was_held_out():
    # Twenty equals a little below one that stands between them and a better one.
    inside, others = np.array([30, 80, 84, 95]), np.array([90, 30, 30, 6])
    coverage, leakage = expected_shares(inside, others, np.array([5000, 1, 1, 20]), 100, 300)
    assert (coverage - leakage <= inside / 100 - others / 300 + 1e-12)[1:].all()


@pytest.mark.parametrize(
    ("inside", "others", "n", "n_others"),
    [([1], [0], 1, 1), ([0], [7], 3, 7), ([5, 5], [5, 5], 10, 10), ([200_000, 0], [0, 1], 200_000, 199_999)],
)
def test_ends(inside, others, n, n_others):
    inside, others = np.array(inside), np.array(others)
    coverage, leakage = expected_shares(inside, others, np.ones(len(inside), int), n, n_others)
    assert ((coverage >= 0) & (coverage <= 1) & (leakage >= 0) & (leakage <= 1)).all()
    if n > 1000:  # so many that nothing is left to luck
        np.testing.assert_allclose(coverage, inside / n, atol=0.01)
        np.testing.assert_allclose(leakage, others / n_others, atol=0.01)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with open_atlas(write_small_atlas(tmp_path_factory.mktemp("shrinkage") / "small.duckdb")) as atlas:
        yield atlas


@pytest.mark.parametrize("family", FAMILIES)
def test_an_atlas_has_them_of_every_neuron(small, family):
    for concept in FAMILIES[family]:
        _, rows = small.query(
            "SELECT held_inside, held_others, i.expected_coverage, i.expected_leakage "
            "FROM concept_interval AS i JOIN _interval USING (fit_id, concept_id, layer, neuron) WHERE concept = ?",
            [concept],
        )
        inside_N, others_N, *stored = (np.array(column) for column in zip(*rows, strict=True))
        pairs, place_N, neurons = np.unique(
            np.stack([inside_N, others_N]), axis=1, return_inverse=True, return_counts=True
        )
        due = expected_shares(*pairs, neurons, PER_CONCEPT, PER_CONCEPT * (len(FAMILIES[family]) - 1))
        np.testing.assert_allclose(stored, np.stack(due)[:, place_N], rtol=1e-6)
