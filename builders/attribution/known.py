"""What an atlas knows of named neurons: the concept that each of them tells best."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from atlas.sites import DEFAULT_SITE
from atlas.store.reader import Atlas
from builders.attribution.edits import Neuron

_SQL = """
SELECT layer, neuron, max_by(family || '/' || concept, held_out_coverage - held_out_leakage),
       max(held_out_coverage - held_out_leakage)
FROM (SELECT unnest($layers::INTEGER[]) AS layer, unnest($neurons::INTEGER[]) AS neuron)
JOIN concept_interval USING (layer, neuron) WHERE site = $site
GROUP BY layer, neuron"""


class Known(NamedTuple):
    """`concept`: FAMILY/NAME of the concept with the largest held-out coverage - leakage, `held_out_j`, over fits."""

    concept: str
    held_out_j: float


def known_of(atlas: Atlas, neurons: Iterable[Neuron]) -> dict[Neuron, Known]:
    """Of those neurons that the atlas has intervals of."""
    pairs = sorted(set(neurons))
    layers, indices = [layer for layer, _ in pairs], [neuron for _, neuron in pairs]
    _, rows = atlas.query(_SQL, {"layers": layers, "neurons": indices, "site": DEFAULT_SITE})
    return {(layer, neuron): Known(*found) for layer, neuron, *found in rows if None not in found}
