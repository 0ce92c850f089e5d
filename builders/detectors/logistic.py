"""Logistic regression of a label, both classes weighing the same: many small problems at once, or one wide one.

    loss = Σ_e w_e · log(1 + exp(∓ s_e)) + ridge / 2 · |β|²,  s_e = b + x_e · β

with w_e = 1 / (2·examples of the class of e) and the sign - for the label, + for the rest. The intercept b is not
penalised. With a ridge above 0 there is one minimum, also where the classes can be told apart without an error.

Axes: B problems, E examples, K features, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

_MOST_STEPS = 50
_TOLERANCE = 1e-14
"""Of the loss: what a Newton step promises to take from it where it is the last."""
_ROUNDING = 1e-13
"""Of the loss: a step that raises it by less has not gone too far."""
_HALVINGS = 30


class Fitted(NamedTuple):
    """`loss` includes the penalty."""

    weights_BK: Tensor
    bias_B: Tensor
    loss_B: Tensor


def balanced(label_E: Tensor) -> Tensor:
    """The weight of each example, float64 [..., E]: each class has one half. A class without examples weighs nothing.

    `label_E`: bool.
    """
    own = label_E.sum(-1, keepdim=True).clamp(min=1)
    rest = (~label_E).sum(-1, keepdim=True).clamp(min=1)
    return torch.where(label_E, 0.5 / own.double(), 0.5 / rest.double())


def newton(features_BEK: Tensor, label_E: Tensor, ridge: float, start: tuple[Sequence[float], float]) -> Fitted:
    """Fit B problems of few features by Newton's method with step halving, in float64.

    `start`: weights of the first features, from which to begin, and the intercept.
    """
    n_problems, n_examples, n_features = features_BEK.shape
    weight_E = balanced(label_E)
    sign_E = torch.where(label_E, 1.0, -1.0).double()
    with_one = torch.cat([features_BEK.double(), features_BEK.new_ones((n_problems, n_examples, 1)).double()], 2)
    penalty_K = torch.full((n_features + 1,), ridge, dtype=torch.float64, device=features_BEK.device)
    penalty_K[-1] = 0

    def loss(found_BK: Tensor) -> Tensor:
        score_BE = (with_one @ found_BK[:, :, None])[..., 0]
        return softplus(-sign_E * score_BE) @ weight_E + (penalty_K * found_BK.square()).sum(1) / 2

    known, bias = start
    found_BK = with_one.new_tensor([*known, *[0.0] * (n_features - len(known)), bias]).repeat(n_problems, 1)
    now_B = loss(found_BK)
    for _ in range(_MOST_STEPS):
        share_BE = torch.sigmoid((with_one @ found_BK[:, :, None])[..., 0])
        slope_BK = ((share_BE - label_E.double()) * weight_E)[:, None] @ with_one
        slope_BK = slope_BK[:, 0] + penalty_K * found_BK
        curve_BE = share_BE * (1 - share_BE) * weight_E
        curve_BKK = (with_one * curve_BE[..., None]).transpose(1, 2) @ with_one + torch.diag(penalty_K)
        # Where the model is sure of every example, nothing bends towards the intercept.
        curve_BKK[:, -1, -1] += 1e-12
        step_BK = torch.linalg.solve(curve_BKK, slope_BK)
        if ((slope_BK * step_BK).sum(1) / 2 < _TOLERANCE).all():
            break
        for _ in range(_HALVINGS):
            next_B = loss(found_BK - step_BK)
            worse_B = next_B > now_B + _ROUNDING
            if not worse_B.any():
                break
            step_BK[worse_B] /= 2
        found_BK, now_B = found_BK - step_BK, next_B
    return Fitted(found_BK[:, :-1], found_BK[:, -1], now_B)
