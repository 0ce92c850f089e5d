"""Several counts in one whole number, each in bits of its own: one addition counts for all of them.

Axes: F counts, W words that hold them, P counts of one word, E examples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_BITS = {torch.int32: 31, torch.int64: 63}
"""Without the sign."""


@dataclass(frozen=True)
class Fields:
    """Where `n` counts are, each at most `most`: the first P of them in the first word, from its lowest bits."""

    n: int
    most: int
    kind: torch.dtype = torch.int32

    @property
    def bits(self) -> int:
        """Of a count."""
        return self.most.bit_length()

    @property
    def words(self) -> int:
        """W."""
        return math.ceil(self.n / (_BITS[self.kind] // self.bits))

    @property
    def per_word(self) -> int:
        """P: as equal as can be."""
        return math.ceil(self.n / self.words)

    @property
    def mask(self) -> int:
        """The bits of the lowest count."""
        return (1 << self.bits) - 1

    def shifts(self) -> Tensor:
        """Of each count of a word, [P]."""
        return torch.arange(self.per_word, dtype=self.kind) * self.bits

    def ones(self, counted_FE: Tensor) -> Tensor:
        """What each example adds to each word, [W, E]: 1 to the counts that count it (bool)."""
        n_examples = counted_FE.shape[1]
        padded = torch.zeros((self.words * self.per_word, n_examples), dtype=self.kind, device=counted_FE.device)
        padded[: self.n] = counted_FE
        shifts_P1 = self.shifts().to(padded.device)[:, None]
        return (padded.view(self.words, self.per_word, n_examples) << shifts_P1).sum(dim=1, dtype=self.kind)
