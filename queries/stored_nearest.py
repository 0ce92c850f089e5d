"""The nearest neurons that a build has found: so many of the neuron's layer, and as many of all others."""

from __future__ import annotations

import math
from typing import NamedTuple

from atlas.sites import row_number
from atlas.store.ahead import Statement
from atlas.store.reader import Atlas
from queries.session.filled import has_rows
from queries.sqlfile import load_sql
from queries.weight_run import weight_run

ALL, LAYER, OTHERS = AMONG = ("all", "layer", "others")
"""Which neurons are compared: all, those of the same layer, those of the other layers."""


class Stored(NamedTuple):
    """`places`: (layer, neuron, cosine), nearest first, as far as the stored rows tell them; `whole`: these are all.

    `directed`: whether the neuron's vector has any neighbour, as all but zero vectors have.
    """

    places: list[tuple[int, int, float]]
    whole: bool
    directed: bool


def nearest_statements(atlas: Atlas, weight: str, layer: int, neuron: int) -> list[Statement]:
    """What `stored_nearest` asks, to be read ahead."""
    place = {"weight": weight, "layer": layer, "neuron": neuron}
    return [(load_sql("stored_nearest"), place)] if has_rows(atlas, "_nearest") else []


def stored_nearest(atlas: Atlas, weight: str, layer: int, neuron: int, among: str) -> Stored | None:
    """What the atlas has stored of a neuron; None where it has nothing of this weight."""
    asked = nearest_statements(atlas, weight, layer, neuron)
    (rows,) = atlas.rows([sql for sql, _ in asked], **asked[0][1]) if asked else ([],)
    kept = weight_run(atlas).get("neighbours")
    if not rows or not kept:
        return None
    same_nid, same_cosine, other_nid, other_cosine = rows[0]
    sides = {LAYER: (same_nid, same_cosine), OTHERS: (other_nid, other_cosine)}
    found: list[tuple[int, float]] = []
    known_down_to = -math.inf
    for nids, cosines in (side for name, side in sides.items() if among in (ALL, name)):
        found += zip(nids, cosines, strict=True)
        if len(nids) == kept:  # one that this list does not hold may come next
            known_down_to = max(known_down_to, cosines[-1])
    n_layers, d_mlp = atlas.manifest.n_layers, atlas.manifest.d_mlp
    first = row_number(weight, 0, 0, n_layers, d_mlp)
    told = sorted(((-cosine, nid - first) for nid, cosine in found if cosine >= known_down_to))
    places = [(*divmod(spot, d_mlp), -minus) for minus, spot in told]
    return Stored(places, known_down_to == -math.inf, bool(same_nid or other_nid))
