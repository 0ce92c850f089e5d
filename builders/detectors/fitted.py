"""The rules of one concept: made on all folds but one and counted on that one, then made on all.

Axes: E examples, M candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from builders.detectors.figures import Figures, figures
from builders.detectors.probe import RIDGE, Standard, standard, wide
from builders.detectors.rule import RIDGES, Proposed, Rule, best_threshold, rules
from builders.detectors.steepest import Intervals, inside

MOST_NEURONS = 8


class Member(NamedTuple):
    """A neuron of a rule. `mean` and `std` are None where the form is interval, the bounds where it is linear."""

    layer: int
    neuron: int
    weight: float
    lower: float | None
    upper: float | None
    mean: float | None
    std: float | None


@dataclass(frozen=True)
class Made:
    """A rule that was made on all texts, and what those that were made on parts of them reach on the rest.

    `layer`, of the form layer: whose neurons it has, and no `members`.
    """

    form: str
    neurons: int
    bias: float
    threshold: float
    figures: Figures
    members: tuple[Member, ...] = ()
    layer: int | None = None


class Chosen(NamedTuple):
    """Candidates, best first, [M] each. The bounds are NaN where the form is not interval."""

    layers: np.ndarray
    neurons: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def places(self) -> list[tuple[int, int]]:
        """(layer, neuron) of each."""
        return list(zip(self.layers.tolist(), self.neurons.tolist(), strict=True))


class Texts(NamedTuple):
    """What is known of the examples of one concept."""

    label_E: np.ndarray
    """bool: whether the text has it."""
    fold_E: np.ndarray
    """int64."""
    n_folds: int
    counts_RE: np.ndarray
    """How often each is drawn (figures.resampled)."""

    def training(self) -> list[np.ndarray]:
        """For each fold the examples of the others, bool; then all."""
        return [self.fold_E != fold for fold in range(self.n_folds + 1)]

    def learnable(self, kept_E: np.ndarray) -> bool:
        """Whether there are training examples of both classes."""
        return 0 < self.label_E[kept_E].sum() < kept_E.sum()


def of_neurons(form: str, chosen: Sequence[Chosen], acts: Callable[[Chosen], Tensor], texts: Texts) -> list[Made]:
    """The rules of 1 to MOST_NEURONS neurons. `chosen`: the candidates of each set of training texts, all texts last.

    `acts`: their activations, [E, M] float32.
    """
    most = min(MOST_NEURONS, len(chosen[-1].neurons))
    score_KE, told_KE = np.zeros((most, len(texts.label_E))), np.zeros((most, len(texts.label_E)), bool)
    for fold, kept_E in enumerate(texts.training()):
        last, out_E = fold == texts.n_folds, ~kept_E
        if not (last or (out_E.any() and texts.learnable(kept_E))):
            continue
        acts_EM = acts(chosen[fold])
        kept, label = (torch.from_numpy(each).to(acts_EM.device) for each in (kept_E, texts.label_E))
        scale = standard(acts_EM[kept])
        if form == "interval":
            found = rules(
                Intervals(acts_EM, kept), label, kept, most, RIDGES[form], first=_first(chosen[fold], acts_EM)
            )
        else:
            proposed = Proposed(scale.of(acts_EM))
            found = rules(lambda residual_T, same=proposed: same, label, kept, most, RIDGES[form])
        for k, rule in enumerate(found if not last else ()):
            score_E = rule.score_E.cpu().numpy()
            score_KE[k, out_E], told_KE[k, out_E] = score_E[out_E], score_E[out_E] >= rule.threshold
    return [
        Made(
            form,
            k + 1,
            rule.bias,
            rule.threshold,
            figures(score_KE[k], told_KE[k], texts.label_E, texts.fold_E, texts.counts_RE),
            tuple(_members(rule, chosen[-1], scale)),
        )
        for k, rule in enumerate(found)
    ]


def of_layer(layers: Sequence[int], acts: Callable[[int], Tensor], texts: Texts) -> Made:
    """The probe of a whole layer. `layers`: which one, for each set of training texts, all texts last.

    `acts`: the activations of a layer, [E, N] float32.
    """
    score_E, told_E = np.zeros(len(texts.label_E)), np.zeros(len(texts.label_E), bool)
    for fold, kept_E in enumerate(texts.training()):
        last, out_E = fold == texts.n_folds, ~kept_E
        if not (last or (out_E.any() and texts.learnable(kept_E))):
            continue
        acts_EN = acts(layers[fold])
        kept, label = (torch.from_numpy(each).to(acts_EN.device) for each in (kept_E, texts.label_E))
        features_EN = standard(acts_EN[kept]).of(acts_EN)
        weights, bias = wide(features_EN[kept], label[kept], RIDGE)
        found = features_EN @ weights + bias
        threshold = best_threshold(found[kept], label[kept])
        if not last:
            score_E[out_E], told_E[out_E] = (each.cpu().numpy()[out_E] for each in (found, found >= threshold))
    reached = figures(score_E, told_E, texts.label_E, texts.fold_E, texts.counts_RE)
    return Made("layer", acts_EN.shape[1], bias, threshold, reached, layer=layers[-1])


def _first(chosen: Chosen, acts_EM: Tensor) -> Proposed:
    """The neuron with the best interval of all, which is the first of the candidates, and that interval."""
    lower, upper = (torch.from_numpy(each[:1].astype(np.float32)).to(acts_EM.device) for each in chosen[2:])
    return Proposed(inside(acts_EM[:, :1], (lower, upper)), (lower, upper))


def _members(rule: Rule, chosen: Chosen, scale: Standard) -> list[Member]:
    found = []
    for i, (place, weight) in enumerate(zip(rule.chosen, rule.weights, strict=True)):
        at = int(chosen.layers[place]), int(chosen.neurons[place])
        if rule.bounds:
            found.append(Member(*at, weight, *rule.bounds[i], None, None))
        else:
            found.append(Member(*at, weight, None, None, float(scale.mean_N[place]), float(scale.std_N[place])))
    return found
