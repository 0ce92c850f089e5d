"""Log-sum-exp from a bfloat16 product, with a proven bound of its error: see `builders.topk.screening`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from builders.topk.bounds import LOG2E, ROUND
from builders.topk.collect import Collected
from builders.topk.vocabulary import Vocabulary

LSE_GUARD = 1 / 4


@dataclass(frozen=True)
class Known:
    """What is known of n neurons without looking at every logit; float64, natural units, for the raised side.

    mean_n of the logits, shift_n what the copies take from it, bend_n the covariance of that loss with the logits,
    error_n the largest e_j, reach_n the largest |logit|.
    """

    mean_n: torch.Tensor
    shift_n: torch.Tensor
    bend_n: torch.Tensor
    error_n: torch.Tensor
    reach_n: torch.Tensor
    n_vocab: int

    @staticmethod
    def of(w_nD: torch.Tensor, vocabulary: Vocabulary, error_n: torch.Tensor, reach_n: torch.Tensor) -> Known:
        mean_n = w_nD.double() @ vocabulary.mean_D
        low_nD = w_nD.bfloat16()
        shift_n = mean_n - low_nD.double() @ vocabulary.low_mean_D
        bend_n = torch.zeros_like(mean_n)
        lost_nD = w_nD - low_nD
        if vocabulary.kept and (not vocabulary.lossless or lost_nD.any()):
            lost_nE = lost_nD.bfloat16() if vocabulary.lossless else torch.cat([lost_nD.bfloat16(), low_nD], 1)
            bend_n = ((lost_nE @ vocabulary.moments_ED).float() * w_nD).sum(1).double()
            bend_n = bend_n.nan_to_num(0).clamp(-error_n, error_n)  # no loss is larger
        return Known(mean_n, shift_n, bend_n, error_n, reach_n, len(vocabulary.u_VD))


def log_sum_exp(
    side: Collected, logit_P: torch.Tensor, top_n: torch.Tensor, sum_n: torch.Tensor, known: Known, sign: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-sum-exp [n], proven bound of its error [n]) of one sign, float64, in natural units.

    logit_P exact and signed, top_n the largest of a neuron, sum_n of 2^y.
    """
    mean_n, shift_n = sign * known.mean_n, sign * known.shift_n
    exact_n = torch.zeros_like(sum_n).index_add(0, side.row_P, (logit_P - top_n[side.row_P]).exp())
    screened_n = torch.zeros_like(sum_n).index_add(0, side.row_P, side.y_P.double().exp2())
    held_n = (sum_n > 2.0**-100) & (sum_n < 2.0**120)  # float32 held the powers; otherwise the rest is left out
    rest_n = torch.where(held_n, (sum_n - screened_n).clamp(min=0) * (shift_n + known.bend_n - top_n).exp(), 0)
    lse_n = top_n + (exact_n + rest_n).log()

    error_n, rounding_n = known.error_n, ROUND * known.reach_n
    inexact_n = rounding_n + 2 * error_n * torch.bincount(side.row_P, minlength=len(top_n)) / known.n_vocab
    divergence_n = (lse_n - math.log(known.n_vocab) - mean_n + inexact_n).clamp(min=0)
    pinsker_n = error_n * (2 * divergence_n).sqrt().clamp(max=2) + error_n**2 / 2 + inexact_n
    share_n = rest_n / (exact_n + rest_n)  # all that can be wrong, when a few tokens hold most of the sum
    pinsker_n = pinsker_n + known.bend_n.abs()  # which the proof does without
    bound_n = torch.minimum(pinsker_n, share_n * (3 * error_n + rounding_n).clamp(max=100).expm1())
    left_out_n = known.n_vocab * (side.enough_n / LOG2E - top_n).exp() / exact_n
    return lse_n, torch.where(held_n, bound_n, left_out_n)
