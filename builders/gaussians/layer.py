"""Everything that is stored about the activations of some neurons of one (site, layer).

Axes: E examples, C concepts, N neurons, T taus. The work goes through tiles of neurons, several at once: beyond
the activations given and twice the arrays returned it holds less than 100 bytes for each of
max(VALUES_AT_ONCE, TILE_VALUES, MIN_TILE_WIDTH · E) values; C · (2T + bins) counts of a neuron, where that is more
than E, take the place of E.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from atlas.errors import BuildError, UsageError
from builders.gaussians.separation import dprime, overlap, range_bounds, ranges_counted, twice_u_of_sorted
from builders.gaussians.sorting import sort_labelled, sort_rows
from builders.gaussians.statistics.histogram import histogram, inner_edges
from builders.gaussians.statistics.moments import CentralSums, Moments
from builders.gaussians.statistics.normality import ks_of_sorted
from builders.gaussians.statistics.registry import statistic, tile_statistics
from builders.gaussians.tile import Tile
from builders.threads import in_order, threads_of

TILE_VALUES = {"cpu": 1 << 20, "cuda": 1 << 24}
"""Activations in a tile: on a CPU about what the caches hold, on a GPU enough to fill it."""
MIN_TILE_WIDTH = 16
"""Fewer neurons than a cache line of float32 would read the same memory again for each tile."""
VALUES_AT_ONCE = 1 << 24
"""Activations in all the tiles that are worked on at once."""


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
    further: dict[str, dict[str, np.ndarray]]
    """Table -> column -> array [C, N] of the registered statistics with tables of their own."""


def separate_and_fit(
    acts_EN: np.ndarray | Tensor,
    labels_E: np.ndarray,
    n_concepts: int,
    taus: Sequence[float],
    bins: int,
    *,
    where: str = "activations",
    first_neuron: int = 0,
    device: torch.device | str = "cpu",
) -> LayerStatistics:
    """Fit and separate every concept on every neuron (column) of acts_EN, float32 with concepts labels_E.

    The work is done on `device`, on a CPU by as many threads as torch uses. The result of a neuron does not
    depend on the columns beside it. acts_EN should be in memory: each tile of columns of a memory-mapped file
    touches all its pages again. `where` and `first_neuron` (the index of column 0) name the place in an error.

    Raises BuildError for an activation that is not finite or too large for a float32 range, and for a
    concept without examples; UsageError for a tau or a number of bins out of its domain.
    """
    if acts_EN.dtype not in (np.float32, torch.float32):
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
    if isinstance(acts_EN, Tensor):
        by_concept = torch.from_numpy(by_concept).to(acts_EN.device)
    (n_examples, width), device = acts_EN.shape, torch.device(device)
    tile_width, at_once = tiles(width, n_examples, n_concepts, len(taus), bins, device)

    def fit(start: int) -> LayerStatistics:
        acts_EN_tile = acts_EN[:, start : start + tile_width][by_concept]
        acts_NE = torch.as_tensor(acts_EN_tile, device=device).T.contiguous()
        return _fit_tile(acts_NE, counts_C, taus, bins, (where, first_neuron + start))

    starts, n_threads = range(0, width, tile_width), min(at_once, threads_of(device))
    return _join(list(in_order(fit, starts, n_threads) if n_threads > 1 else map(fit, starts)))


def tiles(
    width: int, n_examples: int, n_concepts: int, n_taus: int, bins: int, device: torch.device
) -> tuple[int, int]:
    """Neurons in a tile of a layer of `width`, and how many tiles may be worked on at once, of any layers."""
    per_neuron = max(n_examples, n_concepts * (2 * n_taus + bins))
    widest = max(MIN_TILE_WIDTH, TILE_VALUES[device.type] // per_neuron)
    tile_width = math.ceil(width / math.ceil(width / widest))  # equal ones, so that no thread waits for the last
    return tile_width, max(1, VALUES_AT_ONCE // (tile_width * per_neuron))


def _fit_tile(
    acts_NE: Tensor, counts_C: np.ndarray, taus: Sequence[float], bins: int, place: tuple[str, int]
) -> LayerStatistics:
    """The columns of contiguous acts_NE are grouped by concept, ascending."""
    n_concepts, width = counts_C.size, acts_NE.shape[0]
    labels_E = torch.from_numpy(np.repeat(np.arange(n_concepts), counts_C)).to(acts_NE.device)
    everything = sort_labelled(acts_NE, labels_E)
    wider = "Run the model in a wider type (float32 or bfloat16 instead of float16)."
    finite_N = everything.values_NE[:, 0].isfinite() & everything.values_NE[:, -1].isfinite()
    _refuse(~finite_N, place, "has an activation that is not finite", wider)

    sorted_parts = [(concepts, sort_rows(part).double()) for concepts, part in _parts(acts_NE, counts_C)]
    moments, extremes = (statistic(name)(n_concepts, width) for name in ("moments", "extremes"))
    for concepts, sorted_NCE in sorted_parts:
        moments.add(concepts, sorted_NCE)
        extremes.add(concepts, sorted_NCE)
    own, pooled = moments.result() | extremes.result(), moments.pooled()
    background = pooled.result() | extremes.pooled().result()
    own["ks"] = np.vstack([_ks(part, moments, concepts) for concepts, part in sorted_parts])
    background["ks"] = _ks(everything.values_NE[:, None].double(), pooled, slice(None))
    against_rest = (own["mean"], own["std"], *moments.rest())

    lower, upper = range_bounds(_float32(own["mean"]), _float32(own["std"]), taus)
    unbounded = ~(np.isfinite(lower) & np.isfinite(upper)).all(axis=(0, 1))
    _refuse(torch.from_numpy(unbounded), place, "has a range that exceeds float32")
    edges = inner_edges(background["min"][0], background["max"][0], bins)
    counted, below_edges = ranges_counted(everything, lower, upper, counts_C, edges)
    tile = Tile(counts_C, everything, sorted_parts, moments, extremes, pooled, taus, lower, upper, counted)
    return LayerStatistics(
        n=counts_C,
        twice_u=twice_u_of_sorted(everything, counts_C),
        dprime=_float32(dprime(*against_rest)),
        overlap=_float32(overlap(*against_rest)),
        histogram=histogram(below_edges, counts_C),
        background_n=int(counts_C.sum()),
        further=tile.further(tile_statistics()),
        **counted._asdict(),
        **{name: _float32(values) for name, values in own.items() if name != "n"},
        **{f"background_{name}": _float32(values[0]) for name, values in background.items() if name != "n"},
    )


def _parts(acts_NE: Tensor, counts_C: np.ndarray) -> Iterator[tuple[slice, Tensor]]:
    """acts_NCE [N, concepts, examples of each] for each run of concepts with equally many examples."""
    first, column = 0, 0
    for n_examples, run in itertools.groupby(counts_C.tolist()):
        n_concepts = len(list(run))
        part = acts_NE[:, column : column + n_concepts * n_examples]
        yield slice(first, first + n_concepts), part.reshape(-1, n_concepts, n_examples)
        first, column = first + n_concepts, column + n_concepts * n_examples


def _ks(sorted_NCE: Tensor, moments: Moments, concepts: slice) -> np.ndarray:
    """[C, N]"""
    _, *sums_CN = moments.parts(concepts)
    return ks_of_sorted(sorted_NCE, CentralSums(sorted_NCE.shape[-1], *(each.T for each in sums_CN))).T


def _refuse(bad_N: Tensor, place: tuple[str, int], what: str, hint: str = "") -> None:
    if bad_N.any():
        where, first_neuron = place
        raise BuildError(f"{where}: neuron {first_neuron + int(bad_N.int().argmax())} {what}", hint)


def _float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def _join(tiles: list[LayerStatistics]) -> LayerStatistics:
    """Put the tiles side by side along their neuron axis."""

    def joined(name: str) -> np.ndarray | int:
        parts = [getattr(tile, name) for tile in tiles]
        if name in ("n", "background_n"):
            return parts[0]
        return np.concatenate(parts, axis=1 if name == "histogram" else -1)

    further = {
        table: {name: np.concatenate([tile.further[table][name] for tile in tiles], axis=1) for name in columns}
        for table, columns in tiles[0].further.items()
    }
    names = (field.name for field in fields(LayerStatistics) if field.name != "further")
    return LayerStatistics(further=further, **{name: joined(name) for name in names})
