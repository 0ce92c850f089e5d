"""How normal are the activations of a neuron on the texts of one class? Beside normal samples of the same size.

The control: columns of standard normal numbers, as many rows as a class has texts, go through the same code as
activations do. What that code finds there is what a perfectly normal neuron would show at this n. (For the KS
distance these are Lilliefors' critical values, because mean and std come from the same sample.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atlas.store.reader import Atlas
from builders.gaussians.layer import separate_and_fit

MEASURES = ("skewness", "kurtosis", "ks")
_COLUMNS = 4000


@dataclass(frozen=True)
class Null:
    """What samples of `n` normal numbers show. `low`, `middle`, `high`: 5 %, 50 % and 95 % quantiles by measure.

    `bounds`: between these 95 % of the samples lie (skewness, kurtosis), or below the second (ks).
    """

    n: int
    samples: int
    quantiles: dict[str, tuple[float, float, float]]
    bounds: dict[str, tuple[float, float]]


def null_of(n: int, seed: int = 0) -> Null:
    """Measured on two groups of `_COLUMNS` samples."""
    acts_EN = np.random.default_rng(seed).standard_normal((2 * n, _COLUMNS)).astype(np.float32)
    found = separate_and_fit(acts_EN, np.repeat([0, 1], n), 2, (2.5,), 20)
    quantiles, bounds = {}, {}
    for measure in MEASURES:
        values = getattr(found, measure).ravel().astype(np.float64)
        quantiles[measure] = tuple(np.quantile(values, [0.05, 0.5, 0.95]).tolist())
        outer = [0.0, 0.95] if measure == "ks" else [0.025, 0.975]
        bounds[measure] = tuple(np.quantile(values, outer).tolist())
    return Null(n, 2 * _COLUMNS, quantiles, bounds)


@dataclass(frozen=True)
class LayerShape:
    """All pairs of a neuron of one layer and a class. `pairs`: those that vary at all."""

    site: str
    layer: int
    pairs: int
    quantiles: dict[str, tuple[float, float, float]]
    beyond: dict[str, tuple[float, float, float]]
    """Share of the pairs outside the null's bounds; the least and the largest share of a class."""
    near: float
    """Share of pairs with |skewness| < 0.5 and |excess kurtosis| < 1: normal to the eye."""


def layer_shapes(atlas: Atlas, null: Null) -> list[LayerShape]:
    """One entry per site and layer of the atlas, which must hold one family and one position."""
    _, keys = atlas.query("SELECT DISTINCT site, layer FROM concept_gaussian ORDER BY site DESC, layer")
    return [_shape(atlas, site, layer, null) for site, layer in keys]


def _shape(atlas: Atlas, site: str, layer: int, null: Null) -> LayerShape:
    _, rows = atlas.query(
        "SELECT concept_id, skewness, kurtosis, ks FROM concept_gaussian "
        "WHERE site = $site AND layer = $layer AND ks IS NOT NULL",
        {"site": site, "layer": layer},
    )
    concept, *columns = np.array(rows, dtype=np.float64).T
    values = dict(zip(MEASURES, columns, strict=True))
    beyond = {}
    for measure, column in values.items():
        low, high = null.bounds[measure]
        outside = (column < low) | (column > high)
        shares = [outside[concept == each].mean() for each in np.unique(concept)]
        beyond[measure] = (float(outside.mean()), float(min(shares)), float(max(shares)))
    return LayerShape(
        site=site,
        layer=layer,
        pairs=len(rows),
        quantiles={name: tuple(np.quantile(each, [0.05, 0.5, 0.95]).tolist()) for name, each in values.items()},
        beyond=beyond,
        near=float(((np.abs(values["skewness"]) < 0.5) & (np.abs(values["kurtosis"]) < 1)).mean()),
    )
