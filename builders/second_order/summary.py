"""From the effects of a neuron on many images to one direction, and to the words near it.

Axes: B images, X of them that are used, K later layers times heads, E the width of the projection, J = min(K, E), W
words.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

MOST_USED = 100
"""Images that a direction is of: those with the largest effects, as in arXiv 2406.04341."""


class Summary(NamedTuple):
    """Of one neuron. `direction_E`: of length 1; None where no effect has a length, and then `explained` is too."""

    mean_norm: float
    largest_norm: float
    used: int
    explained: float | None
    direction_E: Tensor | None


def summary(coefficients_BK: Tensor, directions_KE: Tensor) -> Summary:
    """The effects are coefficients @ directions, less their mean over the images: what the neuron adds on one image
    beyond what it adds on all. The direction is the first right singular vector of the largest of them, with the sign
    that more of these effects have along it (and where as many have either, that of their sum). In float64.
    """
    # An orthonormal basis of what the heads write: effects have the same lengths and angles in it.
    basis_EJ, directions_JK = torch.linalg.qr(directions_KE.double().T)
    all_BJ = coefficients_BK.double() @ directions_JK.T
    effects_BJ = all_BJ - all_BJ.mean(0)
    norm_B = effects_BJ.norm(dim=1)
    used = min(MOST_USED, len(norm_B))
    effects_XJ = effects_BJ[norm_B.topk(used).indices]
    _, singular, right = torch.linalg.svd(effects_XJ, full_matrices=False)
    total = float(singular.square().sum())
    # What is left of equal numbers by rounding is no effect.
    if total**0.5 <= 1e-12 * float(all_BJ.norm()):
        return Summary(0.0, 0.0, used, None, None)
    along_X = effects_XJ @ right[0]
    votes = float(along_X.sign().sum()) or float(along_X.sum())
    direction_E = basis_EJ @ (right[0] if votes >= 0 else -right[0])
    explained = float(singular[0].square()) / total
    return Summary(float(norm_B.mean()), float(norm_B.max()), used, explained, direction_E)


class Near(NamedTuple):
    """Words and their cosines, nearest first."""

    words: list[int]
    cosines: list[float]


def near_words(direction_E: Tensor, vectors_WE: Tensor, most: int) -> tuple[Near, Near]:
    """The words whose unit vectors are nearest to a direction, and to its opposite; of equal ones the first."""
    cosine_W = vectors_WE.double() @ direction_E
    order = torch.argsort(cosine_W, descending=True, stable=True)[:most]
    back = torch.argsort(cosine_W, stable=True)[:most]
    return Near(order.tolist(), cosine_W[order].tolist()), Near(back.tolist(), cosine_W[back].tolist())
