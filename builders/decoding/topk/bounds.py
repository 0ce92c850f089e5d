"""How far a bfloat16 product can be from the real logits: the e_j of the proof in screening.py."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from builders.decoding.topk.rounding import LOG2E, TINY
from builders.decoding.topk.vocabulary import Vocabulary, row_norms


@dataclass(frozen=True)
class Errors:
    """Upper bounds of e_j for some neurons, in units of y: slope_n * weight_P + base_n.

    The copies lose |w - ^w| |u_j| + |^w| |u_j - ^u_j|; with weight_j = |u_j| + r |u_j - ^u_j| and r =
    vocabulary.loss_ratio, one product of a neuron's and a token's number bounds both, if only slope is at least
    |w - ^w| and |^w| / r.

    In natural units, for log-sum-exp: norm_n = |w|, lost_n = |w - ^w|, and adding_n, the part of the errors that is not
    the copies' but comes from adding up, at most.
    """

    slope_n: torch.Tensor
    base_n: torch.Tensor
    norm_n: torch.Tensor
    lost_n: torch.Tensor
    adding_n: torch.Tensor

    @staticmethod
    def of(w_nD: torch.Tensor, low_nD: torch.Tensor, vocabulary: Vocabulary) -> Errors:
        """The errors of w [n, D] with its bfloat16 copy."""
        d_model = w_nD.shape[1]
        norm_n, lost_n = row_norms(w_nD), row_norms(w_nD - low_nD)
        slope_n = lost_n + vocabulary.gamma * norm_n
        if not vocabulary.lossless:
            slope_n = torch.maximum(slope_n, (norm_n + lost_n) / vocabulary.loss_ratio)
        flushed_n = TINY * (d_model + math.sqrt(d_model) * (norm_n + vocabulary.largest_norm))
        flushed_n[norm_n * vocabulary.largest_norm > 2.0**120] = torch.inf  # a partial sum may overflow: no bound
        scale = LOG2E * (1 + 2.0**-6)  # covers the float32 arithmetic on bounds
        adding_n = (1 + 2.0**-6) * (vocabulary.gamma * norm_n * vocabulary.largest_norm + flushed_n)
        return Errors((scale * slope_n).float(), (scale * flushed_n).float(), norm_n, lost_n, adding_n)

    def largest_n(self, vocabulary: Vocabulary) -> torch.Tensor:
        """The largest e_j of each neuron."""
        return self.slope_n * vocabulary.weight_M.max() + self.base_n
