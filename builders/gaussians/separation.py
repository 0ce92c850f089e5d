"""How well one neuron tells a concept from the rest: exact AUC, d', overlap, and what falls into a range.

Axes: E examples, C concepts, N neurons, T taus. Nothing here is approximate: U and the counts in ranges are
integers counted on the activations, not derived from the fitted normals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from builders.gaussians.sorting import Labelled, counts_below, rows_with_equal, sort_labelled

if TYPE_CHECKING:
    from builders.build.product import LayerOfParts


def twice_u(acts_EN: np.ndarray, labels_E: np.ndarray, n_concepts: int) -> np.ndarray:
    """2·U of each concept against all other examples, int64 [C, N]; acts_EN is float32.

    U is the Mann-Whitney statistic (Mann & Whitney 1947): pairs (own, other) with own > other, ties counting
    one half; doubled, it is an integer. AUC = twice_u / (2·n·n_rest).
    """
    acts_NE = torch.from_numpy(np.ascontiguousarray(acts_EN.T))
    counts_C = np.bincount(labels_E, minlength=n_concepts)
    return twice_u_of_sorted(sort_labelled(acts_NE, torch.from_numpy(np.asarray(labels_E, np.int64))), counts_C)


def twice_u_of_sorted(everything: Labelled, counts_C: np.ndarray) -> np.ndarray:
    """The same for activations that are sorted already; counts_C: examples of each concept.

    Each pair (own, other) adds to 2U one more than the sign of own - other. The sum of the signs is that of smaller
    minus larger examples over the own ones: among themselves they cancel.
    """
    values_NE, concepts_NE = everything
    width, n = values_NE.shape
    # How many are smaller than each minus how many are larger.
    balance_NE = torch.arange(1 - n, n, 2, device=values_NE.device).repeat(width, 1)
    tied = rows_with_equal(values_NE)
    balance_NE[tied] = _balance(values_NE[tied])
    sums_NC = balance_NE.new_zeros((width, counts_C.size)).scatter_add_(1, concepts_NE, balance_NE)
    return sums_NC.cpu().numpy().T + (counts_C * (n - counts_C))[:, None]


def _balance(values_NE: Tensor) -> Tensor:
    """How many values of an ascending row are smaller than each minus how many are larger, int64."""
    width, n = values_NE.shape
    differs = torch.ones((width, n + 1), dtype=torch.bool, device=values_NE.device)
    torch.ne(values_NE[:, 1:], values_NE[:, :-1], out=differs[:, 1:n])
    # What stands before the first of a group of equal values is smaller, what stands after the last is larger.
    smaller = _last_marked(differs[:, :n])
    larger = _last_marked(differs[:, 1:].flip(1)).flip(1)
    return smaller.sub_(larger).long()


def router_aucs(layer: LayerOfParts, n_concepts: int) -> np.ndarray:
    """AUC of the router's logit for each expert on each concept against all others, [X, C].

    NaN for experts that no router sends tokens to, and for a concept that is alone.
    """
    found_XC = np.full(layer.counts.values_XC.shape, np.nan)
    if layer.logits_RX is None or layer.labels_R is None:
        return found_XC
    logits_RX = layer.logits_RX.cpu().numpy() if isinstance(layer.logits_RX, Tensor) else np.array(layer.logits_RX)
    n_C = np.bincount(layer.labels_R, minlength=n_concepts).astype(np.float64)
    pairs_C1 = (n_C * (len(logits_RX) - n_C))[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        found_XC[: logits_RX.shape[1]] = (twice_u(logits_RX, layer.labels_R, n_concepts) / (2 * pairs_C1)).T
    return found_XC


def _last_marked(marks_NE: Tensor) -> Tensor:
    """For each place the position of the nearest mark at or before it, int32."""
    position = torch.arange(marks_NE.shape[1], dtype=torch.int32, device=marks_NE.device)
    return torch.cummax(marks_NE * position, dim=1).values


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


def ranges_counted(
    everything: Labelled, lower_TCN: np.ndarray, upper_TCN: np.ndarray, counts_C: np.ndarray, edges_NQ: np.ndarray
) -> tuple[RangeCounts, np.ndarray]:
    """Examples of every concept in the closed ranges of every concept, and those below each edge, int32 [N, Q, C].

    counts_C: examples of each concept. Some concepts at a time: what every concept has in every range is never held at
    once, as that grows with the square of the concepts.
    """
    n_taus, n_concepts, width = lower_TCN.shape
    at_once = max(1, everything.values_NE.shape[1] // (2 * n_taus * n_concepts))
    parts, n_edges = [], edges_NQ.shape[1]
    below_edges = np.empty((0, 0, 0), np.int32)
    for concepts in np.split(np.arange(n_concepts), range(at_once, n_concepts, at_once)):
        # A value is <= a bound if it is < the next number above it.
        bounds = np.stack([lower_TCN[:, concepts], np.nextafter(upper_TCN[:, concepts], np.float32(np.inf))])
        queries_NQ = bounds.reshape(-1, width).T
        if not parts:  # one pass over the values for both
            below_NQC = counts_below(everything, np.hstack([edges_NQ, queries_NQ]), n_concepts)
            below_edges, below_NQC = np.split(below_NQC, [n_edges], axis=1)
        else:
            below_NQC = counts_below(everything, queries_NQ, n_concepts)
        below_N2TKC = below_NQC.reshape(-1, 2, n_taus, concepts.size, n_concepts)
        parts.append(counted_in(below_N2TKC[:, 1] - below_N2TKC[:, 0], counts_C, concepts))
    return joined_counts(parts), below_edges


def counted_in(counts_NTKC: np.ndarray, counts_C: np.ndarray, concepts_K: np.ndarray) -> RangeCounts:
    """The same of the ranges of some concepts, [T, K, N] each, from the counts themselves, which are changed: last axes
    the concept with the range, and the concept whose examples are counted.
    """
    counts, ranges = counts_NTKC, np.arange(concepts_K.size)
    inside = counts[..., ranges, concepts_K]
    counts[..., ranges, concepts_K] = 0
    # The quotient of two small integers is correctly rounded: equal shares compare equal, and argmax gives the first.
    share = counts / counts_C
    share[..., ranges, concepts_K] = -1.0
    worst = share.argmax(axis=3)
    worst_inside = np.take_along_axis(counts, worst[..., None], axis=3)[..., 0]
    if counts_C.size == 1:
        worst[:] = -1
    counted = (inside, counts.sum(axis=3), worst, worst_inside)
    return RangeCounts(*(each.astype(np.int32).transpose(1, 2, 0).copy() for each in counted))


def joined_counts(parts: Sequence[RangeCounts], axis: int = 1) -> RangeCounts:
    """Those of all concepts, from those of some each; of all neurons along axis 2."""
    return RangeCounts(*(np.concatenate(each, axis=axis) for each in zip(*parts, strict=True)))
