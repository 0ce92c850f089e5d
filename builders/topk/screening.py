"""Exact top-k by a bfloat16 product that screens and float64 products that decide; the device supplies both.

Notation: w a neuron's vector, u_j a token's row, D = d_model, hats for bfloat16 copies, x_j = w.u_j the real
logit. The product returns y_j, a bfloat16 number that approximates x_j * log2(e).

Proof of the bound. w.u = ^w.^u + (w - ^w).u + ^w.(u - ^u), so by Cauchy-Schwarz the copies lose at most
|w - ^w||u| + |^w||u - ^u|; both differences are exact in float32 and their norms are computed, which is tighter than
the a-priori 2^-8 |w||u| each (the unit roundoff of bfloat16 is 2^-8) and zero for bfloat16 checkpoints. Summing D
exact products in float32 in any order, even with truncation (unit 2^-23), loses at most gamma_D |^w||^u| (Higham,
Accuracy and Stability, section 3.1); bfloat16 instructions flush subnormal operands and results, which loses at most
2^-126 (D + sqrt(D) (|w| + |u|)). Call the sum e_j; rounding the result to bfloat16 adds 2^-8 |y_j|. Hence
    x_j log2(e) lies within y_j +- (e_j log2(e) + 2^-8 |y_j|).
Let t be the k-th largest lower end among the collected tokens: k tokens have a real logit of at least t. A token can
belong to the top k only if its upper end reaches t. Tokens that were not collected have y_j below the threshold of the
collection, so one comparison per neuron proves that none was missed; a neuron that fails it is done by `chunked_top`.
The order among the collected comes from float64 dot products rounded to float32 (e_j includes that rounding).

The sum of 2^y over all tokens comes from the same product; `builders.topk.log_sum_exp` makes log-sum-exp of it, with a
bound of its own. Neurons whose bound exceeds LSE_GUARD are done by `chunked_top`.

The work is spread over the device's workers: first the products by chunks of neurons, then the exact logits by tokens,
then the ranking by chunks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Protocol, TypeVar

import torch

from builders.topk.bounds import Errors
from builders.topk.chunked import chunked_top
from builders.topk.collect import Collected, Collector, Search
from builders.topk.log_sum_exp import LSE_GUARD, LSE_GUARD_WITHOUT_MOMENTS, Known, log_sum_exp
from builders.topk.pairs import first_k
from builders.topk.result import TopK
from builders.topk.rounding import LOG2E
from builders.topk.vocabulary import FOLD, TILE, Segment, Vocabulary

T, R = TypeVar("T"), TypeVar("R")
_LEAST_ROWS = 32  # per chunk, however little memory there is: fewer would make the product inefficient


class Products(Search, Protocol):
    """What a device supplies: the modules `builders.topk.cpu` and `builders.topk.cuda`."""

    ROWS: int  # neurons per chunk
    SEGMENT: int  # tokens per chunk, a multiple of TILE

    def workers(self) -> int:
        """How many parts are worked on at a time."""

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """[work(item) for item in items], by all workers."""

    def product(
        self, low_nD: torch.Tensor, segment: Segment, y: torch.Tensor, scale: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Fills y, of at least n * S numbers, with scale * ^w.^u (float32 sums, bfloat16 result), in stripes. Returns
        the maxima and minima of its blocks [n, M] and, over the real tokens, the sums of 2^y and 2^-y [n, 2] float64,
        NaN where a y is NaN."""

    def exact_logits(
        self, w_ND: torch.Tensor, vocabulary: Vocabulary, row_P: torch.Tensor, token_P: torch.Tensor
    ) -> torch.Tensor:
        """float64 w_row . u_token rounded to float32, [P]."""


@dataclass(frozen=True)
class Part:
    """What screening left of some neurons, from `start` on; rows count from there."""

    start: int
    sides: list[Collected]  # raised, lowered
    sum_n2: torch.Tensor
    errors: Errors

    def pairs(self) -> list[int]:
        """How many candidates each side has."""
        return [len(side.row_P) for side in self.sides]


def screened_top(w_ND: torch.Tensor, vocabulary: Vocabulary, k: int, memory_bytes: int, device: Products) -> TopK:
    """Top k of both signs of w_ND @ u_VD^T (float32, finite). Works on about 3 x `memory_bytes`.

    8 * FOLD * k <= V. The result equals `reference_top`, log-sum-exp as the module says.
    """
    vocabulary.prepare()
    if vocabulary.kept and not (vocabulary.lossless and torch.equal(w_ND.bfloat16().float(), w_ND)):
        _ = vocabulary.moments  # before several threads ask for it
    tokens = min(device.SEGMENT, len(vocabulary.low_PD))
    rows = min(device.ROWS, max(_LEAST_ROWS, memory_bytes // (3 * tokens * device.workers())))
    group = max(rows * device.workers(), memory_bytes // (32 * w_ND.shape[1]))
    columns = [_group(w_nD, vocabulary, k, rows, device) for w_nD in w_ND.split(group)]
    *found, proven_N = (torch.cat(column) for column in zip(*columns, strict=True))
    redo = (~proven_N).nonzero()[:, 0]
    if not len(redo):
        return TopK(*found, n_fallback=0)
    again = chunked_top(w_ND[redo], vocabulary.u_VD, k, memory_bytes)
    for column, field in zip(found, fields(TopK), strict=False):
        column[redo] = getattr(again, field.name)
    return TopK(*found, n_fallback=again.n_fallback)


def _group(w_ND: torch.Tensor, vocabulary: Vocabulary, k: int, rows: int, device: Products) -> list[torch.Tensor]:
    """The columns of TopK for some neurons, then which of them are proven."""
    rounds = -(-len(w_ND) // (rows * device.workers()))
    chunk = -(-len(w_ND) // (rounds * device.workers()))
    work = range(0, len(w_ND), chunk)
    parts = device.each(lambda at: _screen(w_ND[at : at + chunk], at, vocabulary, k, device), work)
    row_P = torch.cat([side.row_P + part.start for part in parts for side in part.sides])
    token_P = torch.cat([side.token_P for part in parts for side in part.sides])
    logits = device.exact_logits(w_ND, vocabulary, row_P, token_P).split([sum(part.pairs()) for part in parts])
    work = zip(parts, logits, strict=True)
    done = device.each(lambda item: _finish(w_ND[item[0].start :], *item, vocabulary, k), work)
    return [torch.cat(column) for column in zip(*done, strict=True)]


def _screen(w_nD: torch.Tensor, first: int, vocabulary: Vocabulary, k: int, device: Products) -> Part:
    """The product of a chunk, and what can be told from it."""
    low_nD, padded = w_nD.bfloat16(), len(vocabulary.low_PD)
    errors = Errors.of(w_nD, low_nD, vocabulary)
    sides = [Collector(errors, vocabulary, k, sign, device) for sign in (1, -1)]
    size = max(device.SEGMENT, -(-8 * FOLD * k // TILE) * TILE)
    y = low_nD.new_empty(len(w_nD) * min(size, padded))
    sum_n2 = 0
    for start in range(0, padded, size):
        segment = vocabulary.segment(start, size)
        highest_nM, lowest_nM, part_n2 = device.product(low_nD, segment, y, LOG2E)
        sum_n2 = sum_n2 + part_n2
        sides[0].add(y, segment, highest_nM)
        sides[1].add(y, segment, lowest_nM.neg_())
    return Part(first, [side.collected() for side in sides], sum_n2, errors)


def _finish(
    w_ND: torch.Tensor, part: Part, logit_P: torch.Tensor, vocabulary: Vocabulary, k: int
) -> tuple[torch.Tensor, ...]:
    """The columns of TopK for one part whose exact logits are known, then which of its neurons are proven."""
    n = len(part.sum_n2)
    scores = [sign * score_P for sign, score_P in zip((1, -1), logit_P.split(part.pairs()), strict=True)]
    tops = [first_k(side.row_P, side.token_P, s, n, k) for side, s in zip(part.sides, scores, strict=True)]
    strongest = [logit_nK[:, 0].double() for _, logit_nK in tops]
    known = Known.of(w_ND[:n], vocabulary, part.errors, torch.maximum(*strongest).abs())
    guard = LSE_GUARD if vocabulary.kept else LSE_GUARD_WITHOUT_MOMENTS
    lse, proven_n = [], torch.ones(n, dtype=torch.bool, device=w_ND.device)
    for sign, side, score_P, top_n, sum_n in zip((1, -1), part.sides, scores, strongest, part.sum_n2.T, strict=True):
        lse_n, bound_n = log_sum_exp(side, score_P.double(), top_n, sum_n, known, sign)
        proven_n &= (side.enough_n > -torch.inf) & (bound_n < guard) & ~sum_n.isnan()
        lse.append(lse_n)
    (raised, raised_logit), (lowered, lowered_logit) = tops
    return raised, raised_logit, lowered, -lowered_logit, *lse, proven_n
