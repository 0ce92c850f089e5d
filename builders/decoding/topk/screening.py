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

The sum of 2^y over all tokens comes from the same product; log_sum_exp.py makes log-sum-exp of it, with a bound of
its own. Neurons whose bound exceeds LSE_GUARD are done by `chunked_top`.

The products are spread over the device's workers by chunks of neurons; what follows is for all neurons at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Protocol, TypeVar

import torch

from builders.decoding.topk.bounds import Errors
from builders.decoding.topk.chunked import chunked_top
from builders.decoding.topk.collect import Collected, Collector, Search
from builders.decoding.topk.log_sum_exp import LSE_GUARD, LSE_GUARD_WITHOUT_MOMENTS, Known, log_sum_exp
from builders.decoding.topk.pairs import first_k
from builders.decoding.topk.result import TopK
from builders.decoding.topk.rounding import LOG2E
from builders.decoding.topk.vocabulary import FOLD, TILE, Segment, Vocabulary

T, R = TypeVar("T"), TypeVar("R")
_LEAST_ROWS = 32  # per chunk, however little memory there is: fewer would make the product inefficient


class Products(Search, Protocol):
    """What a device supplies: the modules `builders.decoding.topk.cpu` and `builders.decoding.topk.cuda`."""

    ROWS: int  # neurons per chunk
    SEGMENT: int  # tokens per chunk, a multiple of TILE

    def workers(self) -> int:
        """How many parts are worked on at a time."""

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """[work(item) for item in items], by all workers."""

    def scratch(self, size: int, device: torch.device) -> torch.Tensor:
        """Memory for so many bfloat16 numbers."""

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
    """What screening left of some neurons: the candidates of both signs, the sums of 2^y and 2^-y, what is known."""

    sides: list[Collected]  # raised, lowered
    sum_n2: torch.Tensor
    known: Known

    @staticmethod
    def join(parts: list[Part]) -> Part:
        """All neurons, one part after another."""
        sizes = [len(part.sum_n2) for part in parts]
        sides = [Collected.join(side, sizes) for side in zip(*(part.sides for part in parts), strict=True)]
        return Part(sides, torch.cat([part.sum_n2 for part in parts]), Known.join([part.known for part in parts]))


def screened_top(w_ND: torch.Tensor, vocabulary: Vocabulary, k: int, memory_bytes: int, device: Products) -> TopK:
    """Top k of both signs of w_ND @ u_VD^T (float32, finite). Works on about 3 x `memory_bytes`.

    8 * FOLD * k <= V. The result equals `reference_top`, log-sum-exp as the module says.
    """
    vocabulary.prepare()
    if vocabulary.kept and not (vocabulary.lossless and torch.equal(w_ND.bfloat16().float(), w_ND)):
        _ = vocabulary.moments  # before several threads ask for it
    tokens, workers = min(device.SEGMENT, len(vocabulary.low_PD)), device.workers()
    rows = workers * min(device.ROWS, max(_LEAST_ROWS, memory_bytes // (3 * tokens * workers)))
    columns = []
    for w_nD in w_ND.split(max(rows, memory_bytes // (32 * w_ND.shape[1]))):
        rounds = -(-len(w_nD) // rows)
        columns.append(_group(w_nD, -(-len(w_nD) // (rounds * workers)), vocabulary, k, device))
    *found, proven_N = (torch.cat(column) for column in zip(*columns, strict=True))
    redo = (~proven_N).nonzero()[:, 0]
    if not len(redo):
        return TopK(*found, n_fallback=0)
    again = chunked_top(w_ND[redo], vocabulary.u_VD, k, memory_bytes)
    for column, field in zip(found, fields(TopK), strict=False):
        column[redo] = getattr(again, field.name)
    return TopK(*found, n_fallback=again.n_fallback)


def _group(
    w_ND: torch.Tensor, chunk: int, vocabulary: Vocabulary, k: int, device: Products
) -> tuple[torch.Tensor, ...]:
    """The columns of TopK for some neurons, then which of them are proven."""
    parts = device.each(lambda w_nD: _screen(w_nD, vocabulary, k, device), w_ND.split(chunk))
    part = Part.join(parts)
    row_P, token_P = (torch.cat([getattr(side, name) for side in part.sides]) for name in ("row_P", "token_P"))
    logit_P = device.exact_logits(w_ND, vocabulary, row_P, token_P)
    logits = logit_P.split([len(side.row_P) for side in part.sides])
    scores = [sign * logit_P for sign, logit_P in zip((1, -1), logits, strict=True)]
    tops = []
    for sides, score_P in zip(zip(*(part.sides for part in parts), strict=True), scores, strict=True):
        split = zip(sides, score_P.split([len(side.row_P) for side in sides]), strict=True)  # bounds the memory
        found = [first_k(s.row_P, s.token_P, score, len(s.enough_n), k, device.largest) for s, score in split]
        tops.append([torch.cat(column) for column in zip(*found, strict=True)])
    strongest = [logit_NK[:, 0].double() for _, logit_NK in tops]
    known = part.known.reaching(torch.maximum(*strongest).abs())
    guard = LSE_GUARD if vocabulary.kept else LSE_GUARD_WITHOUT_MOMENTS
    lse, proven_n = [], torch.ones(len(w_ND), dtype=torch.bool, device=w_ND.device)
    for sign, side, score_P, top_n, sum_n in zip((1, -1), part.sides, scores, strongest, part.sum_n2.T, strict=True):
        lse_n, bound_n = log_sum_exp(side, score_P.double(), top_n, sum_n, known, sign)
        proven_n &= (side.enough_n > -torch.inf) & (bound_n < guard) & ~sum_n.isnan()
        lse.append(lse_n)
    (raised, raised_logit), (lowered, lowered_logit) = tops
    return raised, raised_logit, lowered, -lowered_logit, *lse, proven_n


def _screen(w_nD: torch.Tensor, vocabulary: Vocabulary, k: int, device: Products) -> Part:
    """The product of a chunk, and what can be told from it."""
    low_nD, padded = w_nD.bfloat16(), len(vocabulary.low_PD)
    errors = Errors.of(w_nD, low_nD, vocabulary)
    sides = [Collector(errors, vocabulary, k, sign, device) for sign in (1, -1)]
    size = max(device.SEGMENT, -(-8 * FOLD * k // TILE) * TILE)
    y = device.scratch(len(w_nD) * min(size, padded), w_nD.device)
    sum_n2 = 0
    for start in range(0, padded, size):
        segment = vocabulary.segment(start, size)
        highest_nM, lowest_nM, part_n2 = device.product(low_nD, segment, y, LOG2E)
        sum_n2 = sum_n2 + part_n2
        sides[0].add(y, segment, highest_nM)
        sides[1].add(y, segment, lowest_nM.neg_())
    return Part([side.collected() for side in sides], sum_n2, Known.of(w_nD, low_nD, vocabulary, errors))
