"""How well the best of many neurons does by luck: what it reaches when the labels are dealt out anew.

The same B permutations of the texts are used for all neurons and layers of a fit, so the largest value over the
neurons, permutation by permutation, is a draw from the distribution of the maximum under the null hypothesis that
labels and activations have nothing to do with each other (Westfall & Young 1993, the single-step maxT procedure).
No forward pass is needed: rank sums of all permutations are one matrix product, sums of labels over stretches of the
sorted rows another, sparse one.

Axes: E values of a neuron, X texts, B permutations, S sizes of concepts, C concepts, N neurons, L labellings (all
permutations of all sizes, then the concepts themselves).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from builders.intervals.ordered import Ordered
from builders.intervals.stretches import ROWS, Stretches

CLOSE = 1.25
"""Concepts whose numbers of texts differ by less than this factor share the permutations of the smallest, which give
larger maxima: a test that is a little too strict, never too lenient."""
STRETCHES = 64
"""An interval begins and ends between these equal parts of a sorted row, under the labels as under permutations."""
_EXACT = 1 << 25
"""Half the square of the values of a neuron is the largest sum of ranks: float32 holds whole numbers of 24 bits."""

_HELD_BYTES = 1 << 28


@dataclass(frozen=True)
class Labellings:
    """`chosen_EL`: whether a value belongs to the concept, bool. `size_C`: the size that stands for each concept, an
    index of `n_sizes`."""

    chosen_EL: np.ndarray
    size_C: np.ndarray
    n_sizes: int


@dataclass(frozen=True)
class Maxima:
    """The largest value over some neurons; `auc` is |AUC - 0.5| + 0.5 and `interval` coverage - leakage of the best
    interval between stretches. Of the concepts, [C], and of what chance gives for them, [C, B]; float64."""

    auc: np.ndarray
    interval: np.ndarray
    null_auc: np.ndarray
    null_interval: np.ndarray


def labellings_of(labels_X: np.ndarray, examples_E: np.ndarray, n_permutations: int, seed: int) -> Labellings:
    """Deal the labels of X texts out anew: as many texts as a concept has are drawn for it, B times.

    Whole texts are drawn, as values of the same text (position `all`) are not independent. The draws depend on the
    order of the texts in the corpus and on the seed alone.
    """
    texts_C = np.bincount(labels_X)
    sizes: list[int] = []
    size_C = np.empty(len(texts_C), np.int64)
    for concept in np.argsort(texts_C, kind="stable"):
        if not sizes or texts_C[concept] >= CLOSE * sizes[-1]:
            sizes.append(int(texts_C[concept]))
        size_C[concept] = len(sizes) - 1
    generator, texts_X = np.random.default_rng(seed), np.arange(len(labels_X))
    chosen_SBX = np.zeros((len(sizes), n_permutations, len(labels_X)), bool)
    for permutation in range(n_permutations):  # one at a time: all of a million texts would take gigabytes
        order_X = generator.permuted(texts_X)
        for chosen_BX, size in zip(chosen_SBX, sizes, strict=True):
            chosen_BX[permutation, order_X[:size]] = True
    own_CX = np.arange(len(texts_C))[:, None] == labels_X
    chosen_LX = np.concatenate([chosen_SBX.reshape(-1, len(labels_X)), own_CX])
    return Labellings(np.ascontiguousarray(chosen_LX[:, examples_E].T), size_C, len(sizes))


class Chance:
    """The labellings of one fit on a device, for all its neurons."""

    def __init__(self, labellings: Labellings, device: torch.device) -> None:
        self._labellings = labellings
        chosen_EL = torch.from_numpy(labellings.chosen_EL).to(device)
        n_all = len(chosen_EL)
        self._n_L = chosen_EL.sum(dim=0, dtype=torch.float64)
        # A corpus has another concept as a rule; the pairs of one that is alone are none.
        self._rest_L = (n_all - self._n_L).clamp(min=1)
        # Of many texts it takes gigabytes as numbers: then some values at a time, anew for each tile.
        self._kind = torch.float32 if n_all**2 < _EXACT else torch.float64
        held = chosen_EL.numel() * self._kind.itemsize <= _HELD_BYTES
        self._chosen_EL = chosen_EL.to(self._kind) if held else chosen_EL
        # 1/n for a chosen value and -1/n_rest for another, as the smallest whole numbers in this relation: equal shares
        # are equal, which decides whether luck is as good as the labels.
        shared_L = torch.gcd(self._n_L.long(), self._rest_L.long())
        own_L, other_L = self._rest_L / shared_L, self._n_L / shared_L
        self._stretches = Stretches(chosen_EL, own_L, other_L)
        self._unit_L = self._n_L * own_L

    def maxima(self, row: Ordered, twice_ranks_NE: Tensor) -> Maxima:
        """Over these neurons."""
        found, (n_sizes, size_C) = [], (self._labellings.n_sizes, self._labellings.size_C)
        intervals_L = self._stretches.largest_rise(row, STRETCHES) / self._unit_L
        for largest_L in (self._largest_auc(twice_ranks_NE), intervals_L):
            null, own = np.split(largest_L.cpu().numpy(), [len(largest_L) - len(size_C)])
            found.append((own, null.reshape(n_sizes, -1)[size_C]))
        (auc, null_auc), (interval, null_interval) = found
        return Maxima(auc, interval, null_auc, null_interval)

    def _largest_auc(self, twice_ranks_NE: Tensor) -> Tensor:
        # Sums of whole numbers, exact in any order. Ranks from their mean give the distance of 2U from its own.
        centred_NE = (twice_ranks_NE - (twice_ranks_NE.shape[1] + 1)).to(self._kind)
        at_once = len(self._chosen_EL) if self._chosen_EL.dtype == self._kind else ROWS
        parts = zip(centred_NE.split(at_once, dim=1), self._chosen_EL.split(at_once), strict=True)
        sums_NL = sum(centred @ chosen.to(self._kind) for centred, chosen in parts)
        return 0.5 + sums_NL.abs_().amax(dim=0) / (2 * self._n_L * self._rest_L)


def joined(parts: list[Maxima]) -> Maxima:
    """Over the neurons of all parts."""
    names = ("auc", "interval", "null_auc", "null_interval")
    return Maxima(*(np.max([getattr(part, name) for part in parts], axis=0) for name in names))
