"""The stored distribution of every neuron over running text, checked, for who reads a live model beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from atlas.errors import AtlasFileError, UsageError
from atlas.schema.exemplar_tables import PROBABILITIES
from atlas.sites import SITES
from atlas.store.reader import Atlas
from queries.running_text import TextSet, all_quantiles, text_set
from queries.sqlfile import load_sql

if TYPE_CHECKING:
    import numpy as np


class Distribution(NamedTuple):
    """All neurons of one site and layer. Axes: N neurons, P of PROBABILITIES. `quantiles_NP` rise; all are finite."""

    mean_N: np.ndarray
    std_N: np.ndarray
    quantiles_NP: np.ndarray


class Distributions(NamedTuple):
    """By (site, layer), of the sites in order; how their texts were read, and the type that the model computed in."""

    of: dict[tuple[str, int], Distribution]
    read: TextSet
    dtype: str


def distributions(atlas: Atlas, site: str | None = None, layers: Sequence[int] | None = None) -> Distributions:
    """Those of one site or of all, of some layers or of all that were read.

    Raises as `text_set`, UsageError for a layer that was not read, AtlasFileError for numbers that are none.
    """
    read = text_set(atlas, site)
    sites = [name for name in SITES if name in read.sites and site in (None, name)]
    found = {place: each for name in sites for place, each in _of_site(atlas, name).items()}
    known = sorted({layer for _, layer in found})
    if layers is not None and (absent := sorted(set(layers) - set(known))):
        raise UsageError(
            f"the running text was not read at layer {absent[0]}", f"It was read at {', '.join(map(str, known))}."
        )
    _, rows = atlas.query(load_sql("text_set_dtype"))
    kept = {place: each for place, each in found.items() if layers is None or place[1] in layers}
    return Distributions(kept, read, rows[0][0] if rows else "auto")


def _of_site(atlas: Atlas, site: str) -> dict[tuple[str, int], Distribution]:
    import numpy as np

    stored = all_quantiles(atlas, site)
    width, quantiles_RP = getattr(atlas.manifest, SITES[site].width), stored["quantiles"]
    layers, rows_L = np.unique(stored["layer"], return_counts=True)
    sound = (
        quantiles_RP.shape == (len(layers) * width, len(PROBABILITIES))
        and bool((rows_L == width).all())
        and bool((stored["neuron"] == np.tile(np.arange(width), len(layers))).all())
        and all(bool(np.isfinite(stored[name]).all()) for name in ("mean", "std", "quantiles"))
        and bool((stored["std"] >= 0).all() and (np.diff(quantiles_RP, axis=1) >= 0).all())
    )
    if not sound:
        raise AtlasFileError(f"{atlas.path} has no sound distributions at {site}", "`neuron-atlas verify` says more.")
    found = {}
    for index, layer in enumerate(layers.tolist()):
        rows = slice(index * width, (index + 1) * width)
        found[site, layer] = Distribution(stored["mean"][rows], stored["std"][rows], quantiles_RP[rows])
    return found
