"""Which neurons tell a concept best, and their intervals: chosen on some texts, so that others can judge them.

The rule is the held-out coverage - leakage: every text judged by the interval found without its fold. Three together:
of the `POOL` best neurons those three whose majority vote (two of three intervals hold) tells the concept best, held
out in the same way; the best neuron is always one of them.

Axes: E texts, C concepts, K chosen neurons, N neurons of all layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from benchmarks.ranges.best_interval import by_value, folds_of, held_out_inside, inside, interval_of, shares

POOL = 50
MANY = 20
ARMS = ("top 1", "top 20", "3 together")
_CHUNK = 1536
"""Neurons at once."""


@dataclass(frozen=True)
class Detector:
    """`neurons_K`: the POOL best, best first, with their intervals; `three`: places in it of the three together."""

    neurons_K: np.ndarray
    lower_K: np.ndarray
    upper_K: np.ndarray
    three: np.ndarray

    def arms(self, acts_EN: np.ndarray) -> np.ndarray:
        """[arm, E]: what each of ARMS says of each text: the share of its intervals that hold, or the vote."""
        return arms_of(inside(acts_EN[:, self.neurons_K], self.lower_K, self.upper_K), self.three)

    def found_again(self, acts_EN: np.ndarray, own_E: np.ndarray) -> Detector:
        """The same neurons with the best intervals of these texts."""
        return Detector(self.neurons_K, *interval_of(acts_EN[:, self.neurons_K], own_E), self.three)


def arms_of(inside_EK: np.ndarray, three: np.ndarray) -> np.ndarray:
    """ARMS from whether each interval of a detector holds; float64 [arm, E]."""
    vote_E = inside_EK[:, three].sum(axis=1) >= 2
    return np.stack([inside_EK[:, 0], inside_EK[:, :MANY].mean(axis=1), vote_E]).astype(np.float64)


def detectors(acts_EN: np.ndarray, labels_E: np.ndarray, n_concepts: int, kept_E: np.ndarray) -> list[Detector]:
    """One for each concept, from the texts where `kept_E` (bool) holds and nothing else."""
    acts_EN, labels_E = acts_EN[kept_E], labels_E[kept_E]
    fold_E = folds_of(labels_E)
    scores = np.empty((n_concepts, acts_EN.shape[1]))
    bounds = np.empty((2, *scores.shape), np.float32)
    for start in range(0, acts_EN.shape[1], _CHUNK):
        part = slice(start, start + _CHUNK)
        given = by_value(acts_EN[:, part])
        for concept in range(n_concepts):
            own_E = labels_E == concept
            coverage_N, leakage_N = shares(held_out_inside(acts_EN[:, part], given, own_E, fold_E), own_E)
            scores[concept, part] = coverage_N - leakage_N
            bounds[:, concept, part] = interval_of(given, own_E)
    found = []
    for concept in range(n_concepts):
        neurons_K = np.argsort(-scores[concept], kind="stable")[:POOL]
        own_E = labels_E == concept
        chosen_EK = acts_EN[:, neurons_K]
        three = _three(held_out_inside(chosen_EK, by_value(chosen_EK), own_E, fold_E), own_E)
        found.append(Detector(neurons_K, *bounds[:, concept, neurons_K], three))
    return found


def _three(inside_EK: np.ndarray, own_E: np.ndarray) -> np.ndarray:
    pairs = np.array(list(combinations(range(1, inside_EK.shape[1]), 2)))
    votes_EP = inside_EK[:, :1].astype(int) + inside_EK[:, pairs[:, 0]] + inside_EK[:, pairs[:, 1]] >= 2
    coverage_P, leakage_P = shares(votes_EP, own_E)
    return np.array([0, *pairs[np.argmax(coverage_P - leakage_P)]])
