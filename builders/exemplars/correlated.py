"""Groups of neurons that are active together: connected by the rank correlation of their activations on some tokens.

Spearman's, as a few tokens (the first of a text above all) have activations beyond all others, which would decide
Pearson's. Two neurons are connected from CORRELATED on, of either sign; a group is a connected component, so two of
its neurons may be less alike. The tokens are the same for all neurons.

Axes: T tokens, N neurons of a layer, P pairs.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import rankdata

from builders.components import Components
from builders.weights.nearest import margin, products
from builders.weights.vectors import Vectors

CORRELATED = 0.9
_PAIRS = 1 << 14  # compared at a time


def correlated(layers: list[np.ndarray], memory_bytes: int, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """(places of the neurons that are in a group [M], the number of it [M]), in order of first members.

    `layers`: activations [T, N] of each layer; a place is the index of the layer · N + neuron. A neuron that is
    constant on the tokens is in none.
    """
    n_tokens, width = layers[0].shape

    def centred_ranks(index: int) -> torch.Tensor:
        # Twice a mean rank is a whole number, and so is what it is off the mean of all, T + 1.
        twice_TN = 2 * rankdata(layers[index], axis=0) - (n_tokens + 1)
        return torch.from_numpy(np.ascontiguousarray(twice_TN.T, np.float32)).to(device)

    ranks = Vectors(centred_ranks, len(layers), memory_bytes // 2)
    found, least = Components(width * len(layers)), CORRELATED - margin(n_tokens)
    for first, first_column, cosine_RN in products(ranks, memory_bytes // 8):
        near_RN = (cosine_RN.abs() >= least) & (cosine_RN > -torch.inf)
        if first // width == first_column // width:
            near_RN = near_RN.triu(first % width + 1)  # a pair once, and no neuron with itself
        row_P, column_P = near_RN.nonzero(as_tuple=True)
        for row_p, column_p in zip(row_P.split(_PAIRS), column_P.split(_PAIRS), strict=True):
            a_p, b_p = row_p + first % width, column_p
            exact_p = ranks.cosines((first // width, a_p), (first_column // width, b_p)).abs() >= CORRELATED
            a_p, b_p = a_p[exact_p] + first // width * width, b_p[exact_p] + first_column
            found.connect(a_p.cpu().numpy(), b_p.cpu().numpy())
    return found.members()
