"""The linear probe of a whole layer: what few neurons are compared with.

A layer is chosen by how well ridge regression tells the concept on training texts that it leaves out one by one, which
has a closed form; the probe of the layer that does best is a logistic regression on all its neurons.

Axes: E examples, N neurons, C concepts, F sets of training texts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.stats import rankdata
from torch import Tensor
from torch.nn.functional import softplus

from builders.detectors.logistic import balanced

RIDGE = 1.0
"""Penalty of a layer's weights, of standardised activations: with a small one training texts are told without an error,
and a threshold between them is too high for others."""
MOST_EXAMPLES = 2000
"""Texts by which a layer is chosen: its cost grows with their cube."""


class Standard(NamedTuple):
    """What activations are standardised by, [N] each, float64; a neuron that is constant is only moved to 0."""

    mean_N: Tensor
    std_N: Tensor

    def of(self, acts_EN: Tensor) -> Tensor:
        """Standardised, float64."""
        return (acts_EN.double() - self.mean_N) / self.std_N


def standard(acts_EN: Tensor) -> Standard:
    """From the training examples."""
    acts = acts_EN.double()
    std_N = acts.std(dim=0, correction=0)
    return Standard(acts.mean(dim=0), torch.where(std_N > 0, std_N, 1))


def left_out_aucs(acts_EN: Tensor, labels_E: np.ndarray, folds_E: np.ndarray, n_folds: int) -> np.ndarray:
    """AUC of each concept, [F, C], among the training examples of all but one fold, and of all, each left out once.

    0 where a concept has no training example, or has them all.
    """
    n_concepts = int(labels_E.max()) + 1
    found = np.zeros((n_folds + 1, n_concepts))
    for fold in range(n_folds + 1):
        kept = _some(np.flatnonzero(folds_E != fold), labels_E)
        labels_EC = np.eye(n_concepts, dtype=bool)[labels_E[kept]]
        scores_EC = left_out_scores(acts_EN[torch.from_numpy(kept).to(acts_EN.device)], labels_EC)
        own_C = labels_EC.sum(axis=0)
        pairs_C = own_C * (len(kept) - own_C)
        wins_C = np.where(labels_EC, rankdata(scores_EC, axis=0), 0).sum(axis=0) - own_C * (own_C + 1) / 2
        found[fold] = np.where(pairs_C > 0, wins_C / np.maximum(pairs_C, 1), 0)
    return found


def left_out_scores(acts_EN: Tensor, labels_EC: np.ndarray) -> np.ndarray:
    """For each example the score of the ridge regression of the labels (1, -1) on all others, [E, C] float64.

    Activations are standardised over all E. y - y·(K + ridge·1)⁻¹ / its diagonal, with the Gram matrix K (Allen 1974's
    PRESS, in the dual form).
    """
    features = standard(acts_EN).of(acts_EN).float()
    gram = (features @ features.T).double() / features.shape[1] + 1  # the 1 is the intercept's
    gram.diagonal().add_(1)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    target = torch.from_numpy(labels_EC).to(gram) * 2 - 1
    return (target - inverse @ target / inverse.diagonal()[:, None]).cpu().numpy()


def wide(features_EN: Tensor, label_E: Tensor, ridge: float) -> tuple[Tensor, float]:
    """The weights [N] and intercept of the logistic regression (logistic.py) on many features, by L-BFGS."""
    weight_E = balanced(label_E)
    sign_E = torch.where(label_E, 1.0, -1.0).double()

    def loss(packed: np.ndarray) -> tuple[float, np.ndarray]:
        found = torch.from_numpy(packed).to(features_EN.device)
        margin_E = sign_E * (features_EN @ found[:-1] + found[-1])
        slope_E = -sign_E * torch.sigmoid(-margin_E) * weight_E
        value = softplus(-margin_E) @ weight_E + ridge / 2 * found[:-1].square().sum()
        slope = torch.cat([slope_E @ features_EN + ridge * found[:-1], slope_E.sum()[None]])
        return float(value), slope.cpu().numpy()

    start = np.zeros(features_EN.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-7})
    weights = torch.from_numpy(found.x).to(features_EN.device)
    return weights[:-1], float(weights[-1])


def _some(places: np.ndarray, labels_E: np.ndarray) -> np.ndarray:
    """At most MOST_EXAMPLES of the places, ascending, of every concept about the same share."""
    if len(places) <= MOST_EXAMPLES:
        return places
    by_label = places[np.argsort(labels_E[places], kind="stable")]
    return np.sort(by_label[np.linspace(0, len(places) - 1, MOST_EXAMPLES).astype(np.int64)])
