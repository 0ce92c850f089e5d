"""The stored distribution of every neuron over running text, checked, for who reads a live model beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from atlas.errors import AtlasFileError, UsageError
from atlas.schema.exemplar_tables import PROBABILITIES
from atlas.sites import SITES
from atlas.store.reader import Atlas
from queries.experts import all_experts
from queries.running_text import TextSet, all_quantiles, text_set
from queries.sqlfile import load_sql

if TYPE_CHECKING:
    import numpy as np


class Distribution(NamedTuple):
    """All neurons of one site and layer. Axes: N neurons, P of PROBABILITIES. `quantiles_NP` rise; all are finite.

    But of neurons of an expert that no token was routed to, which are NaN and have an `n_N` of 0. `n_N`, `sampled_N`:
    tokens that the neuron has an activation on, and those of them that quantiles are of.
    """

    mean_N: np.ndarray
    std_N: np.ndarray
    quantiles_NP: np.ndarray
    n_N: np.ndarray
    sampled_N: np.ndarray


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
    quantiles_RP = stored["quantiles"]
    layers, starts, rows_L = np.unique(stored["layer"], return_index=True, return_counts=True)
    sound = (
        quantiles_RP.shape[1:] == (len(PROBABILITIES),)
        and bool((np.diff(starts) > 0).all())  # they come layer by layer
        and all(bool(np.isfinite(stored[name]).all()) for name in ("mean", "std", "quantiles"))
        and bool((stored["std"] >= 0).all() and (np.diff(quantiles_RP, axis=1) >= 0).all())
    )
    found = {}
    for layer, start, n_rows in zip(layers.tolist(), starts, rows_L, strict=True):
        rows, due_N = slice(start, start + n_rows), _neurons_due(atlas, site, layer)
        at_R = stored["neuron"][rows]
        sound &= bool((np.diff(at_R) > 0).all() and at_R[0] >= 0 and at_R[-1] < len(due_N))
        if not sound or not bool(np.isin(np.flatnonzero(due_N), at_R).all()):
            raise AtlasFileError(
                f"{atlas.path} has no sound distributions at {site}", "`neuron-atlas verify` says more."
            )
        found[site, layer] = Distribution(
            *(_spread(stored[name][rows], at_R, len(due_N), np.nan) for name in ("mean", "std", "quantiles")),
            *(_spread(stored[name][rows], at_R, len(due_N), 0) for name in ("n", "sampled")),
        )
    return found


def _neurons_due(atlas: Atlas, site: str, layer: int) -> np.ndarray:
    """Of each neuron of a layer that was read whether it must have a distribution: all but those of routed experts."""
    import numpy as np

    experts = all_experts(atlas).get(layer) if SITES[site].width == "d_mlp" else None
    if not experts:
        return np.ones(getattr(atlas.manifest, SITES[site].width), bool)
    return np.repeat([each.kind != "routed" for each in experts], [each.neurons for each in experts])


def _spread(values_R: np.ndarray, at_R: np.ndarray, width: int, nothing: float) -> np.ndarray:
    """Rows of some neurons as those of all."""
    import numpy as np

    found = np.full((width, *values_R.shape[1:]), nothing, values_R.dtype)
    found[at_R] = values_R
    return found
