"""The neurons of one place that a rule of few may be made of, for every concept and every set of training texts.

A set of training texts is all but one fold, or, last, all. Two kinds of candidates: those whose best interval has the
largest coverage - leakage, and those whose mean differs most, in standard deviations of all values.

Axes: E examples, one a text; C concepts; F sets of training texts; N neurons; M candidates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from builders.intervals.grouped import grouped
from builders.intervals.held_out import best_by_fold
from builders.intervals.ordered import ordered
from builders.intervals.tiles import wide_tiles
from builders.threads import in_order, threads_of

MOST = 64
"""Candidates of a concept, kind and set of training texts: of one place, and of all places together."""


class Measured(NamedTuple):
    """Of every neuron, [F, C, N]; float64, but the bounds float32."""

    gain: np.ndarray
    """Coverage - leakage of the best interval."""
    lower: np.ndarray
    upper: np.ndarray
    difference: np.ndarray
    """|mean of the concept - mean of the others| / std of all; 0 where the neuron is constant."""


class Candidates(NamedTuple):
    """The best M of N neurons, best first, of equal ones the first; [F, C, M]."""

    neuron: np.ndarray
    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    """NaN where no interval was asked for."""


def measure(
    acts_EN: np.ndarray | Tensor, labels_E: np.ndarray, folds_E: np.ndarray, n_folds: int, device: torch.device
) -> Measured:
    """Every neuron under every concept, tile by tile; on a CPU by as many threads as torch uses.

    A concept without training texts has no gain and no difference, 0.
    """
    n_examples, width = acts_EN.shape
    n_concepts = int(labels_E.max()) + 1
    tile_width, at_once = wide_tiles(width, n_examples, n_concepts, device)

    def of_tile(start: int) -> Measured:
        part = acts_EN[:, start : start + tile_width]
        if not isinstance(part, Tensor):
            part = torch.from_numpy(np.array(part))  # a copy: the file is read-only
        acts_NE = part.to(device).T.contiguous()
        gain, lower, upper = _intervals(acts_NE, labels_E, folds_E, n_folds, n_concepts)
        return Measured(gain, lower, upper, _differences(acts_NE, labels_E, folds_E, n_folds, n_concepts))

    starts, n_threads = range(0, width, tile_width), min(at_once, threads_of(device))
    found = list(in_order(of_tile, starts, n_threads) if n_threads > 1 else map(of_tile, starts))
    return Measured(*(np.concatenate(each, axis=-1) for each in zip(*found, strict=True)))


def best(values_FCN: np.ndarray, bounds: tuple[np.ndarray, np.ndarray] | None = None) -> Candidates:
    """The MOST neurons with the largest values."""
    neuron = np.argsort(-values_FCN, axis=-1, kind="stable")[..., :MOST]

    def of(each: np.ndarray) -> np.ndarray:
        return np.take_along_axis(each, neuron, axis=-1)

    lower, upper = map(of, bounds) if bounds else (np.full(neuron.shape, np.nan, np.float32),) * 2
    return Candidates(neuron, of(values_FCN), lower, upper)


def _intervals(
    acts_NE: Tensor, labels_E: np.ndarray, folds_E: np.ndarray, n_folds: int, n_concepts: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found = best_by_fold(grouped(ordered(acts_NE), labels_E, folds_E, n_folds), labels_E, folds_E, n_folds)
    counts_SC = np.stack([np.bincount(labels_E[folds_E != fold], minlength=n_concepts) for fold in range(n_folds + 1)])
    own_SC, rest_SC = np.maximum(counts_SC, 1), np.maximum(counts_SC.sum(axis=1, keepdims=True) - counts_SC, 1)
    lower, upper, inside, others = (each.cpu().numpy() for each in found)
    return inside / own_SC[..., None] - others / rest_SC[..., None], lower, upper


def _differences(
    acts_NE: Tensor, labels_E: np.ndarray, folds_E: np.ndarray, n_folds: int, n_concepts: int
) -> np.ndarray:
    acts = acts_NE.double()
    own_EC = torch.from_numpy(np.eye(n_concepts)[labels_E]).to(acts.device)
    found = []
    for fold in range(n_folds + 1):
        kept_E = torch.from_numpy(folds_E != fold).to(acts.device)
        part, own = acts[:, kept_E], own_EC[kept_E]
        part = part - part.mean(dim=1, keepdim=True)
        n_C = own.sum(dim=0)
        rest_C = len(own) - n_C
        # The others' mean follows from all, which is 0 now.
        mean_NC = part @ own / n_C.clamp(min=1)
        std_N = part.square().mean(dim=1).sqrt()
        apart_NC = mean_NC.abs() * (1 + n_C / rest_C.clamp(min=1)) / std_N[:, None]
        found.append(torch.where((std_N > 0)[:, None], apart_NC, 0).T)
    return torch.stack(found).cpu().numpy()
