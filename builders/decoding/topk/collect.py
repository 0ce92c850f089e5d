"""The tokens of one sign that can belong to the top k, picked from a bfloat16 product by blocks and by bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch

from builders.decoding.topk.bounds import Errors
from builders.decoding.topk.pairs import dense
from builders.decoding.topk.rounding import ROUND
from builders.decoding.topk.vocabulary import FOLD, Segment, Vocabulary

CROWD = 16  # a neuron with more than CROWD * (k + 8) blocks of candidates is left to the fallback


class Search(Protocol):
    """What a device finds fast."""

    STRIPE: int  # tokens per stripe of y, see `builders.decoding.topk.vocabulary.Segment`

    def at_least(self, x_nC: torch.Tensor, floor_n: torch.Tensor) -> torch.Tensor:
        """Ascending positions in the flattened x_nC of the few values that are at least their row's floor."""

    def largest(self, x_nC: torch.Tensor, k: int) -> torch.Tensor:
        """The k largest values of each row, descending."""


@dataclass(frozen=True)
class Collected:
    """Candidates of one sign. y is signed: larger is stronger. enough_n: the t of the proof; -inf if not proven."""

    row_P: torch.Tensor
    token_P: torch.Tensor
    y_P: torch.Tensor
    enough_n: torch.Tensor

    @staticmethod
    def join(parts: Sequence[Collected], sizes: list[int]) -> Collected:
        """All neurons, one part after another, of which each has as many as `sizes` says."""
        starts = accumulate(sizes, initial=0)
        row_P = torch.cat([part.row_P + start for part, start in zip(parts, starts, strict=False)])
        columns = zip(*((part.token_P, part.y_P, part.enough_n) for part in parts), strict=True)
        return Collected(row_P, *(torch.cat(column) for column in columns))


class Collector:
    """Gathers the candidates of one sign for n neurons, one segment of the vocabulary after another.

    The more of the vocabulary was seen, the higher is the floor under which a token cannot belong to the top k.
    """

    def __init__(self, errors: Errors, vocabulary: Vocabulary, k: int, sign: int, device: Search) -> None:
        self.errors, self.vocabulary, self.k, self.sign, self.device = errors, vocabulary, k, sign, device
        self.error_n = errors.largest_n(vocabulary)
        self.best_nK = self.error_n.new_full((len(self.error_n), k), -torch.inf)  # lower ends that k tokens reach
        self.floor_n = self.best_nK[:, 0]
        self.crowded_n = torch.zeros_like(self.floor_n, dtype=torch.bool)
        self.found: list[tuple[torch.Tensor, ...]] = []

    def add(self, y: torch.Tensor, segment: Segment, maxima_nM: torch.Tensor) -> None:
        """A segment: `y` as `screening.Products.product` leaves it, `maxima_nM` of sign * y."""
        n, n_blocks = maxima_nM.shape
        slope_n1 = self.errors.slope_n[:, None]
        lower_nM = torch.addcmul(maxima_nM, slope_n1, segment.weight_M, value=-1)
        fold = max(1, n_blocks // (8 * self.k))
        lower_nS = lower_nM[:, : fold * (n_blocks // fold)].unflatten(1, (fold, -1)).amax(1)
        self.best_nK = self.device.largest(torch.cat([self.best_nK, lower_nS], 1), self.k)
        kth_n, base_n = self.best_nK.amin(1) - self.errors.base_n, self.errors.base_n  # but for rounding, k reach it
        self.floor_n = kth_n - 2 * (1 + 2.0**-6) * (ROUND * (kth_n.abs() + self.error_n) + base_n)
        upper_nM = torch.addcmul(maxima_nM, slope_n1, segment.weight_M, out=lower_nM)
        row_B, block_B = _row_column(self.device.at_least(upper_nM, self.floor_n), n_blocks)
        self.crowded_n |= torch.bincount(row_B, minlength=n) > CROWD * (self.k + 8)
        if self.crowded_n.any():
            roomy_B = ~self.crowded_n[row_B]
            row_B, block_B = row_B[roomy_B], block_B[roomy_B]

        first_B, step_B = (column.index_select(0, block_B) for column in (segment.first_M, segment.step_M))
        places_BF = step_B[:, None] * torch.arange(FOLD, device=y.device)
        places_BF += segment.place(row_B, first_B, n, self.device.STRIPE)[:, None]
        y_BF = y.index_select(0, places_BF.view(-1)).float().mul_(self.sign).view(-1, FOLD)
        floor_B = (self.floor_n - self.error_n).index_select(0, row_B)
        place_P = self.device.at_least(y_BF, floor_B)
        at_P, inner_P = _row_column(place_P, FOLD)
        token_P = first_B.index_select(0, at_P) + inner_P * step_B.index_select(0, at_P) + segment.start
        self.found.append((row_B.index_select(0, at_P), token_P, y_BF.view(-1).index_select(0, place_P)))

    def collected(self) -> Collected:
        """What of all segments can belong to the top k, by neuron."""
        errors, n_vocab = self.errors, len(self.vocabulary.u_VD)
        row_P, token_P, y_P = (torch.cat(column) for column in zip(*self.found, strict=True))
        high = (y_P >= (self.floor_n - self.error_n).index_select(0, row_P)) & (token_P < n_vocab)  # no padding
        kept = high.nonzero()[:, 0]
        order = kept.index_select(0, row_P.index_select(0, kept).argsort(stable=True))
        row_P, token_P, y_P = (column.index_select(0, order) for column in (row_P, token_P, y_P))
        error_P = errors.slope_n.index_select(0, row_P) * self.vocabulary.weight_P.index_select(0, token_P)
        error_P += errors.base_n.index_select(0, row_P) + ROUND * y_P.abs()
        (lower_nC,) = dense(row_P, len(self.floor_n), self.k, (y_P - error_P, -torch.inf))
        enough_n = self.device.largest(lower_nC, self.k).amin(1)
        can = (y_P + error_P >= enough_n.index_select(0, row_P)).nonzero()[:, 0]
        missed_n = self.floor_n + errors.base_n + ROUND * (self.floor_n.abs() + self.error_n)  # the rest is below
        safe_n = ~self.crowded_n & (missed_n < enough_n)
        pairs = [column.index_select(0, can) for column in (row_P, token_P, y_P)]
        return Collected(*pairs, torch.where(safe_n, enough_n, -torch.inf))


def _row_column(flat: torch.Tensor, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    row = flat // columns
    return row, flat - row * columns
