"""Log-sum-exp from a bfloat16 product, with a proven bound of its error.

Estimate. Collected tokens enter with their exact logits, each other token with exp(y_j + c), where c = shift + bend
takes out what the copies lose: d_j = w.u_j - ^w.^u_j has the mean `shift`, known from mean rows, and the covariance
`bend` with the logits, the next term of the softmax's expansion. c may be any number: the proof counts bend as error.

Proof. Let q_j be the shares of the tokens in the estimated sum, and X_j = x_j - y_j - c for the tokens that were not
collected, 0 for the others; the error is log E_q exp(X). With m^2 >= E_q X^2, s >= q(not collected) and X <= b,
    -sqrt(s) m <= E_q X <= error <= E_q X + E_q X^2 (exp(b) - 1 - b) / b^2 <= sqrt(s) m + m^2 exp(b) / 2
by Cauchy-Schwarz, Jensen's inequality, log(1 + z) <= z and the growth of (exp(z) - 1 - z) / z^2 with z (the step of
Bennett's inequality). X_j = (d_j - shift) - bend + a_j + r_j, and by Minkowski m is the sum of
  * sqrt(V max q) std(d), as q_j <= (V max q) / V. The deviation over the vocabulary comes from its second moments, max
    q from the t of `builders.decoding.topk.screening`, which no token left out reaches;
  * sqrt(s) (|bend| + max |a|): a_j comes from adding up in float32;
  * 2^-8 sqrt(E_q y^2): r_j comes from rounding y_j. Where y > 0, it is below the same t; where y < 0, y^2 exp(y) is at
    most 4 / e^2. Not more, either, than sqrt(s) max |y|.
Without second moments std(d) is unknown. Then d, with zero mean and range 2 e, moves log-sum-exp by at most
e |q - 1/V|_1 + e^2 / 2 (Hoeffding's lemma), and |q - 1/V|_1 <= sqrt(2 KL), KL = lse - log V - mean logit (Pinsker).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch

from builders.decoding.topk.bounds import Errors
from builders.decoding.topk.collect import Collected
from builders.decoding.topk.rounding import LOG2E, ROUND
from builders.decoding.topk.vocabulary import Vocabulary

LSE_GUARD = 1 / 10
LSE_GUARD_WITHOUT_MOMENTS = 1 / 4
_SUMS = 2.0**-12  # what the powers of two and adding them up in float32 lose, relative, with room


@dataclass(frozen=True)
class Known:
    """What is known of n neurons without looking at every logit; float64, natural units, for the raised side.

    mean_n of the logits; shift_n, bend_n, spread_n: mean of d, its covariance with the logits, and a bound of its
    standard deviation, infinite if unknown; error_n, adding_n: the largest e_j, and the part of it that comes from
    adding up; reach_n the largest |logit|, infinite until it is known.
    """

    mean_n: torch.Tensor
    shift_n: torch.Tensor
    bend_n: torch.Tensor
    spread_n: torch.Tensor
    error_n: torch.Tensor
    adding_n: torch.Tensor
    reach_n: torch.Tensor
    n_vocab: int

    @staticmethod
    def of(w_nD: torch.Tensor, low_nD: torch.Tensor, vocabulary: Vocabulary, errors: Errors) -> Known:
        """Of w [n, D] with its bfloat16 copy."""
        mean_n = w_nD.double() @ vocabulary.mean_D
        shift_n = mean_n - low_nD.double() @ vocabulary.low_mean_D
        error_n = errors.largest_n(vocabulary).double() / LOG2E
        bend_n = spread_n = torch.zeros_like(mean_n)
        if not vocabulary.lossless or errors.lost_n.any():
            spread_n = torch.where(errors.lost_n > 0, torch.inf, 0) if vocabulary.lossless else spread_n + torch.inf
            if vocabulary.kept:
                bend_n, spread_n = vocabulary.moments.of_loss(w_nD, low_nD, errors.norm_n, errors.lost_n)
                bend_n = bend_n.nan_to_num(0).clamp(-error_n, error_n)  # no loss is larger
        reach_n = torch.full_like(mean_n, torch.inf)
        return Known(mean_n, shift_n, bend_n, spread_n, error_n, errors.adding_n, reach_n, len(vocabulary.u_VD))

    @staticmethod
    def join(parts: list[Known]) -> Known:
        """All neurons, one part after another."""
        *columns, n_vocab = ([getattr(part, field.name) for part in parts] for field in fields(Known))
        return Known(*(torch.cat(column) for column in columns), n_vocab[0])

    def reaching(self, largest_n: torch.Tensor) -> Known:
        """The same with the largest |logit| among the collected tokens."""
        return replace(self, reach_n=largest_n + self.error_n)


def log_sum_exp(
    side: Collected, logit_P: torch.Tensor, top_n: torch.Tensor, sum_n: torch.Tensor, known: Known, sign: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-sum-exp [n], proven bound of its error [n]) of one sign, float64, in natural units.

    logit_P exact and signed, top_n the largest of a neuron, sum_n of 2^y.
    """
    taken_out_n = sign * known.shift_n + known.bend_n
    exact_n = torch.zeros_like(sum_n).index_add(0, side.row_P, (logit_P - top_n[side.row_P]).exp())
    screened_n = torch.zeros_like(sum_n).index_add(0, side.row_P, side.y_P.double().exp2())
    held_n = (sum_n > 2.0**-90) & (sum_n < 2.0**120)  # float32 held the powers; otherwise the rest is left out
    scale_n = (taken_out_n - top_n).exp()
    rest_n = torch.where(held_n, (sum_n - screened_n).clamp(min=0) * scale_n, 0)
    total_n = exact_n + rest_n
    lse_n = top_n + total_n.log()

    sums_n = _SUMS * sum_n * scale_n / total_n
    share_n = rest_n / total_n + sums_n
    below_n = side.enough_n.double() / LOG2E  # no y that was left out reaches it
    largest_n = known.n_vocab * (below_n + taken_out_n - lse_n).exp()
    bound_n = torch.minimum(
        _by_moments(known, share_n, largest_n, below_n, taken_out_n - lse_n),
        _by_range(known, side, sign * known.mean_n, lse_n, share_n),
    )
    left_out_n = known.n_vocab * (below_n - top_n).exp() / exact_n
    return lse_n, torch.where(held_n, bound_n + sums_n, left_out_n) + 2.0**-23 * known.reach_n


def _by_moments(
    known: Known, share_n: torch.Tensor, largest_n: torch.Tensor, below_n: torch.Tensor, unit_n: torch.Tensor
) -> torch.Tensor:
    """The bound by Bennett's step; largest_n = V max q, unit_n the log of the share of a token with y = 0."""
    negative_n = 4 * math.exp(-2) * known.n_vocab * unit_n.exp()
    squares_n = torch.minimum(share_n * below_n.clamp(min=0) ** 2 + negative_n, share_n * known.reach_n**2)
    constant_n = share_n.sqrt() * (known.bend_n.abs() + known.adding_n)
    m_n = largest_n.sqrt() * known.spread_n + constant_n + ROUND * squares_n.sqrt()
    most_n = 2 * known.error_n + known.bend_n.abs() + ROUND * known.reach_n
    return (share_n.sqrt() * m_n + m_n**2 * most_n.exp() / 2).nan_to_num(torch.inf)


def _by_range(
    known: Known, side: Collected, mean_n: torch.Tensor, lse_n: torch.Tensor, share_n: torch.Tensor
) -> torch.Tensor:
    """The bound by Hoeffding and Pinsker, and by what is not collected at all."""
    error_n, rounding_n = known.error_n, ROUND * known.reach_n
    collected_n = torch.bincount(side.row_P, minlength=len(lse_n)) / known.n_vocab
    inexact_n = rounding_n + 2 * error_n * collected_n + known.bend_n.abs()  # of the mean, and beyond d
    divergence_n = (lse_n - math.log(known.n_vocab) - mean_n + inexact_n).clamp(min=0)
    bound_n = error_n * (2 * divergence_n).sqrt().clamp(max=2) + error_n**2 / 2 + inexact_n
    return torch.minimum(bound_n, share_n * (3 * error_n + rounding_n).clamp(max=100).expm1())
