"""Everything that is stored about the activations of some neurons of one (site, layer).

Axes: E examples, C concepts, N neurons, T taus. The work goes through tiles of neurons: beyond the
activations given and twice the arrays returned it holds less than 100 bytes for each of
max(TILE_VALUES, MIN_TILE_WIDTH · E) values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from atlas.errors import BuildError, UsageError
from builders.separation import dprime, overlap, range_bounds, range_counts, twice_u
from builders.statistics.base import Statistic
from builders.statistics.normality import ks_of_sorted
from builders.statistics.registry import statistic

TILE_VALUES = 1 << 18
"""Activations worked on at once: small enough for the caches."""
MIN_TILE_WIDTH = 16
"""Fewer neurons than a cache line of float32 would read the same memory again for each tile."""
BLOCK_ROWS = 1 << 16
"""Rows that a streaming statistic gets at once."""


@dataclass(frozen=True)
class LayerStatistics:
    """One array per stored column; float32 where the schema says FLOAT, NaN where it stores NULL."""

    n: np.ndarray
    """Examples per concept, int64 [C]."""
    mean: np.ndarray
    std: np.ndarray
    skewness: np.ndarray
    kurtosis: np.ndarray
    min: np.ndarray
    max: np.ndarray
    mean_abs: np.ndarray
    ks: np.ndarray
    """mean .. ks: float32 [C, N]; skewness, kurtosis and ks are NaN where std is 0."""
    twice_u: np.ndarray
    """int64 [C, N]."""
    dprime: np.ndarray
    overlap: np.ndarray
    """Against the examples of all other concepts, float32 [C, N]; NaN where undefined."""
    inside: np.ndarray
    others_inside: np.ndarray
    worst_concept: np.ndarray
    worst_inside: np.ndarray
    """inside .. worst_inside: int32 [T, C, N], see separation.RangeCounts (worst_concept -1 is NULL)."""
    histogram: np.ndarray
    """int32 [C, N, bins], equal bins between background_min and background_max."""
    background_n: int
    """Examples of all concepts."""
    background_mean: np.ndarray
    background_std: np.ndarray
    background_skewness: np.ndarray
    background_kurtosis: np.ndarray
    background_min: np.ndarray
    background_max: np.ndarray
    background_mean_abs: np.ndarray
    background_ks: np.ndarray
    """background_mean .. background_ks: float32 [N], over the examples of all concepts."""


def separate_and_fit(
    acts_EN: np.ndarray,
    labels_E: np.ndarray,
    n_concepts: int,
    taus: Sequence[float],
    bins: int,
    *,
    where: str = "activations",
    first_neuron: int = 0,
) -> LayerStatistics:
    """Fit and separate every concept on every neuron (column) of acts_EN, float32 with concepts labels_E.

    The result of a neuron does not depend on the columns beside it. acts_EN should be in memory: each tile
    of columns of a memory-mapped file would touch all its pages again.
    `where` and `first_neuron` (the index of column 0) name the place in an error.

    Raises BuildError for an activation that is not finite or too large for a float32 range, and for a
    concept without examples; UsageError for a tau or a number of bins out of its domain.
    """
    if acts_EN.dtype != np.float32:
        raise TypeError(f"activations must be float32, as they are stored, not {acts_EN.dtype}")
    if not taus or not all(np.isfinite(tau) and tau > 0 for tau in taus):
        raise UsageError("every tau must be a positive number", "For example 2.5, as in NeuronLens.")
    if bins < 1:
        raise UsageError("a histogram needs at least one bin")
    labels_E = np.asarray(labels_E, dtype=np.int64)
    counts_C = np.bincount(labels_E, minlength=n_concepts)
    if counts_C.size > n_concepts or not counts_C.all():
        raise BuildError(f"{where}: every concept needs an example, the {n_concepts} concepts have {counts_C}")

    by_concept = np.argsort(labels_E, kind="stable")
    n_examples, width = acts_EN.shape
    tile_width = max(MIN_TILE_WIDTH, TILE_VALUES // n_examples)
    tiles = []
    for start in range(0, width, tile_width):
        acts_EN_tile = np.asarray(acts_EN[:, start : start + tile_width])[by_concept]
        place = (where, first_neuron + start)
        tiles.append(_fit_tile(acts_EN_tile, labels_E[by_concept], counts_C, taus, bins, place))
    return _join(tiles)


def _fit_tile(
    acts_EN: np.ndarray,
    labels_E: np.ndarray,
    counts_C: np.ndarray,
    taus: Sequence[float],
    bins: int,
    place: tuple[str, int],
) -> LayerStatistics:
    """Rows are grouped by concept, ascending."""
    wider = "Run the model in a wider type (float32 or bfloat16 instead of float16)."
    _refuse(~np.isfinite(acts_EN).all(axis=0), place, "has an activation that is not finite", wider)
    n_concepts, width = counts_C.size, acts_EN.shape[1]

    moments = statistic("moments")(n_concepts, width)
    extremes = statistic("extremes")(n_concepts, width)
    _stream((moments, extremes), acts_EN, labels_E)
    own, background = moments.result(), moments.pooled().result()
    own |= extremes.result()
    background |= extremes.pooled().result()
    histogram = statistic("histogram")(n_concepts, width, background["min"][0], background["max"][0], bins)
    _stream((histogram,), acts_EN, labels_E)

    acts_NE = np.ascontiguousarray(acts_EN.T)
    sorted_CNE = [np.sort(part, axis=1) for part in np.split(acts_NE, np.cumsum(counts_C)[:-1], axis=1)]
    own["ks"] = np.stack([ks_of_sorted(part) for part in sorted_CNE])
    background["ks"] = ks_of_sorted(np.sort(acts_NE, axis=1))[None]

    rest = moments.rest()
    rest_mean, rest_std = np.stack([r.mean for r in rest]), np.stack([r.std() for r in rest])
    against_rest = (own["mean"], own["std"], rest_mean, rest_std)

    lower, upper = range_bounds(_float32(own["mean"]), _float32(own["std"]), taus)
    unbounded = ~(np.isfinite(lower) & np.isfinite(upper)).all(axis=(0, 1))
    _refuse(unbounded, place, "has a range that exceeds float32")
    return LayerStatistics(
        n=counts_C,
        twice_u=twice_u(acts_EN, labels_E, n_concepts),
        dprime=_float32(dprime(*against_rest)),
        overlap=_float32(overlap(*against_rest)),
        histogram=histogram.result()["counts"].astype(np.int32),
        background_n=int(counts_C.sum()),
        **range_counts(sorted_CNE, lower, upper)._asdict(),
        **{name: _float32(values) for name, values in own.items() if name != "n"},
        **{f"background_{name}": _float32(values[0]) for name, values in background.items() if name != "n"},
    )


def _stream(statistics: Sequence[Statistic], acts_EN: np.ndarray, labels_E: np.ndarray) -> None:
    for start in range(0, labels_E.size, BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        for each in statistics:
            each.update(acts_EN[rows], labels_E[rows])


def _refuse(bad_N: np.ndarray, place: tuple[str, int], what: str, hint: str = "") -> None:
    if bad_N.any():
        where, first_neuron = place
        raise BuildError(f"{where}: neuron {first_neuron + int(np.argmax(bad_N))} {what}", hint)


def _float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def _join(tiles: list[LayerStatistics]) -> LayerStatistics:
    """Put the tiles side by side along their neuron axis."""

    def joined(name: str) -> np.ndarray | int:
        parts = [getattr(tile, name) for tile in tiles]
        if name in ("n", "background_n"):
            return parts[0]
        return np.concatenate(parts, axis=1 if name == "histogram" else -1)

    return LayerStatistics(**{field.name: joined(field.name) for field in fields(LayerStatistics)})
