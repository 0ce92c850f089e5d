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

from builders.gaussians.layer import tiles
from builders.gaussians.sorting import chosen_of, stable_order
from builders.intervals.held_out import best_without
from builders.intervals.ordered import ordered
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
    tile_width, at_once = tiles(width, n_examples, n_concepts, 1, 1, device)

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
    row = ordered(acts_NE)
    labels, folds = (torch.from_numpy(each).to(acts_NE.device) for each in (labels_E, folds_E))
    labels_NE, folds_NE = row.each(labels), row.each(folds)
    grouped_NE = stable_order(labels_NE)
    grouped_folds_NE = folds_NE.gather(1, grouped_NE)
    found = []
    for fold in range(n_folds + 1):
        kept = folds_E != fold
        counts_C = np.bincount(labels_E[kept], minlength=n_concepts)
        left_out_NE = None if kept.all() else folds_NE == fold
        place_NM = grouped_NE if kept.all() else chosen_of(grouped_NE, grouped_folds_NE != fold)
        of = best_without(row, place_NM, counts_C, left_out_NE)
        own_C, rest_C = np.maximum(counts_C, 1), np.maximum(counts_C.sum() - counts_C, 1)
        inside, others = of.inside.cpu().numpy(), of.others_inside.cpu().numpy()
        gain = inside / own_C[:, None] - others / rest_C[:, None]
        found.append((gain, of.lower.cpu().numpy(), of.upper.cpu().numpy()))
    gain, lower, upper = (np.stack(each) for each in zip(*found, strict=True))
    return gain, lower, upper


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
