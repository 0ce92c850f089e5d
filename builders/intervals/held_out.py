"""What an interval holds of texts that it was not found on: cross-fitting over folds.

Axes: E values of a neuron, C concepts, N neurons, S sets of values: all but one fold each, then all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from builders.gaussians.separation import RangeCounts, counted_in, joined_counts
from builders.intervals.best import Intervals, best_intervals, whole_numbers
from builders.intervals.grouped import Grouped

_VALUES = {"cpu": 1 << 18, "cuda": 1 << 24}
"""That are compared at once: on a CPU they and the answers should fit a core's own cache."""
_LEAST_NEURONS = 16


class Found(NamedTuple):
    """The intervals of every concept and neuron."""

    intervals: Intervals
    """Found on all examples, [C, N] each."""
    held_out: RangeCounts
    """What the intervals that were found on the other folds hold of each fold, all folds together; [1, C, N] each."""


def found_in(values: Grouped, acts_NE: Tensor, labels_E: np.ndarray, folds_E: np.ndarray, n_folds: int) -> Found:
    """Of activations in any order, with the concept and the fold of each column."""
    found, counts_C = best_by_fold(values, labels_E, folds_E, n_folds), np.bincount(labels_E)
    return Found(Intervals(*(each[-1] for each in found)), _held_out(found, acts_NE, labels_E, folds_E, counts_C))


def best_by_fold(values: Grouped, labels_E: np.ndarray, folds_E: np.ndarray, n_folds: int) -> Intervals:
    """The best intervals of every concept, found without each fold, and last on all values; [S, C, N] each."""
    counts_C = np.bincount(labels_E)
    held_CF = np.zeros((counts_C.size, n_folds + 1), np.int64)
    np.add.at(held_CF, (labels_E, folds_E), 1)
    n_CS = counts_C[:, None] - held_CF
    kind = whole_numbers(len(labels_E), int(counts_C.max()))
    parts = zip(values.split(counts_C), n_CS, strict=True)
    found = [best_intervals(part, n_S, kind, n_CS.sum(axis=0)) for part, n_S in parts]
    return Intervals(*(torch.stack(each, dim=1) for each in zip(*found, strict=True)))


def _held_out(
    found: Intervals, acts_NE: Tensor, labels_E: np.ndarray, folds_E: np.ndarray, counts_C: np.ndarray
) -> RangeCounts:
    """A value is compared with the intervals that were found without its fold."""
    by_fold = np.argsort(folds_E, kind="stable")
    order_E = torch.from_numpy(by_fold).to(acts_NE.device)
    labels_E, counts_F = labels_E[by_fold], np.bincount(folds_E)
    # Few neurons at a time: their values are read for each concept, and should stay in the cache.
    width = max(_LEAST_NEURONS, _VALUES[acts_NE.device.type] // len(labels_E))
    parts = []
    for start in range(0, len(acts_NE), width):
        neurons = slice(start, start + width)
        of_these = Intervals(*(each[..., neurons] for each in found))
        parts.append(_counted(of_these, acts_NE[neurons, order_E], labels_E, counts_F, counts_C))
    return joined_counts(parts, axis=2)


def _counted(
    found: Intervals, acts_ME: Tensor, labels_E: np.ndarray, counts_F: np.ndarray, counts_C: np.ndarray
) -> RangeCounts:
    """The same of M neurons and values that come fold by fold."""
    acts_EM = acts_ME.T.contiguous()
    inside_EM = torch.empty_like(acts_EM)
    by_concept = torch.from_numpy(np.argsort(labels_E, kind="stable")).to(acts_EM.device)
    starts_C = torch.from_numpy(np.cumsum(counts_C) - counts_C).to(acts_EM.device)
    by_fold = list(zip(*(each.split(counts_F.tolist()) for each in (acts_EM, inside_EM)), strict=True))
    # What every concept has in every interval is never held at once: that grows with the square of the concepts.
    at_once = max(1, len(labels_E) // counts_C.size)
    parts = []
    for concepts in np.split(np.arange(counts_C.size), range(at_once, counts_C.size, at_once)):
        counts_KCM = []
        for concept in concepts:
            for fold, (acts, inside) in enumerate(by_fold):
                torch.clamp(acts, found.lower[fold, concept], found.upper[fold, concept], out=inside)
            # What is inside stays as it is; an empty interval ends before it begins and leaves nothing.
            counts_KCM.append(embedding_bag(by_concept, inside_EM.eq_(acts_EM), starts_C, mode="sum"))
        counts_MKC = torch.stack(counts_KCM).permute(2, 0, 1).int().cpu().numpy()
        parts.append(counted_in(counts_MKC[:, None].copy(), counts_C, concepts))
    return joined_counts(parts)
