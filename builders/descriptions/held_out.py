"""Texts that a description is judged on: some that the neuron fires on, and near misses; the author has seen none."""

from __future__ import annotations

from typing import NamedTuple

from builders.descriptions.choice import Neuron, Side
from builders.descriptions.evidence import LIST_OF, Evidence, Source, drawn, texts_of
from queries.running_text import Exemplar

BEFORE, AFTER = 8, 1
"""Tokens around the one of an exemplar that a judge sees."""
_STRIDE = 7919  # a prime: neighbours in number are no neighbours in meaning, but nor is this


class Case(NamedTuple):
    """One text. `words`: texts of its tokens; `fires`: whether the neuron does; `own`: the exemplar's token."""

    words: list[str]
    fires: bool
    own: int


def cases_of(side: Side, evidence: Evidence, source: Source) -> list[Case]:
    """The held-out texts of one side of a neuron, and as many near misses, as far as there are any; [] without either.

    Near misses are, one after the other, a text drawn from the lower half of the quarters of ordinary texts (for
    values below 0, from all), and one that another neuron of the layer fires on. None of them is in the neuron's own
    lists of extremes.
    """
    firing = evidence.held_out(side)
    own = texts_of([*evidence.exemplars.get("top", []), *evidence.exemplars.get("bottom", [])])
    ordinary = [
        each
        for each in evidence.exemplars.get("band", [])
        if each.text.text_id not in own and (side.sign < 0 or each.part <= 2)
    ]
    ordinary.sort(key=lambda each: drawn(evidence.neuron, "band", each.text.text_id))
    foreign = _foreign(side, evidence.neuron, own, len(firing), source)
    missing: list[Exemplar] = []
    while len(missing) < len(firing) and (ordinary or foreign):
        for pool in (ordinary, foreign):
            if pool and len(missing) < len(firing):
                found = pool.pop(0)
                if found.text.text_id not in texts_of(missing):
                    missing.append(found)
    if not firing or not missing:
        return []
    return [
        Case(source.words(each, BEFORE, AFTER), fires, min(BEFORE, each.position))
        for each, fires in (*((each, True) for each in firing), *((each, False) for each in missing))
    ]


def _foreign(side: Side, neuron: Neuron, own: set[int], most: int, source: Source) -> list[Exemplar]:
    """A text of each of some other neurons of the layer, which fire on it with the same sign."""
    layer, index = neuron
    width, kind = source.atlas.manifest.d_mlp, LIST_OF[side.sign]
    found: list[Exemplar] = []
    for step in range(1, 2 * most + 1):
        other = (index + step * _STRIDE) % width
        if other == index or len(found) == most:
            continue
        theirs = [
            each
            for each in source.exemplars((layer, other), kind)
            if each.text.text_id not in own | texts_of(found) and each.value * side.sign > 0
        ]
        if theirs:
            found.append(min(theirs, key=lambda each: drawn((layer, other), kind, each.text.text_id)))
    return found
