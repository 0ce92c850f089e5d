"""Exact top-k by a bfloat16 product that screens and float64 products that decide; the device supplies both.

Notation: w a neuron's vector, u_j a token's row, D = d_model, hats for bfloat16 copies, x_j = w.u_j the real
logit. The product returns y_j, a bfloat16 number that approximates x_j * log2(e).

Proof of the bound. w.u = ^w.^u + (w - ^w).u + ^w.(u - ^u), so by Cauchy-Schwarz the copies lose at most
|w - ^w||u| + |^w||u - ^u|; both differences are exact in float32 and their norms are computed, which is tighter than
the a-priori 2^-8 |w||u| each (the unit roundoff of bfloat16 is 2^-8) and zero for bfloat16 checkpoints. Summing D
products in float32 in any order, even with truncation (unit 2^-23), loses at most gamma_2D |^w||^u| (Higham, Accuracy
and Stability, section 3.1); bfloat16 instructions flush subnormal operands and results, which loses at most
2^-126 (D + sqrt(D) (|w| + |u|)). Call the sum e_j; rounding the result to bfloat16 adds 2^-8 |y_j|. Hence
    x_j log2(e) lies within y_j +- (e_j log2(e) + 2^-8 |y_j|).
Let t be the k-th largest lower end among the collected tokens: k tokens have a real logit of at least t. A token can
belong to the top k only if its upper end reaches t. Tokens that were not collected have y_j below the threshold of the
collection, so one comparison per neuron proves that none was missed; a neuron that fails it is done by `chunked_top`.
The order among the collected comes from float64 dot products rounded to float32 (e_j includes that rounding).

Log-sum-exp. The sum of 2^y over all tokens comes from the same product, in float32. Collected tokens enter with their
exact logits instead, and the mean over the vocabulary of w.u - ^w.^u, known from mean rows, is taken out. What is left
is an error with zero mean and range 2 e; under the softmax p it moves log-sum-exp by at most
e |p - 1/V|_1 + e^2 / 2 (Hoeffding's lemma) plus 2^-8 |y| from the rounding of y, and |p - 1/V|_1 <= sqrt(2 KL), KL =
lse - log V - mean logit (Pinsker). Neurons whose bound exceeds LSE_GUARD are done by `chunked_top`; measured errors are
a hundred times smaller than the bound, see docs/results/topk.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import torch

from builders.topk.chunked import chunked_top
from builders.topk.pairs import dense, first_k
from builders.topk.result import TopK
from builders.topk.vocabulary import FOLD, Vocabulary, row_norms

LSE_GUARD = 1 / 4
CROWD = 16  # a neuron with more than CROWD * (k + 8) blocks of candidates is left to the fallback
_LOG2E = math.log2(math.e)
_ROUND = 2.0**-8 * (1 + 2.0**-6)  # unit roundoff of bfloat16, with room for the arithmetic on bounds
_TINY = 2.0**-126


class Products(Protocol):
    """What a device supplies: the modules `builders.topk.cpu` and `builders.topk.cuda`."""

    ROWS: int  # neurons per chunk

    def product(
        self, low_nD: torch.Tensor, vocabulary: Vocabulary, y_nP: torch.Tensor, scale: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Fills y with scale * ^w.^u (float32 sums, bfloat16 result); returns the maxima and minima of its blocks
        [n, M] and, over the real tokens, the sums of 2^y and 2^-y [n, 2] float64, NaN where a y is NaN."""

    def exact_logits(
        self, w_ND: torch.Tensor, u_VD: torch.Tensor, sets: Sequence[tuple[torch.Tensor, torch.Tensor]]
    ) -> list[torch.Tensor]:
        """float64 w_row . u_token rounded to float32, [P], for each set of (row_P, token_P) without repetitions."""


@dataclass(frozen=True)
class Errors:
    """Upper bounds of e_j for some neurons, in units of y: slope_n * weight + base_n.

    weight_P is |u_j| + r |u_j - ^u_j| by token, with r the largest ratio of the two factors among the neurons, so that
    one product of a neuron's and a token's number bounds both losses; weight_M at least its maximum by block.
    """

    slope_n: torch.Tensor
    base_n: torch.Tensor
    weight_P: torch.Tensor
    weight_M: torch.Tensor

    @staticmethod
    def of(w_nD: torch.Tensor, low_nD: torch.Tensor, vocabulary: Vocabulary) -> Errors:
        d_model = w_nD.shape[1]
        gamma = 2 * d_model * 2.0**-23 / (1 - 2 * d_model * 2.0**-23) + 2.0**-20  # and log2(e), and the result
        norm_n = row_norms(w_nD)
        lost_n = row_norms(w_nD - low_nD)
        slope_n = lost_n + gamma * norm_n
        if vocabulary.block_lost_M.any():  # rows that lose little beside ones that do must not raise the ratio below
            slope_n = torch.maximum(slope_n, 1.5 * 2.0**-10 * norm_n)
        ratio = ((norm_n + lost_n) / slope_n).nan_to_num(0).max()  # a zero row loses nothing
        flushed_n = _TINY * (d_model + math.sqrt(d_model) * (norm_n + vocabulary.norm_P.max()))
        flushed_n[norm_n * vocabulary.norm_P.max() > 2.0**120] = torch.inf  # a partial sum may overflow: no bound
        weight_P = (vocabulary.norm_P + ratio * vocabulary.lost_P).float()
        weight_M = (vocabulary.block_norm_M + ratio * vocabulary.block_lost_M).float()
        scale = _LOG2E * (1 + 2.0**-6)  # covers the float32 arithmetic on bounds
        return Errors((scale * slope_n).float(), (scale * flushed_n).float(), weight_P, weight_M)

    def largest_n(self) -> torch.Tensor:
        return self.slope_n * self.weight_M.max() + self.base_n


@dataclass(frozen=True)
class Collected:
    """Candidates of one sign. y is signed: larger is stronger. enough_N: the t of the proof; -inf if not proven."""

    row_P: torch.Tensor
    token_P: torch.Tensor
    y_P: torch.Tensor
    enough_N: torch.Tensor


def screened_top(w_ND: torch.Tensor, vocabulary: Vocabulary, k: int, memory_bytes: int, device: Products) -> TopK:
    """Top k of both signs of w_ND @ u_VD^T (float32, finite). Works on about 2 x `memory_bytes`.

    4 * FOLD * k <= V. The result equals `reference_top`, log-sum-exp as the module says.
    """
    d_model = w_ND.shape[1]
    rows = max(1, min(device.ROWS, memory_bytes // (3 * len(vocabulary.low_PD))))
    group = max(rows, memory_bytes // (16 * d_model))
    parts = [_group(w_nD, vocabulary, k, rows, device) for w_nD in w_ND.split(group)]
    *found, proven_N = (torch.cat(column) for column in zip(*parts, strict=True))
    redo = (~proven_N).nonzero()[:, 0]
    if not len(redo):
        return TopK(*found, n_fallback=0)
    again = chunked_top(w_ND[redo], vocabulary.u_VD, k, memory_bytes)
    for column, field in zip(found, fields(TopK), strict=False):
        column[redo] = getattr(again, field.name)
    return TopK(*found, n_fallback=again.n_fallback)


def _group(w_ND: torch.Tensor, vocabulary: Vocabulary, k: int, rows: int, device: Products) -> tuple[torch.Tensor, ...]:
    """The columns of TopK for some neurons, then which of them are proven."""
    low_ND = w_ND.bfloat16()
    logits_nP = low_ND.new_empty((min(rows, len(w_ND)), len(vocabulary.low_PD)))
    sums, largest, chunks = [], [], ([], [])
    for start in range(0, len(w_ND), rows):
        part = slice(start, start + rows)
        y_nP = logits_nP[: len(low_ND[part])]
        highest_nM, lowest_nM, sum_n2 = device.product(low_ND[part], vocabulary, y_nP, _LOG2E)
        sums.append(sum_n2)
        errors = Errors.of(w_ND[part], low_ND[part], vocabulary)
        largest.append(errors.largest_n())
        for side, sign, maxima_nM in ((0, 1, highest_nM), (1, -1, lowest_nM.neg_())):
            chunks[side].append(_collect(y_nP, maxima_nM, errors, vocabulary, k, sign, start))
    sides = [Collected(*(torch.cat([getattr(c, f.name) for c in side]) for f in fields(Collected))) for side in chunks]
    logits = device.exact_logits(w_ND, vocabulary.u_VD, [(side.row_P, side.token_P) for side in sides])
    tops = [
        first_k(side.row_P, side.token_P, sign * logit_P, len(w_ND), k)
        for sign, side, logit_P in zip((1, -1), sides, logits, strict=True)
    ]
    strongest = [logit_NK[:, 0].double() for _, logit_NK in tops]
    mean_N = w_ND.double() @ vocabulary.mean_D
    shift_N = mean_N - low_ND.double() @ vocabulary.low_mean_D
    error_N, reach_N = torch.cat(largest).double() / _LOG2E, torch.maximum(*strongest).abs()
    all_lse, proven_N = [], torch.ones_like(mean_N, dtype=torch.bool)
    for sign, side, logit_P, top_N, sum_N in zip((1, -1), sides, logits, strongest, torch.cat(sums).T, strict=True):
        known = (sign * logit_P.double(), top_N, reach_N, sum_N, len(vocabulary.u_VD))
        lse_N, bound_N = _log_sum_exp(side, *known, sign * mean_N, sign * shift_N, error_N)
        proven_N &= (side.enough_N > -torch.inf) & (bound_N < LSE_GUARD) & ~sum_N.isnan()
        all_lse.append(lse_N)
    (raised, raised_logit), (lowered, lowered_logit) = tops
    return raised, raised_logit, lowered, -lowered_logit, *all_lse, proven_N


def _collect(
    y_nP: torch.Tensor, maxima_nM: torch.Tensor, errors: Errors, vocabulary: Vocabulary, k: int, sign: int, offset: int
) -> Collected:
    """The tokens of one sign that can belong to the top k, rows counted from `offset`."""
    n, padded = y_nP.shape
    error_n = errors.largest_n()
    fold = maxima_nM.shape[1] // (4 * k)
    slope_n1, weight_M = errors.slope_n[:, None], errors.weight_M
    lower_nM = torch.addcmul(maxima_nM, slope_n1, weight_M, value=-1)
    lower_nS = lower_nM[:, : fold * (maxima_nM.shape[1] // fold)].unflatten(1, (fold, -1)).amax(1)
    kth_n = lower_nS.topk(k, dim=1, sorted=False).values.amin(1) - errors.base_n  # but for rounding, k tokens reach it
    floor_n = kth_n - 2 * (1 + 2.0**-6) * (_ROUND * (kth_n.abs() + error_n) + errors.base_n)
    picked_nM = torch.addcmul(maxima_nM, slope_n1, weight_M) >= floor_n[:, None]
    row_B, block_B = _nonzero(picked_nM)
    crowded_n = torch.bincount(row_B, minlength=n) > CROWD * (k + 8)
    if crowded_n.any():
        roomy_B = ~crowded_n[row_B]
        row_B, block_B = row_B[roomy_B], block_B[roomy_B]

    token_BF = vocabulary.block_token_MF.index_select(0, block_B)
    place_B = (token_BF + row_B[:, None] * padded).view(-1)
    y_BF = y_nP.view(-1).index_select(0, place_B).float().mul_(sign).view(-1, FOLD)
    inside = (y_BF >= (floor_n - error_n)[row_B, None]).view(-1).nonzero()[:, 0]
    row_P = row_B.index_select(0, inside // FOLD)
    token_P, y_P = token_BF.view(-1).index_select(0, inside), y_BF.view(-1).index_select(0, inside)
    y_P.masked_fill_(token_P >= len(vocabulary.u_VD), -torch.inf)  # padding
    slope_P, base_P = errors.slope_n.index_select(0, row_P), errors.base_n.index_select(0, row_P)
    error_P = slope_P * errors.weight_P.index_select(0, token_P) + base_P + _ROUND * y_P.abs()
    (lower_nC,) = dense(row_P, n, k, (y_P - error_P, -torch.inf))
    enough_n = lower_nC.topk(k, dim=1, sorted=False).values.amin(1)
    can = (y_P + error_P >= enough_n.index_select(0, row_P)).nonzero()[:, 0]
    safe_n = ~crowded_n & (floor_n + errors.base_n + _ROUND * (floor_n.abs() + error_n) < enough_n)
    kept = [column.index_select(0, can) for column in (row_P + offset, token_P, y_P)]
    return Collected(*kept, torch.where(safe_n, enough_n, -torch.inf))


def _nonzero(picked_nM: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(row, column) of the few true entries, M a multiple of 8: eight are looked at together first."""
    eights = picked_nM.view(-1).view(torch.int64).nonzero()[:, 0]
    inside = picked_nM.view(-1, 8).index_select(0, eights).view(-1).nonzero()[:, 0]
    flat = eights.index_select(0, inside // 8) * 8 + inside % 8
    return flat // picked_nM.shape[1], flat % picked_nM.shape[1]


def _log_sum_exp(
    side: Collected,
    logit_P: torch.Tensor,
    top_N: torch.Tensor,
    reach_N: torch.Tensor,
    sum_N: torch.Tensor,
    n_vocab: int,
    mean_N: torch.Tensor,
    shift_N: torch.Tensor,
    error_N: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-sum-exp [N], proven bound of its error [N]) of one sign, float64, in natural units.

    logit_P exact and signed, top_N the largest of a neuron, reach_N its largest magnitude, sum_N of 2^y, mean_N the
    mean logit and shift_N what the copies take from it, error_N the largest e_j.
    """
    exact_N = torch.zeros_like(sum_N).index_add(0, side.row_P, (logit_P - top_N[side.row_P]).exp())
    screened_N = torch.zeros_like(sum_N).index_add(0, side.row_P, side.y_P.double().exp2())
    held_N = (sum_N > 2.0**-100) & (sum_N < 2.0**120)  # float32 held the powers; otherwise the rest is left out
    rest_N = torch.where(held_N, (sum_N - screened_N).clamp(min=0) * (shift_N - top_N).exp(), 0)
    lse_N = top_N + (exact_N + rest_N).log()

    rounding_N = _ROUND * reach_N
    inexact_N = rounding_N + 2 * error_N * torch.bincount(side.row_P, minlength=len(top_N)) / n_vocab
    divergence_N = (lse_N - math.log(n_vocab) - mean_N + inexact_N).clamp(min=0)
    pinsker_N = error_N * (2 * divergence_N).sqrt().clamp(max=2) + error_N**2 / 2 + inexact_N
    share_N = rest_N / (exact_N + rest_N)  # all that can be wrong, when a few tokens hold most of the sum
    bound_N = torch.minimum(pinsker_N, share_N * (2 * error_N + rounding_N).clamp(max=100).expm1())
    left_out_N = n_vocab * (side.enough_N / _LOG2E - top_N).exp() / exact_N
    return lse_N, torch.where(held_N, bound_N, left_out_N)
