"""Groups of neurons that are active together: connected by the rank correlation of their activations on some tokens.

Spearman's, as a few tokens (the first of a text above all) have activations beyond all others, which would decide
Pearson's. Two neurons are connected from CORRELATED on, of either sign; a group is a connected component, so two of
its neurons may be less alike. The tokens are the same for all neurons.

Few pairs come near, so most are ruled out by a quarter of the work: in some orthonormal directions vectors a and b of
length 1 have the parts h(a) and h(b), and in all others parts of length t, so that |a · b| <= |h(a) · h(b)| + t(a) t(b)
by Cauchy and Schwarz. Directions are drawn at random: of no activations is nearly all beyond them. What may reach
CORRELATED is compared in float64.

Axes: T tokens, N neurons of a layer, R of them, K directions, P pairs.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import rankdata

from builders.components import Components
from builders.weights.best import exceeding
from builders.weights.nearest import margin
from builders.weights.vectors import Vectors

CORRELATED = 0.9
_SHARE = 4
"""One direction for so many tokens: with fewer, many more pairs are left to compare."""
_MANY = 1 / 32
"""Share of pairs that are left from which on all are multiplied: where much is alike, though not enough."""
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
    direction_TK = _directions(n_tokens).to(device)
    parts = Vectors(lambda index: _parts(ranks, index, direction_TK), len(layers), memory_bytes // 8)
    found, rows = Components(width * len(layers)), max(1, memory_bytes // (8 * 4 * width))
    least = CORRELATED - margin(n_tokens)
    for i in range(len(layers)):
        for j in range(i, len(layers)):
            for start in range(0, width, rows):
                some = slice(start, start + rows)
                row_P, column_P = _possible(parts[i][some], parts[j], least)
                if len(row_P) > _MANY * min(rows, width) * width:
                    row_P, column_P = exceeding((ranks.unit(i)[some] @ ranks.unit(j).T).abs_(), least)
                row_P = row_P + start
                if i == j:  # a pair once, and no neuron with itself
                    once_P = row_P < column_P
                    row_P, column_P = row_P[once_P], column_P[once_P]
                for a_p, b_p in zip(row_P.split(_PAIRS), column_P.split(_PAIRS), strict=True):
                    exact_p = ranks.cosines((i, a_p), (j, b_p)).abs() >= CORRELATED
                    a_p, b_p = a_p[exact_p] + i * width, b_p[exact_p] + j * width
                    found.connect(a_p.cpu().numpy(), b_p.cpu().numpy())
    return found.members()


def _directions(n_tokens: int) -> torch.Tensor:
    """[T, K] orthonormal, float64; the same ones always."""
    drawn_TK = np.random.default_rng(0).standard_normal((n_tokens, max(1, n_tokens // _SHARE)))
    return torch.from_numpy(np.linalg.qr(drawn_TK)[0])


def _parts(ranks: Vectors, layer: int, direction_TK: torch.Tensor) -> torch.Tensor:
    """Of the ranks of each neuron as a vector of length 1: its part in the directions, and the length of the rest.

    float32 [N, K + 1]; a constant neuron has none of both.
    """
    unit_NT = (ranks[layer].double() / ranks.norm(layer)[:, None]).nan_to_num_(0)
    head_NK = unit_NT @ direction_TK
    rest_N = (unit_NT.square().sum(1) - head_NK.square().sum(1)).clamp(min=0).sqrt()
    return torch.cat([head_NK, rest_N[:, None]], 1).float()


def _possible(part_RK: torch.Tensor, part_NK: torch.Tensor, least: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows [P], columns [P]) of the pairs that may reach `least`."""
    (head_RK, rest_R), (head_NK, rest_N) = ((each[:, :-1], each[:, -1]) for each in (part_RK, part_NK))
    head_RN = (head_RK @ head_NK.T).abs_()
    row_P, column_P = exceeding(head_RN, least - rest_R[:, None] * rest_N.max())
    may_P = head_RN[row_P, column_P] + rest_R[row_P] * rest_N[column_P] > least
    return row_P[may_P], column_P[may_P]
