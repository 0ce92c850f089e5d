"""Rules of few neurons for one concept: chosen one by one, with a threshold on their score.

Axes: E examples, T those of them that a rule is made from, M candidates, K chosen neurons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from builders.detectors.logistic import balanced, newton

RIDGES = {"interval": 1e-1, "linear": 1e-3}
"""Penalty of a few weights, by form: it keeps them finite where the classes can be told apart without an error. That of
intervals, which are searched for, is larger: docs/results/detectors.md compares."""

Bounds = tuple[Tensor, Tensor]
"""Lower and upper bound of an interval of each candidate, [M] float32."""


class Proposed(NamedTuple):
    """What the candidates can add to a rule."""

    features_EM: Tensor
    """float64."""
    bounds: Bounds | None = None
    """Of the intervals that the features are inside of, if they are of intervals."""


Propose = Callable[[Tensor], Proposed]
"""The residual of each training example, [T] -> what could be added to the rule that leaves it."""


class Rule(NamedTuple):
    """An example has the concept where its score is at least the threshold."""

    chosen: tuple[int, ...]
    """Candidates, in the order in which they were chosen."""
    weights: tuple[float, ...]
    bias: float
    threshold: float
    bounds: tuple[tuple[float, float], ...]
    """Of their intervals; empty where there are none."""
    score_E: Tensor
    """Bias and weighted features, float64."""


def rules(
    propose: Propose, label_E: Tensor, kept_E: Tensor, most: int, ridge: float, first: Proposed | None = None
) -> list[Rule]:
    """A rule of 1, 2, ... `most` of the candidates, each with one more than the one before; fewer if there are fewer.

    Made from the examples that are `kept` (bool, as the label). Each step adds the candidate with which the logistic
    regression of the label fits best, and fits all weights anew. `first`: what the first candidate adds, where that is
    known to be the first. Of candidates that do equally well the first is taken.
    """
    label_T = label_E[kept_E]
    chosen: list[int] = []
    features: list[Tensor] = []
    bounds: list[tuple[float, float]] = []
    weights, bias, score_E = (), 0.0, torch.zeros(len(label_E), dtype=torch.float64, device=label_E.device)
    found: list[Rule] = []
    while len(found) < most:
        residual_T = balanced(label_T) * (label_T.double() - torch.sigmoid(score_E[kept_E]))
        proposed = propose(residual_T) if chosen or first is None else first
        left = [place for place in range(proposed.features_EM.shape[1]) if place not in chosen]
        if not left:
            break
        added_TL = proposed.features_EM[kept_E][:, left]
        before = [each[kept_E, None].expand_as(added_TL) for each in features]
        fitted = newton(torch.stack([*before, added_TL], 2).transpose(0, 1), label_T, ridge, (weights, bias))
        best = int(fitted.loss_B.argmin())
        place = left[best]
        chosen.append(place)
        features.append(proposed.features_EM[:, place])
        if proposed.bounds is not None:
            bounds.append((float(proposed.bounds[0][place]), float(proposed.bounds[1][place])))
        weights, bias = tuple(fitted.weights_BK[best].tolist()), float(fitted.bias_B[best])
        score_E = torch.full_like(score_E, bias)
        for feature_E, weight in zip(features, weights, strict=True):
            score_E = score_E + feature_E * weight
        threshold = best_threshold(score_E[kept_E], label_T)
        found.append(Rule(tuple(chosen), weights, bias, threshold, tuple(bounds), score_E))
    return found


def best_threshold(score_E: Tensor, label_E: Tensor) -> float:
    """The threshold with the largest coverage - leakage, halfway between two scores; of several the highest.

    Halfway, so that a score that is computed again with other last bits falls on the same side.
    """
    values, place_E = torch.unique(score_E, return_inverse=True)  # ascending
    own, rest = (torch.bincount(place_E[each], minlength=len(values)).flip(0).cumsum(0) for each in (label_E, ~label_E))
    gain = own.double() / own[-1].clamp(min=1) - rest.double() / rest[-1].clamp(min=1)
    at = len(values) - 1 - int(gain.argmax())
    return float(values[at] if at == 0 else (values[at] + values[at - 1]) / 2)
