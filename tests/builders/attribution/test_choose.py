"""Which set of neurons is named, where what a set does is known."""

from __future__ import annotations

from itertools import combinations

import torch

from builders.attribution.choose import STEPS, best_set, first

WEIGHTS = torch.tensor([[5.0, 4.0, 3.0, 1.0], [2.0, 2.0, -1.0, -4.0]])


def test_the_first_are_the_largest_and_of_equals_the_earlier():
    assert first(WEIGHTS, 4) == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert first(-WEIGHTS, 2) == [(1, 3), (1, 2)]
    assert len(first(WEIGHTS, 100)) == WEIGHTS.numel()


def holds(neurons):
    """Not additive: (0, 0) and (0, 1) do the same work, so that the second of them adds nothing."""
    chosen = set(neurons)
    total = sum(float(WEIGHTS[each]) for each in chosen)
    return total - (4.0 if {(0, 0), (0, 1)} <= chosen else 0.0)


def slopes(neurons):
    """What each neuron holds once these are gone."""
    found = WEIGHTS.clone()
    if (0, 0) in neurons:
        found[0, 1] -= 4.0
    elif (0, 1) in neurons:
        found[0, 0] -= 4.0
    return found


def test_a_set_that_does_the_same_work_twice_is_left():
    chosen = best_set([WEIGHTS], WEIGHTS, 2, holds, slopes)
    best = max(holds(pair) for pair in combinations([(i, j) for i in range(2) for j in range(4)], 2))
    assert holds(first(WEIGHTS, 2)) == 5.0 and chosen.holds == best == holds(chosen.neurons) == 8.0


def test_it_is_never_worse_than_any_set_it_begins_with_and_measures_each_once():
    generator = torch.Generator().manual_seed(3)
    for _ in range(20):
        noise = torch.randn(3, 2, 4, generator=generator)
        asked = []

        def measure(neurons, noise=noise, asked=asked):
            asked.append(frozenset(neurons))
            return float(sum(noise[0][each] for each in neurons)) * float(noise[1][neurons[0]] > 0)

        starts = [noise[0], noise[1], noise[2]]
        chosen = best_set(starts, noise[0], 3, measure, lambda neurons, noise=noise: noise[len(neurons) % 3])
        assert len(asked) == len(set(asked)) == chosen.tried <= len(starts) + STEPS
        assert all(chosen.holds >= measure(first(start, 3)) for start in starts)
