"""Which neurons are named: the first by a rule, or the set that was found to do most together.

Effects of single neurons do not add up, because later blocks answer to what is missing. So a set is measured as a set:
the first neurons of every rule are set to 0 together, and from the best of these sets a few steps follow, each to the
first neurons by the mean of the gradient attributions with none, and with every set since, at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from builders.attribution.edits import Neuron

STEPS = 5


@dataclass(frozen=True)
class Chosen:
    """The neurons, best first by a score; `holds`: what the target loses with all of them at 0 (None: not measured).

    `tried`: how many sets were measured.
    """

    neurons: list[Neuron]
    holds: float | None = None
    tried: int = 0


def first(scores_LN: Tensor, count: int) -> list[Neuron]:
    """The neurons with the largest scores; of equal ones the earlier."""
    order = torch.argsort(scores_LN.flatten(), descending=True, stable=True)[:count].tolist()
    width = scores_LN.shape[1]
    return [(place // width, place % width) for place in order]


def best_set(
    by_rule: Sequence[Tensor],
    start_LN: Tensor,
    count: int,
    holds: Callable[[list[Neuron]], float],
    attribution_without: Callable[[list[Neuron]], Tensor],
) -> Chosen:
    """The set of `count` neurons with the largest `holds` among those that are tried.

    `by_rule`: scores [L, N] whose first neurons are sets to begin with; `start_LN`: gradient attributions of the
    unedited model. `holds(set)`: what the target loses with the set at 0, measured; `attribution_without(set)`:
    gradient attributions with it at 0.
    """
    measured: dict[frozenset[Neuron], float] = {}

    def measure(neurons: list[Neuron]) -> float:
        key = frozenset(neurons)
        if key not in measured:
            measured[key] = holds(neurons)
        return measured[key]

    best = max((first(scores_LN, count) for scores_LN in by_rule), key=measure)
    current, sum_LN, terms = best, start_LN.clone(), 1
    for _ in range(STEPS):
        sum_LN, terms = sum_LN + attribution_without(current), terms + 1
        following = first(sum_LN / terms, count)
        seen = frozenset(following) in measured
        if measure(following) > measured[frozenset(best)]:
            best = following
        if seen and set(following) == set(current):
            break
        current = following
    return Chosen(best, measured[frozenset(best)], len(measured))
