"""What an interval holds of texts that it was not found on: cross-fitting over folds.

Axes: C concepts, N neurons, E values of a neuron.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from builders.gaussians.separation import RangeCounts, counted_in, range_queries
from builders.gaussians.sorting import Labelled, chosen_of, counts_below, places_by, running_count
from builders.intervals.best import Intervals, best_intervals, whole_numbers
from builders.intervals.ordered import Ordered


class Found(NamedTuple):
    """The intervals of every concept and neuron."""

    intervals: Intervals
    """Found on all examples, [C, N] each."""
    held_out: RangeCounts
    """What the intervals that were found on the other folds hold of each fold, all folds together; [1, C, N] each."""


def found_in(row: Ordered, labels_NE: Tensor, folds_NE: Tensor, grouped_NE: Tensor, counts_C: np.ndarray) -> Found:
    """`labels_NE`, `folds_NE`: concept (int64) and fold (uint8) of each value; counts_C: values of each concept.

    `grouped_NE`: the places of each concept's values, ascending, one concept after the other.
    """
    intervals = best_without(row, grouped_NE, counts_C)
    n_concepts = counts_C.size
    counts_NCC = np.zeros((len(row.values_NE), n_concepts, n_concepts), np.int32)
    grouped_folds_NE = folds_NE.gather(1, grouped_NE)
    for fold, left_out_NM in places_by(folds_NE):
        left_out_NE = folds_NE == fold
        left_out = Labelled(row.values_NE.gather(1, left_out_NM), labels_NE.gather(1, left_out_NM))
        counts_left_C = torch.bincount(left_out.concepts_NE[0], minlength=n_concepts).cpu().numpy()
        place_NM = chosen_of(grouped_NE, grouped_folds_NE != fold)
        training = best_without(row, place_NM, counts_C - counts_left_C, left_out_NE)
        bounds = (each.cpu().numpy()[None] for each in (training.lower, training.upper))
        below_NQC = counts_below(left_out, range_queries(*bounds), n_concepts)
        below_N2CC = below_NQC.reshape(-1, 2, n_concepts, n_concepts)
        # An interval without a value, where no example of the concept is in the other folds, ends before it begins.
        counts_NCC += np.maximum(below_N2CC[:, 1] - below_N2CC[:, 0], 0)
    return Found(intervals, counted_in(counts_NCC[:, None], counts_C))


def best_without(row: Ordered, place_NM: Tensor, counts_C: np.ndarray, left_out_NE: Tensor | None = None) -> Intervals:
    """The best intervals of every concept, found without the values that are left out; [C, N] each.

    `place_NM`: the places of the others, those of the counts_C values of each concept together.
    """
    values_NM, below = row.values_NE.gather(1, place_NM), None
    if left_out_NE is not None:
        below = running_count(left_out_NE)

    n_all, start, found = int(counts_C.sum()), 0, []
    kind = whole_numbers(n_all, int(counts_C.max()))

    def remaining(counts_NE: Tensor) -> Tensor:
        """How many of the values that a place counts are not left out."""
        counts_NM = counts_NE.gather(1, place_NM).long() if row.tied else place_NM
        return counts_NM.to(kind) if below is None else counts_NM.to(kind).sub_(below.gather(1, counts_NM))

    smaller_NM = remaining(row.first_NE)
    not_larger_NM = remaining(row.last_NE) if row.tied else None
    for n in counts_C.tolist():
        part = slice(start, start + n)
        ends = None if not_larger_NM is None else not_larger_NM[:, part]
        found.append(best_intervals(values_NM[:, part], smaller_NM[:, part], ends, n_all))
        start += n
    return Intervals(*(torch.stack(each) for each in zip(*found, strict=True)))
