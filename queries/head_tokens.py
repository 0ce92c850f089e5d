"""The tokens that stand beside a neuron as context: the strongest that one of its weights raises."""

from __future__ import annotations

from collections.abc import Sequence

from atlas.sites import row_number
from atlas.store.reader import Atlas
from queries.session.resident import HEAD, resident
from queries.sqlfile import load_sql


def head_tokens(atlas: Atlas, weight: str, places: Sequence[tuple[int, int]]) -> list[list[str] | None]:
    """The strongest raised tokens of a weight of each neuron (layer, neuron); None where it is not decoded."""
    manifest, length = atlas.manifest, min(HEAD, atlas.manifest.top)
    nids = [row_number(weight, layer, neuron, manifest.n_layers, manifest.d_mlp) for layer, neuron in places]
    kept = resident(atlas)
    if kept is not None:
        return [kept.head(nid, 1, length) if kept.decoded_R[nid] else None for nid in nids]
    found = dict(atlas.query(load_sql("head_tokens"), {"nids": nids, "length": length})[1])
    return [found.get(nid) for nid in nids]
