"""How well one neuron tells a concept from the rest: exact AUC, d', overlap, and what falls into a range.

Axes: E examples, C concepts, N neurons, T taus. Nothing here is approximate: U and the counts in ranges are
integers counted on the activations, not derived from the fitted normals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr


def twice_u(acts_EN: np.ndarray, labels_E: np.ndarray, n_concepts: int) -> np.ndarray:
    """2·U of each concept against all other examples, int64 [C, N].

    U is the Mann-Whitney statistic (Mann & Whitney 1947): pairs (own, other) with own > other, ties counting
    one half; doubled, it is an integer. AUC = twice_u / (2·n·n_rest). From average ranks: with R the sum of a
    concept's ranks in the whole sample, 2U = 2R - n(n + 1).
    """
    acts_NE = np.ascontiguousarray(acts_EN.T)
    width, n = acts_NE.shape
    order = np.argsort(acts_NE, axis=1)
    values = np.take_along_axis(acts_NE, order, axis=1)
    # First and last position of each value's tie group; twice its average 1-based rank is their sum + 2.
    position = np.arange(n)
    starts = np.ones((width, n), dtype=bool)
    starts[:, 1:] = values[:, 1:] != values[:, :-1]
    first = np.maximum.accumulate(np.where(starts, position, 0), axis=1)
    ends = np.ones((width, n), dtype=bool)
    ends[:, :-1] = starts[:, 1:]
    last = np.minimum.accumulate(np.where(ends, position, n)[:, ::-1], axis=1)[:, ::-1]
    # bincount adds in float64, which is exact here: the sums stay below 2^53 up to 6e7 examples.
    slots = labels_E[order] + np.arange(width)[:, None] * n_concepts
    sums = np.bincount(slots.ravel(), weights=(first + last + 2).ravel(), minlength=width * n_concepts)
    own = np.bincount(labels_E, minlength=n_concepts)[:, None]
    return sums.astype(np.int64).reshape(width, n_concepts).T - own * (own + 1)


def dprime(mean_a: np.ndarray, std_a: np.ndarray, mean_b: np.ndarray, std_b: np.ndarray) -> np.ndarray:
    """Sensitivity index (mean_a - mean_b) / sqrt((var_a + var_b) / 2), with the sign of the difference.

    The average-variance form for unequal variances (d_a of Simpson & Fitter 1973). NaN if both are 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (mean_a - mean_b) / np.sqrt((np.square(std_a) + np.square(std_b)) / 2)
    return np.where((std_a == 0) & (std_b == 0), np.nan, value)


def overlap(mean_a: np.ndarray, std_a: np.ndarray, mean_b: np.ndarray, std_b: np.ndarray) -> np.ndarray:
    """Overlapping coefficient of two normals: the integral of min(pdf_a, pdf_b), in [0, 1].

    Closed form (Inman & Bradley 1989): between the two points where the densities cross, the narrow normal is
    the higher one. In units of the narrow one, with distance d >= 0 and ratio r >= 1 of the stds, the points
    solve z^2 (r^2 - 1) + 2dz - d^2 - 2r^2 ln r = 0. A std of 0 is a point mass: it shares nothing with a
    normal (0), and two of them share everything (1) or nothing (0). NaN in, NaN out.
    """
    mean_a, std_a, mean_b, std_b = np.broadcast_arrays(mean_a, std_a, mean_b, std_b)
    narrow, wide = np.minimum(std_a, std_b), np.maximum(std_a, std_b)
    with np.errstate(divide="ignore", invalid="ignore"):
        d = np.abs(mean_a - mean_b) / narrow
        excess = (wide - narrow) / narrow
        r = 1 + excess
        r2_minus_1 = excess * (excess + 2)
        log_r = np.log1p(excess)
        root = r * np.sqrt(d * d + 2 * r2_minus_1 * log_r)
        # The upper point through the product of the roots: no cancellation as r -> 1, where it becomes d/2
        # and the lower one -inf.
        lower = -(d + root) / r2_minus_1
        upper = (d * d + 2 * r * r * log_r) / (d + root)
        # The narrow normal outside (lower, upper) plus the wide one inside.
        shared = ndtr(lower) + ndtr(-upper) + ndtr((upper - d) / r) - ndtr((lower - d) / r)
    same_mean = mean_a == mean_b
    shared = np.where((narrow == wide) & same_mean, 1.0, np.clip(shared, 0.0, 1.0))
    points = (narrow == 0) & ~np.isnan(mean_a + mean_b + wide)
    return np.where(points, np.where((wide == 0) & same_mean, 1.0, 0.0), shared)


def range_bounds(mean32: np.ndarray, std32: np.ndarray, taus: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Closed ranges mean ± tau·std (NeuronLens, arXiv 2502.06809) as float32 (lower, upper), [T, ...] each.

    From the float32 mean and std that are stored, in float64, rounded once: the macros range_lower and
    range_upper of the file give the same bits, and an edit decides its condition in float32.
    """
    mean, std = mean32.astype(np.float64), std32.astype(np.float64)
    half = np.multiply.outer(np.asarray(taus, dtype=np.float64), std)
    with np.errstate(over="ignore"):
        return (mean - half).astype(np.float32), (mean + half).astype(np.float32)


class RangeCounts(NamedTuple):
    """What falls into the range of each (tau, concept, neuron); int32 [T, C, N] each."""

    inside: np.ndarray
    """The concept's own examples in its range."""
    others_inside: np.ndarray
    """Examples of all other concepts in it."""
    worst_concept: np.ndarray
    """The other concept with the largest share of its examples inside (ties: lowest index); -1 if none."""
    worst_inside: np.ndarray
    """The number of that concept's examples inside."""


def range_counts(sorted_CNE: Sequence[np.ndarray], lower_TCN: np.ndarray, upper_TCN: np.ndarray) -> RangeCounts:
    """Count the examples of every concept in the ranges of every concept.

    sorted_CNE: per concept its activations, float32 [N, examples of it], ascending along the last axis.
    """
    n_taus, n_concepts, width = lower_TCN.shape
    lower, upper = (_queries(bound) for bound in (lower_TCN, upper_TCN))
    shape = (width, n_taus, n_concepts)
    inside, others, worst_inside = (np.zeros(shape, dtype=np.int32) for _ in range(3))
    worst_concept = np.full(shape, -1, dtype=np.int32)
    worst_share = np.full(shape, -1.0)
    for concept, sorted_NE in enumerate(sorted_CNE):
        counts = _count(sorted_NE, upper, closed=True) - _count(sorted_NE, lower, closed=False)
        counts = counts.reshape(shape).astype(np.int32)
        inside[..., concept] = counts[..., concept]
        # The quotient of two small integers is correctly rounded: equal shares compare equal.
        share = counts / sorted_NE.shape[1]
        share[..., concept] = -1.0
        counts[..., concept] = 0
        others += counts
        worse = share > worst_share
        worst_share[worse], worst_inside[worse], worst_concept[worse] = share[worse], counts[worse], concept
    return RangeCounts(*(a.transpose(1, 2, 0).copy() for a in (inside, others, worst_concept, worst_inside)))


def _queries(bound_TCN: np.ndarray) -> np.ndarray:
    """[N, T·C]: the bounds of one neuron together."""
    return np.ascontiguousarray(bound_TCN.transpose(2, 0, 1).reshape(bound_TCN.shape[2], -1))


def _count(sorted_NE: np.ndarray, queries_NQ: np.ndarray, *, closed: bool) -> np.ndarray:
    """How many values of each sorted row are < (closed: <=) each query of that row; [N, Q].

    A binary search over all neurons at once: np.searchsorted takes only one sorted row.
    """
    n = sorted_NE.shape[1]
    count = np.zeros(queries_NQ.shape, dtype=np.int64)
    step = 1 << (n.bit_length() - 1)
    while step:
        probe = count + step
        value = np.take_along_axis(sorted_NE, np.minimum(probe, n) - 1, axis=1)
        below = value <= queries_NQ if closed else value < queries_NQ
        count = np.where(below & (probe <= n), probe, count)
        step >>= 1
    return count
