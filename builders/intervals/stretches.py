"""The best interval between stretches of a sorted row, under many labellings at once.

What a labelling chooses of a stretch is a small number. Several of them share a float32, which holds whole numbers of
24 bits, so that one addition adds for several labellings: for six with 4 bits each, if no stretch needs more.

Axes: E values of a neuron, N neurons, L labellings, G stretches of a sorted row; H halves of a byte, or 1; K labellings
of a half, with one in four that is none: the last byte of an int32.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from builders.intervals.ordered import Ordered

_AT_ONCE = {"cpu": 1 << 23, "cuda": 1 << 27}
"""Numbers chosen of a stretch that are held at once."""
ROWS = 1 << 16
"""Values whose labels are made numbers at once."""
_BYTES = 3
"""Of a float32 that holds whole numbers."""


class Stretches:
    """Of labellings that choose some of the E values each, bool [E, L]."""

    def __init__(self, chosen_EL: Tensor, own_L: Tensor, other_L: Tensor) -> None:
        """A chosen value adds own to a sum, another takes other from it; whole numbers."""
        self._chosen_EL, self._own_L, self._other_L = chosen_EL, own_L.long(), other_L.long()
        self._packed: dict[int, Tensor] = {}

    def largest_rise(self, row: Ordered, n_stretches: int) -> Tensor:
        """Over all neurons, of each labelling, float64 [L]: how far the sum rises at most between equal stretches."""
        n, device = row.values_NE.shape[1], row.values_NE.device
        cuts_G = torch.unique(torch.arange(n_stretches, device=device) * n // n_stretches)
        # Equal values are in one stretch: a cut among them moves to the first.
        begins_NG = row.first_NE[:, cuts_G]
        moved_N = (begins_NG != cuts_G).any(dim=1)
        as_cut, moved = ((moved_N == each).nonzero()[:, 0] for each in (False, True))
        largest_L = torch.zeros(len(self._own_L), dtype=torch.float64, device=device)
        at_once = max(1, _AT_ONCE[device.type] // (len(cuts_G) * len(largest_L)))
        for rows in filter(len, (*as_cut.split(at_once), *moved.split(at_once))):
            largest_L = torch.maximum(largest_L, self._of_rows(row.examples_NE[rows], begins_NG[rows]))
        return largest_L

    def _of_rows(self, examples_NE: Tensor, begins_NG: Tensor) -> Tensor:
        """The same of the examples in the order of their values, from where the stretches of each row begin."""
        width, n = examples_NE.shape
        sizes_NG = begins_NG.diff(dim=1, append=torch.full_like(begins_NG[:, :1], n))
        longest = int(sizes_NG.max())
        bits = next(bits for bits in (4, 8, 8 * _BYTES) if longest < 1 << bits)
        kind = _whole_numbers(int(self._other_L.max()) * (n + longest))
        both, other = (self._spread(each_L, bits).to(kind) for each_L in (self._own_L + self._other_L, self._other_L))
        offsets_NG = begins_NG + n * torch.arange(width, dtype=begins_NG.dtype, device=begins_NG.device)[:, None]
        sums = embedding_bag(examples_NE.int().view(-1), self._words(bits), offsets_NG.view(-1), mode="sum")
        words_GNW = sums.view(*begins_NG.shape, -1).transpose(0, 1).contiguous()
        if (sizes_NG == sizes_NG[0]).all():
            sizes_NG = sizes_NG[:1]
        return self._gathered(_largest_rise(words_GNW, bits, both, other, sizes_NG.T[:, :, None].to(kind)), bits)

    def _words(self, bits: int) -> Tensor:
        """float32 [E, W], bits of each labelling after the other."""
        if bits not in self._packed:
            per_word = 8 * _BYTES // bits
            padding = -self._chosen_EL.shape[1] % per_word
            weights = 2.0 ** (bits * torch.arange(per_word, device=self._chosen_EL.device))
            parts = []
            for chosen in self._chosen_EL.split(ROWS):
                padded = torch.nn.functional.pad(chosen.float(), (0, padding)).view(len(chosen), -1, per_word)
                parts.append((padded * weights).sum(dim=2))
            self._packed[bits] = torch.cat(parts)
        return self._packed[bits]

    def _spread(self, numbers_L: Tensor, bits: int) -> Tensor:
        """Numbers of labellings where the counts of each are, [H, 1, K]."""
        if bits > 8:
            return numbers_L[None, None]
        halves = 8 // bits
        n_words = math.ceil(len(numbers_L) / (_BYTES * halves))
        padded = numbers_L.new_zeros(n_words * _BYTES * halves)
        padded[: len(numbers_L)] = numbers_L
        spread = numbers_L.new_zeros((halves, n_words, _BYTES + 1))
        spread[..., :_BYTES] = padded.view(n_words, _BYTES, halves).permute(2, 0, 1)
        return spread.view(halves, 1, -1)

    def _gathered(self, numbers_H1K: Tensor, bits: int) -> Tensor:
        """The way back, float64 [L]."""
        if bits <= 8:
            numbers_H1K = numbers_H1K.view(len(numbers_H1K), -1, _BYTES + 1)[..., :_BYTES].permute(1, 2, 0)
        return numbers_H1K.reshape(-1)[: len(self._own_L)].double()


def _whole_numbers(largest: int) -> torch.dtype:
    """The smallest type that holds them."""
    kinds = (torch.int16, torch.int32)
    return next((kind for kind in kinds if largest <= torch.iinfo(kind).max), torch.float64)


def _largest_rise(words_GNW: Tensor, bits: int, both_H1K: Tensor, other_H1K: Tensor, sizes_GN1: Tensor) -> Tensor:
    """Over the neurons, [H, 1, K]: the largest of the best sums that end with each stretch (Kadane's algorithm)."""
    halves, width = len(both_H1K), words_GNW.shape[1]
    split_HNW = torch.empty((halves, *words_GNW.shape[1:]), dtype=torch.int32, device=words_GNW.device)
    chosen = torch.empty((halves, width, both_H1K.shape[2]), dtype=both_H1K.dtype, device=words_GNW.device)
    sums, rise = torch.zeros_like(chosen), torch.zeros_like(chosen)
    for words_NW, sizes_N1 in zip(words_GNW, sizes_GN1, strict=True):
        split_HNW[0] = words_NW
        if halves > 1:
            split_HNW[1] = words_NW / 16  # which leaves the fraction out
            split_HNW.bitwise_and_(0x0F0F0F0F)
        chosen.copy_(split_HNW if bits > 8 else split_HNW.view(torch.uint8))
        sums.clamp_(min=0).addcmul_(chosen, both_H1K).sub_(other_H1K * sizes_N1)
        torch.maximum(rise, sums, out=rise)
    return rise.amax(dim=1, keepdim=True)
