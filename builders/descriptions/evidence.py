"""What an atlas says of a neuron that a description can be made of: decodings, intervals, exemplars, extremes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from atlas.fit_choice import FitChoice
from atlas.sites import DEFAULT_SITE, format_neuron
from atlas.store.reader import Atlas
from builders.descriptions.choice import Neuron, Side
from queries.card import neuron_concepts, neuron_tokens
from queries.running_text import Exemplar, has_texts, stored_exemplars, stored_firing, text_set

SITE = DEFAULT_SITE
"""Descriptions are of what a neuron hands to its output vector."""
MOST_TOKENS = 16
"""Tokens of a list that count."""
LIST_OF = {1: "top", -1: "bottom"}
"""Which exemplars show an activation of that sign."""


class Told(NamedTuple):
    """A concept that an interval tells, with its held-out shares. `sign`: of the side on which its values lie."""

    family: str
    concept: str
    n: int
    coverage: float
    leakage: float
    sign: int


@dataclass(frozen=True)
class Evidence:
    """Of one neuron. `tokens`: (token, cosine) by weight and sign, strongest first. `exemplars`: by kind.

    `smallest`, `largest`: of its activation, over the running text, else over all examples of concepts; None: unknown.
    """

    neuron: Neuron
    tokens: dict[tuple[str, int], list[tuple[str, float]]]
    concepts: list[Told]
    exemplars: dict[str, list[Exemplar]]
    smallest: float | None
    largest: float | None

    def extreme(self, sign: int) -> float | None:
        """The farthest stored activation on that side of 0; None where there is none."""
        value = self.largest if sign > 0 else self.smallest
        return value if value is not None and value * sign > 0 else None

    def shown(self, side: Side) -> list[Exemplar]:
        """The exemplars that an author may see."""
        ordered = self._ordered(LIST_OF[side.sign])
        return ordered[: (len(ordered) + 1) // 2]

    def held_out(self, side: Side) -> list[Exemplar]:
        """The others."""
        return [each for each in self._ordered(LIST_OF[side.sign]) if each not in self.shown(side)]

    def _ordered(self, kind: str) -> list[Exemplar]:
        """Exemplars with an activation of the sign of the kind, by a hash of their text: neither half is better."""
        sign = 1 if kind == "top" else -1
        found = [each for each in self.exemplars.get(kind, []) if each.value * sign > 0]
        return sorted(found, key=lambda each: drawn(self.neuron, kind, each.text.text_id))


def drawn(neuron: Neuron, kind: str, text_id: int) -> str:
    """By which exemplars are drawn: it goes by nothing else about them."""
    return hashlib.sha256(f"{format_neuron(*neuron)} {kind} {text_id}".encode()).hexdigest()


class Source:
    """An open atlas as a source of evidence. Axes of nothing: lists and names."""

    def __init__(self, atlas: Atlas) -> None:
        self.atlas = atlas
        self._kept: dict[tuple[Neuron, str], list[Exemplar]] = {}

    @cached_property
    def has_words(self) -> bool:
        """Whether there are exemplars with words."""
        return has_texts(self.atlas) and text_set(self.atlas).words and SITE in text_set(self.atlas).sites

    @cached_property
    def vocabulary(self) -> dict[int, str]:
        """Texts of all tokens."""
        return dict(self.atlas.query("SELECT token_id, token FROM vocab")[1])

    @cached_property
    def _has_firing(self) -> bool:
        return has_texts(self.atlas) and SITE in text_set(self.atlas).sites

    @cached_property
    def _decoded(self) -> bool:
        return self.atlas.manifest.decoding_mode is not None

    @cached_property
    def _told(self) -> bool:
        return bool(self.atlas.query("SELECT 1 FROM _interval_fit JOIN fit USING (fit_id) WHERE site = ?", [SITE])[1])

    @cached_property
    def _fitted(self) -> bool:
        return bool(self.atlas.query("SELECT 1 FROM fit WHERE site = ?", [SITE])[1])

    def notes(self) -> list[str]:
        """What the atlas lacks, so that descriptions lack it."""
        lacking = [
            what
            for what, is_there in (
                ("decodings", self._decoded),
                ("intervals", self._told),
                ("exemplars with words", self.has_words),
            )
            if not is_there
        ]
        return [f"this atlas has no {' and no '.join(lacking)}: descriptions are without"] if lacking else []

    def of(self, neuron: Neuron) -> Evidence:
        """All that is known of the neuron."""
        layer, index = neuron
        address = format_neuron(layer, index)
        tokens: dict[tuple[str, int], list[tuple[str, float]]] = {}
        if self._decoded:
            for row in neuron_tokens(self.atlas, address, top=min(MOST_TOKENS, self.atlas.manifest.top)):
                tokens.setdefault((row["weight"], row["sign"]), []).append((row["token"], abs(row["cosine"] or 0.0)))
        smallest, largest = self._extremes(layer, index)
        exemplars = {kind: self.exemplars(neuron, kind) for kind in ("top", "bottom", "band")}
        return Evidence(neuron, tokens, self._concepts(address), exemplars, smallest, largest)

    def exemplars(self, neuron: Neuron, kind: str) -> list[Exemplar]:
        """Of one kind; none where words are not stored."""
        if not self.has_words:
            return []
        key = neuron, kind
        if key not in self._kept:
            if len(self._kept) > 1000:  # near misses come from a few neighbours of the neuron before
                self._kept.clear()
            for name in ("top", "bottom", "band"):
                self._kept[neuron, name] = []
            for each in stored_exemplars(self.atlas, *neuron, SITE, ("top", "bottom", "band")):
                self._kept[neuron, each.kind].append(each)
        return self._kept[key]

    def words(self, exemplar: Exemplar, before: int, after: int) -> list[str]:
        """Texts of the tokens around its own, so many before and after it."""
        tokens = exemplar.text.tokens or []
        start = max(0, exemplar.position - before)
        return [self.vocabulary.get(each, "") for each in tokens[start : exemplar.position + after + 1]]

    def _concepts(self, address: str) -> list[Told]:
        if not self._told:
            return []
        found = []
        for row in neuron_concepts(self.atlas, address, fit=FitChoice(site=SITE)):
            coverage, leakage = row["held_out_coverage"], row["held_out_leakage"]
            if coverage is not None and leakage is not None:
                sign = 1 if row["mean"] > 0 else -1
                found.append(Told(row["family"], row["concept"], row["n"], coverage, leakage, sign))
        return sorted(found, key=lambda told: told.leakage - told.coverage)

    def _extremes(self, layer: int, neuron: int) -> tuple[float | None, float | None]:
        if self._has_firing:
            firing = stored_firing(self.atlas, layer, neuron, SITE)
            if firing is not None:
                return firing.min, firing.max
        if not self._fitted:
            return None, None
        sql = "SELECT min(min), max(max) FROM background_gaussian WHERE site = ? AND layer = ? AND neuron = ?"
        _, rows = self.atlas.query(sql, [SITE, layer, neuron])
        return rows[0]


def texts_of(exemplars: Sequence[Exemplar]) -> set[int]:
    """Ids of their texts."""
    return {each.text.text_id for each in exemplars}
