"""Rules against a search through everything, on data small enough for it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from builders.detectors.figures import resampled
from builders.detectors.fitted import Chosen, Texts, of_neurons
from builders.detectors.rule import RIDGES, Proposed, best_threshold, rules
from builders.detectors.steepest import Intervals, inside
from tests.builders.detectors.test_logistic import loss, plain

RIDGE = RIDGES["interval"]


def sample(seed: int, n_examples: int = 40, n_candidates: int = 6, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label_E = rng.random(n_examples) < 0.35
    label_E[:2] = True, False
    acts_EM = rng.normal(size=(n_examples, n_candidates)) + label_E[:, None] * rng.normal(size=n_candidates)
    return (np.round(acts_EM) if ties else acts_EM).astype(np.float32), label_E


def every_interval(values_E: np.ndarray):
    """(lower, upper) of each interval from a value to a value."""
    different = np.unique(values_E)
    return [(low, high) for i, low in enumerate(different) for high in different[i:]]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_an_interval_has_the_largest_sum_of_residuals_of_all(seed: int, ties: bool) -> None:
    acts_EM, _ = sample(seed, ties=ties)
    residual_E = np.random.default_rng(seed + 100).normal(size=len(acts_EM))
    everybody = torch.ones(len(acts_EM), dtype=torch.bool)
    lower_M, upper_M = Intervals(torch.tensor(acts_EM), everybody).bounds(torch.tensor(residual_E))
    for m, values_E in enumerate(acts_EM.T):
        sums = [abs(residual_E[(values_E >= low) & (values_E <= high)].sum()) for low, high in every_interval(values_E)]
        taken = residual_E[(values_E >= float(lower_M[m])) & (values_E <= float(upper_M[m]))].sum()
        assert abs(taken) == pytest.approx(max(sums))
        # Open where nothing was seen beyond, and else at a value.
        assert (lower_M[m] == -np.inf) == ((values_E >= float(lower_M[m])).all())
        assert (upper_M[m] == np.inf) == ((values_E <= float(upper_M[m])).all())


def test_before_there_is_a_rule_it_is_the_one_with_the_largest_coverage_minus_leakage() -> None:
    acts_EM, label_E = sample(3)
    residual_E = np.where(label_E, 0.25 / label_E.sum(), -0.25 / (~label_E).sum())
    everybody = torch.ones(len(acts_EM), dtype=torch.bool)
    held_EM = inside(
        torch.tensor(acts_EM), Intervals(torch.tensor(acts_EM), everybody).bounds(torch.tensor(residual_E))
    )
    for m, values_E in enumerate(acts_EM.T):
        gains = [
            held[label_E].mean() - held[~label_E].mean()
            for held in ((values_E >= low) & (values_E <= high) for low, high in every_interval(values_E))
        ]
        found = held_EM[:, m].numpy()
        assert abs(found[label_E].mean() - found[~label_E].mean()) == pytest.approx(max(max(gains), -min(gains)))


@pytest.mark.parametrize("seed", range(4))
def test_the_second_linear_neuron_is_the_best_beside_the_first(seed: int) -> None:
    acts_EM, label_E = sample(seed)
    features = acts_EM.astype(float)
    everybody = torch.ones(len(features), dtype=torch.bool)
    found = rules(lambda residual_T: Proposed(torch.tensor(features)), torch.tensor(label_E), everybody, 2, RIDGE)

    def reached(places: tuple[int, ...]) -> float:
        return loss(plain(features[:, places], label_E, RIDGE), features[:, places], label_E, RIDGE)

    first = min(range(features.shape[1]), key=lambda place: reached((place,)))
    second = min(
        (place for place in range(features.shape[1]) if place != first), key=lambda place: reached((first, place))
    )
    assert [rule.chosen for rule in found] == [(first,), (first, second)]
    np.testing.assert_allclose(
        [*found[1].weights, found[1].bias], plain(features[:, [first, second]], label_E, RIDGE), atol=1e-3
    )
    pairs = list(combinations(range(features.shape[1]), 2))
    assert reached((first, second)) >= min(map(reached, pairs)) - 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_the_second_interval_is_the_best_of_those_that_help_most(seed: int) -> None:
    acts_EM, label_E = sample(seed)
    acts, label, everybody = torch.tensor(acts_EM), torch.tensor(label_E), torch.ones(len(acts_EM), dtype=torch.bool)
    intervals = Intervals(acts, everybody)
    one, two = rules(intervals, label, everybody, 2, RIDGE)
    weight_E = np.where(label_E, 0.5 / label_E.sum(), 0.5 / (~label_E).sum())
    share_E = 1 / (1 + np.exp(-one.score_E.numpy()))
    held_EM = inside(acts, intervals.bounds(torch.tensor(weight_E * (label_E - share_E)))).numpy()
    first_E = inside(acts, intervals.bounds(torch.tensor(weight_E * (label_E - 0.5)))).numpy()[:, one.chosen[0]]

    def reached(place: int) -> float:
        features = np.stack([first_E, held_EM[:, place]], 1)
        return loss(plain(features, label_E, RIDGE), features, label_E, RIDGE)

    others = [place for place in range(acts_EM.shape[1]) if place != one.chosen[0]]
    assert two.chosen == (one.chosen[0], min(others, key=reached))


@pytest.mark.parametrize("seed", range(8))
def test_a_threshold_has_the_largest_coverage_minus_leakage(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score_E, label_E = np.round(rng.normal(size=30), 1), rng.random(30) < 0.4

    def gain(threshold: float) -> float:
        return (score_E[label_E] >= threshold).mean() - (score_E[~label_E] >= threshold).mean()

    found = best_threshold(torch.tensor(score_E), torch.tensor(label_E))
    assert gain(found) == pytest.approx(max(map(gain, score_E)))
    if found > score_E.min():  # halfway between two scores, neither of which is it
        assert np.abs(score_E - found).min() == pytest.approx(
            (score_E[score_E > found].min() - score_E[score_E < found].max()) / 2
        )


def test_one_neuron_is_the_one_with_the_best_interval() -> None:
    """Every fold's rule of one neuron counts what its interval holds of that fold."""
    acts_EM, label_E = sample(11, n_examples=60)
    fold_E = np.arange(60) % 3
    texts = Texts(label_E, fold_E, 3, resampled(label_E, 0))
    candidates, inside_held = [], 0
    for kept_E in texts.training():
        best = max(
            ((held[kept_E & label_E].mean() - held[kept_E & ~label_E].mean(), -m, low, high))
            for m, values_E in enumerate(acts_EM.T)
            for low, high in every_interval(values_E[kept_E])
            for held in [(values_E >= low) & (values_E <= high)]
        )
        _, minus, low, high = best
        first = -minus
        order = [first, *(m for m in range(acts_EM.shape[1]) if m != first)]
        bounds = np.full((2, len(order)), np.nan, np.float32)
        bounds[:, 0] = low, high
        candidates.append(Chosen(np.zeros(len(order), int), np.array(order), *bounds))
        out_E = ~kept_E & label_E
        inside_held += ((acts_EM[out_E, first] >= low) & (acts_EM[out_E, first] <= high)).sum()
    made = of_neurons("interval", candidates, lambda each: torch.tensor(acts_EM[:, each.neurons]), texts)
    assert made[0].figures.inside == inside_held
    assert made[0].members[0].neuron == candidates[-1].neurons[0]
    assert made[0].members[0].weight > 0
    assert [rule.neurons for rule in made] == [1, 2, 3, 4, 5, 6]
