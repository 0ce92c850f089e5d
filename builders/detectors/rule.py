"""Rules of few neurons for one concept: chosen one by one, with a threshold on their score.

Axes: E examples, M candidates, K chosen neurons.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from builders.detectors.logistic import newton

RIDGE = 1e-3
"""Penalty of a few weights: it keeps them finite where the classes can be told apart without an error."""


class Rule(NamedTuple):
    """An example has the concept where `score` is at least the threshold."""

    chosen: tuple[int, ...]
    """Candidates, in the order in which they were chosen."""
    weights: tuple[float, ...]
    bias: float
    threshold: float

    def score(self, features_EM: Tensor) -> Tensor:
        """The bias and the weighted features of the chosen candidates, [E] float64; added in this order."""
        total = torch.full((len(features_EM),), self.bias, dtype=torch.float64, device=features_EM.device)
        for place, weight in zip(self.chosen, self.weights, strict=True):
            total += features_EM[:, place].double() * weight
        return total


def best_threshold(score_E: Tensor, label_E: Tensor) -> float:
    """The threshold with the largest coverage - leakage, halfway between two scores; of several the highest.

    Halfway, so that a score that is computed again with other last bits falls on the same side.
    """
    values, place_E = torch.unique(score_E, return_inverse=True)  # ascending
    own, rest = (torch.bincount(place_E[each], minlength=len(values)).flip(0).cumsum(0) for each in (label_E, ~label_E))
    gain = (own.double() / own[-1].clamp(min=1) - rest.double() / rest[-1].clamp(min=1)).flip(0)
    at = len(values) - 1 - int(gain.flip(0).argmax())
    return float(values[at] if at == 0 else (values[at] + values[at - 1]) / 2)


def rules(features_EM: Tensor, label_E: Tensor, most: int, first: int | None = None) -> list[Rule]:
    """A rule of 1, 2, ... `most` of the candidates, each with one more than the one before; fewer if there are fewer.

    Each step adds the candidate with which the logistic regression of the label fits best. `first`: which one is
    the first, where that is known. Of candidates that do equally well the first of them is taken.
    """
    chosen: list[int] = []
    found = []
    while len(chosen) < min(most, features_EM.shape[1]):
        left = [place for place in range(features_EM.shape[1]) if place not in chosen]
        if not chosen and first is not None:
            left = [first]
        tried = features_EM[:, torch.tensor([[*chosen, place] for place in left], device=features_EM.device)]
        before = (found[-1].weights, found[-1].bias) if found else ((), 0.0)
        fitted = newton(tried.transpose(0, 1), label_E, RIDGE, before)
        best = int(fitted.loss_B.argmin())
        chosen.append(left[best])
        rule = Rule(tuple(chosen), tuple(fitted.weights_BK[best].tolist()), float(fitted.bias_B[best]), 0.0)
        found.append(rule._replace(threshold=best_threshold(rule.score(features_EM), label_E)))
    return found
