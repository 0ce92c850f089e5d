"""Counts in equal bins between the smallest and the largest activation of a neuron, for pictures."""

from __future__ import annotations

import numpy as np

from builders.gaussians.sorting import next_float32


def inner_edges(lower_N: np.ndarray, upper_N: np.ndarray, bins: int) -> np.ndarray:
    """The edges between bins, float32 [N, bins - 1]: the smallest that are not below the edges in float64.

    lower_N and upper_N (float64) enclose the activations. Bin k of a neuron is [lower + (upper - lower)·k/bins,
    lower + (upper - lower)·(k+1)/bins), the last one closed: the edges that the view concept_histogram shows. A
    neuron whose bounds are equal has all its counts in bin 0.
    """
    lower, span = lower_N[:, None], (upper_N - lower_N)[:, None]
    return next_float32(np.where(span > 0, lower + span * np.arange(1, bins) / bins, np.inf))


def histogram(below_NQC: np.ndarray, counts_C: np.ndarray) -> np.ndarray:
    """Examples in each bin, int32 [C, N, bins], from what `counts_below` says of `inner_edges`."""
    everyone = np.broadcast_to(counts_C.astype(np.int32), (len(below_NQC), 1, counts_C.size))
    return np.diff(below_NQC, axis=1, prepend=np.int32(0), append=everyone).transpose(2, 0, 1)
