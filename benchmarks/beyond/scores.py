"""From answers to drops: target and complement, two protocols, bootstrap over texts.

Axes: K target classes, E texts. Accuracy drops are baseline minus edited, on the same texts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PROTOCOLS = ("answered", "all")


@dataclass(frozen=True)
class Outcome:
    """What a setting did: `answers_KE[k]` are the answers under the spec that aims at class k.

    `confidence`: probability of the right label's first token.
    """

    gold_E: np.ndarray
    base_E: np.ndarray
    answers_KE: np.ndarray
    base_confidence_E: np.ndarray
    confidence_KE: np.ndarray

    def drops(
        self,
        protocol: str,
        rows: np.ndarray | None = None,
        metric: str = "accuracy",
        classes: Sequence[int] | None = None,
    ) -> tuple[float, float]:
        """(target drop, complement drop), each a mean over the target classes that have texts.

        `rows`: indices of texts, as a resample; all by default. `metric`: accuracy or confidence. `classes`: the
        targets to average over; all by default.
        """
        rows = np.arange(len(self.gold_E)) if rows is None else rows
        if protocol == "answered":
            rows = rows[self.base_E[rows] == self.gold_E[rows]]
        gold_E = self.gold_E[rows]
        if metric == "accuracy":
            lost_KE = 1.0 * (self.base_E[rows] == gold_E) - (self.answers_KE[:, rows] == gold_E)
        else:
            lost_KE = self.base_confidence_E[rows] - self.confidence_KE[:, rows]
        target, complement = [], []
        for k in range(len(lost_KE)) if classes is None else classes:
            lost_E, own_E = lost_KE[k], gold_E == k
            if own_E.any() and not own_E.all():
                target.append(lost_E[own_E].mean())
                complement.append(lost_E[~own_E].mean())
        return float(np.mean(target)), float(np.mean(complement))

    def n_of_class(self, protocol: str) -> list[int]:
        """How many texts of each class the protocol keeps."""
        kept_E = self.base_E == self.gold_E if protocol == "answered" else np.ones(len(self.gold_E), bool)
        return [int((kept_E & (self.gold_E == k)).sum()) for k in range(len(self.answers_KE))]


def resamples(gold_E: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """`count` draws of text indices with replacement, within each class."""
    generator = np.random.default_rng(seed)
    own = [np.flatnonzero(gold_E == k) for k in np.unique(gold_E)]
    return [np.concatenate([generator.choice(rows, len(rows)) for rows in own]) for _ in range(count)]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 2.5 and 97.5 % points."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def split_per_concept(
    examples: Sequence[tuple[str, str]], sizes: Sequence[int], seed: int
) -> list[list[tuple[str, str]]]:
    """Disjoint parts with `sizes[i]` texts of every concept; the last part takes what is left when that is less."""
    by_concept: dict[str, list[tuple[str, str]]] = {}
    for example in examples:
        by_concept.setdefault(example[1], []).append(example)
    parts: list[list[tuple[str, str]]] = [[] for _ in sizes]
    for concept in sorted(by_concept):
        own = by_concept[concept]
        random.Random(seed).shuffle(own)
        start = 0
        for part, size in zip(parts, sizes, strict=True):
            part += own[start : start + size]
            start += size
    return parts
