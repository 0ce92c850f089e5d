"""The values of each concept, ascending, and what is counted of each set of values up to them.

A set is all values but those of one fold; the last set is all values. Neurons lie side by side here: one instruction
works at several of them, and a running sum over the values of a concept is a few additions of whole rows.

Axes: E values of a neuron, one concept after the other; N neurons; S sets; W words of counts (packed.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from builders.gaussians.sorting import add_up, stable_order
from builders.intervals.ordered import Ordered
from builders.intervals.packed import Fields

SMALLER, OWN, NOT_LARGER = range(3)
"""Counts of the values of a set: those that are smaller than a value; the concept's own up to it and with it, of equal
ones some; those that are not larger."""


@dataclass(frozen=True)
class Grouped:
    """The values of one concept or of several, one after the other."""

    values_EN: Tensor
    """float32, ascending within each concept."""
    words_E3WN: Tensor
    """SMALLER, OWN and NOT_LARGER of each set."""
    fields: Fields
    """Of the sets."""

    def of_all(self, count: int) -> Tensor:
        """One of the counts, of the set of all values, int32 [E, N]."""
        word, place = divmod(self.fields.n - 1, self.fields.per_word)
        return (self.words_E3WN[:, count, word] >> place * self.fields.bits).bitwise_and_(self.fields.mask)

    def of_sets(self, count: int) -> Tensor:
        """One of the counts, of all sets, int32 [E, S, N]."""
        words_EW1N, shifts_P1 = (
            self.words_E3WN[:, count, :, None],
            self.fields.shifts().to(self.values_EN.device)[:, None],
        )
        counts = (words_EW1N >> shifts_P1).bitwise_and_(self.fields.mask)
        return counts.flatten(1, 2)[:, : self.fields.n]

    def at(self, count: int, places_SN: Tensor) -> Tensor:
        """One of the counts of each set at a place of each neuron, int32 [S, N]."""
        words_EWN, n, shifts_P = self.words_E3WN[:, count], self.fields.per_word, self.fields.shifts()
        found = [words_EWN[:, word].gather(0, places) for word, places in enumerate(places_SN.split(n))]
        shifts_S1 = shifts_P.to(places_SN.device).repeat(self.fields.words)[: len(places_SN), None]
        return torch.cat(found).bitwise_right_shift_(shifts_S1).bitwise_and_(self.fields.mask)

    def own(self, places: Tensor, sets_K: Tensor, neurons_K: Tensor) -> Tensor:
        """OWN of some pairs of a set and a neuron, int64 in the shape that they have with the places."""
        words = self.words_E3WN[places, OWN, sets_K // self.fields.per_word, neurons_K]
        return (words >> sets_K % self.fields.per_word * self.fields.bits) & self.fields.mask

    def split(self, counts_C: np.ndarray) -> list[Grouped]:
        """Each concept for itself, from how many values each has."""
        parts = (each.split(counts_C.tolist()) for each in (self.values_EN, self.words_E3WN))
        return [Grouped(*part, self.fields) for part in zip(*parts, strict=True)]


def grouped(row: Ordered, labels_E: np.ndarray, folds_E: np.ndarray, n_folds: int) -> Grouped:
    """Of the rows of activations in ascending order, from the concept and the fold of each column."""
    device, (width, n) = row.values_NE.device, row.values_NE.shape
    labels, folds = (torch.from_numpy(each).to(device) for each in (labels_E, folds_E))
    place_NE = stable_order(row.each(labels))
    fields = Fields(n_folds + 1, n)
    ones_WE = fields.ones(folds != torch.arange(n_folds + 1, device=device)[:, None])
    words = torch.empty((n, 3, fields.words, width), dtype=fields.kind, device=device)
    for i, ones_E in enumerate(ones_WE):
        ones_NE = row.each(ones_E)
        below_NE, upto_NE = row.running(ones_NE)
        for count, each_NE in ((SMALLER, below_NE), (OWN, ones_NE), (NOT_LARGER, upto_NE)):
            words[:, count, i] = each_NE.gather(1, place_NE).T
    found = Grouped(row.values_NE.gather(1, place_NE).T.contiguous(), words, fields)
    for part in found.split(np.bincount(labels_E)):
        add_up(part.words_E3WN[:, OWN])
    return found
