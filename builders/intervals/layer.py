"""All that is stored about intervals and chance for the neurons of one (site, layer), tile by tile.

Axes: E values of a neuron, C concepts, N neurons, B permutations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from builders.intervals.best import Intervals
from builders.intervals.grouped import NOT_LARGER, SMALLER, grouped
from builders.intervals.held_out import found_in
from builders.intervals.measures import (
    p_values,
    point_biserial,
    rank_correlation,
    stratified_auc,
    sums_of_concepts,
    thresholds,
)
from builders.intervals.ordered import ordered
from builders.intervals.permutations import Chance, Maxima, joined
from builders.intervals.tiles import wide_tiles
from builders.threads import in_order, threads_of


@dataclass(frozen=True)
class Examples:
    """What is known of the E values of every neuron, [E] each."""

    labels_E: np.ndarray
    """Concept, int64."""
    folds_E: np.ndarray
    """Fold of the text, int64."""
    tokens_E: np.ndarray
    """Length of the text's prompt in tokens, int64."""
    strata_E: np.ndarray
    """Which of some groups of texts of similar length, int64."""

    def counts_C(self) -> np.ndarray:
        """Values of each concept."""
        return np.bincount(self.labels_E)


@dataclass(frozen=True)
class LayerIntervals:
    """One array per stored column, [C, N] where nothing else is said; NaN where NULL is stored."""

    lower: np.ndarray
    upper: np.ndarray
    """float32, perhaps infinite."""
    inside: np.ndarray
    others_inside: np.ndarray
    held_inside: np.ndarray
    held_others_inside: np.ndarray
    held_worst_concept: np.ndarray
    held_worst_inside: np.ndarray
    """inside .. held_worst_inside: whole numbers; held_worst_concept is -1 where there is no other concept."""
    ap: np.ndarray
    ap_low: np.ndarray
    best_f1: np.ndarray
    point_biserial: np.ndarray
    stratified_auc: np.ndarray
    p: np.ndarray
    length_correlation: np.ndarray
    """[N]."""
    maxima: Maxima


def find_intervals(
    acts_EN: np.ndarray | Tensor, examples: Examples, chance: Chance, device: torch.device
) -> LayerIntervals:
    """Of every concept on every neuron (column) of acts_EN, finite and float32; `chance`: on the same `device`.

    On a CPU as many threads as torch uses work at tiles of neurons. The result of a neuron does not depend on the
    columns beside it.
    """
    n_examples, width = acts_EN.shape
    tile_width, at_once = wide_tiles(width, n_examples, len(examples.counts_C()), device)

    def find(start: int) -> LayerIntervals:
        acts_EN_tile = acts_EN[:, start : start + tile_width]
        if not isinstance(acts_EN_tile, Tensor):
            acts_EN_tile = torch.from_numpy(np.array(acts_EN_tile))  # a copy: the file is read-only
        return _of_tile(acts_EN_tile.to(device).T.contiguous(), examples, chance)

    starts, n_threads = range(0, width, tile_width), min(at_once, threads_of(device))
    return _join(list(in_order(find, starts, n_threads) if n_threads > 1 else map(find, starts)))


def _of_tile(acts_NE: Tensor, examples: Examples, chance: Chance) -> LayerIntervals:
    labels_E, counts_C, row = examples.labels_E, examples.counts_C(), ordered(acts_NE)
    n_folds = int(examples.folds_E.max()) + 1
    values = grouped(row, labels_E, examples.folds_E, n_folds)
    intervals, held_out = found_in(values, acts_NE, labels_E, examples.folds_E, n_folds)
    ends = (values.of_all(count).split(counts_C.tolist()) for count in (SMALLER, NOT_LARGER))
    of_thresholds = [thresholds(*each, len(labels_E)) for each in zip(*ends, strict=True)]
    ap, ap_low, best_f1 = (torch.stack(each).cpu().numpy() for each in zip(*of_thresholds, strict=True))
    twice_ranks_NE, tie_term_N = row.twice_ranks_NE(), row.tie_term_N()
    twice_u = sums_of_concepts(twice_ranks_NE, labels_E) - (counts_C * (counts_C + 1))[:, None]
    return LayerIntervals(
        **_numbers(intervals),
        **{f"held_{name}": values[0] for name, values in held_out._asdict().items()},
        ap=ap,
        ap_low=ap_low,
        best_f1=best_f1,
        point_biserial=point_biserial(acts_NE, labels_E),
        stratified_auc=stratified_auc(row, labels_E, examples.strata_E),
        p=p_values(twice_u, counts_C, tie_term_N),
        length_correlation=rank_correlation(twice_ranks_NE, examples.tokens_E, tie_term_N),
        maxima=chance.maxima(row, twice_ranks_NE),
    )


def _numbers(intervals: Intervals) -> dict[str, np.ndarray]:
    return {name: values.cpu().numpy() for name, values in intervals._asdict().items()}


def _join(tiles: list[LayerIntervals]) -> LayerIntervals:
    """Put the tiles side by side along their neuron axis."""
    columns = {
        name: np.concatenate([getattr(tile, name) for tile in tiles], axis=-1)
        for name in vars(tiles[0])
        if name != "maxima"
    }
    return LayerIntervals(**columns, maxima=joined([tile.maxima for tile in tiles]))
