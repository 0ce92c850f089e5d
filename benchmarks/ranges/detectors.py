"""Which neurons tell a concept best, and their intervals: chosen on some texts, so that others can judge them.

The rule is the held-out coverage - leakage: every text judged by the interval found without its fold. (Of the SCREENED
neurons only; for all of them it would take five times as long.) Three together: of the POOL best neurons those three
whose majority vote (two of three intervals hold) tells the concept best, held out in the same way; the best neuron is
always one of them.

Axes: E texts, C concepts, K chosen neurons, N neurons of all layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from benchmarks.ranges.best_interval import best_told, by_value, folds_of, held_out_inside, inside, interval_of, shares

SCREENED = 500
"""Neurons of a concept that are judged held out: those that tell it best on the texts of their intervals."""
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


def detectors(
    acts_EN: np.ndarray, labels_E: np.ndarray, n_concepts: int, kept: Sequence[np.ndarray]
) -> list[list[Detector]]:
    """For each kept_E (bool) of `kept` one for each concept, from the texts where it holds and nothing else."""
    told = np.empty((len(kept), n_concepts, acts_EN.shape[1]))
    for start in range(0, acts_EN.shape[1], _CHUNK):
        part = slice(start, start + _CHUNK)
        everything = by_value(acts_EN[:, part])
        for number, kept_E in enumerate(kept):
            given = everything.only(kept_E)
            for concept in range(n_concepts):
                told[number, concept, part] = best_told(given, labels_E == concept)
    return [
        [_detector(acts_EN[kept_E], labels_E[kept_E], concept, told_CN[concept]) for concept in range(n_concepts)]
        for kept_E, told_CN in zip(kept, told, strict=True)
    ]


def _detector(acts_EN: np.ndarray, labels_E: np.ndarray, concept: int, told_N: np.ndarray) -> Detector:
    """`told_N`: coverage - leakage on the very texts that each interval was found on."""
    own_E = labels_E == concept
    screened_S = np.sort(np.argsort(-told_N, kind="stable")[:SCREENED])
    screened_ES = acts_EN[:, screened_S]
    given = by_value(screened_ES)
    held_out_ES = held_out_inside(screened_ES, given, own_E, folds_of(labels_E))
    best_K = np.argsort(-_told(held_out_ES, own_E), kind="stable")[:POOL]
    lower_S, upper_S = interval_of(given, own_E)
    return Detector(screened_S[best_K], lower_S[best_K], upper_S[best_K], _three(held_out_ES[:, best_K], own_E))


def _told(inside_EN: np.ndarray, own_E: np.ndarray) -> np.ndarray:
    coverage_N, leakage_N = shares(inside_EN, own_E)
    return coverage_N - leakage_N


def _three(inside_EK: np.ndarray, own_E: np.ndarray) -> np.ndarray:
    pairs = np.array(list(combinations(range(1, inside_EK.shape[1]), 2)))
    votes_EP = inside_EK[:, :1].astype(int) + inside_EK[:, pairs[:, 0]] + inside_EK[:, pairs[:, 1]] >= 2
    return np.array([0, *pairs[np.argmax(_told(votes_EP, own_E))]])
