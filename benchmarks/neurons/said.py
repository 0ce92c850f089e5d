"""What each method says of a neuron, as plain values for JSON. What an atlas has nothing about is None or empty."""

from __future__ import annotations

from typing import Any, NamedTuple

from atlas.errors import QuestionError
from atlas.fit_choice import FitChoice
from atlas.graph import ROOT
from atlas.sites import format_neuron
from atlas.store.reader import Atlas
from benchmarks.neurons.agree import most_frequent
from benchmarks.neurons.labels import FAMILIES, label_of
from builders.descriptions.choice import Side
from builders.descriptions.evidence import LIST_OF, SITE, Evidence, Source
from builders.descriptions.tokens import read_words, written_words
from queries.card import neuron_attribution, neuron_concepts
from queries.descriptions import neuron_descriptions
from queries.graph import stored_graph
from queries.running_text import Exemplar
from queries.weights import DEFAULT_WEIGHT

AUTHOR = "tokens"
BEFORE, AFTER = 8, 4
"""Tokens shown around that of an exemplar."""
Row = dict[str, Any]


class Atlases(NamedTuple):
    """Open atlases of one model, which may all be the same: `facts` has those of weights, `attributions` those."""

    main: Atlas
    facts: Atlas
    attributions: Atlas


class Reader:
    """What is asked of open atlases."""

    def __init__(self, atlases: Atlases) -> None:
        self._atlas, self._facts, self._attributions = atlases
        self._source = Source(self._atlas)
        _, rows = self._atlas.query("SELECT DISTINCT family FROM fit WHERE site = ?", [SITE])
        self._families = [family for family in FAMILIES if (family,) in rows]

    def of(self, layer: int, neuron: int) -> Row:
        """Everything about one neuron. `sign`: of the side on which its activation goes farther from 0."""
        evidence, address = self._source.of((layer, neuron)), format_neuron(layer, neuron)
        sign = 1 if abs(evidence.largest or 0.0) >= abs(evidence.smallest or 0.0) else -1
        exemplars = [each for each in evidence.exemplars[LIST_OF[sign]] if each.value * sign > 0]
        return {
            "address": address,
            "sign": sign,
            "extreme": evidence.extreme(sign),
            "weights": self._weights(layer, neuron),
            "reads": read_words(Side("input", sign), evidence),
            "writes": written_words(Side("output", sign), evidence),
            "lowers": written_words(Side("output", -sign), evidence),
            **self._exemplars(exemplars),
            "concepts": {family: self._concept(address, evidence, family) for family in self._families},
            "graph": self._graph(address),
            "descriptions": self._descriptions(address, sign),
            "attribution": self._attribution(address),
        }

    def _weights(self, layer: int, neuron: int) -> Row | None:
        sql = (
            "SELECT cosine_kurtosis, io_class, cos_in_out FROM weight_fact "
            "JOIN neuron_fact USING (layer, neuron) WHERE weight = ? AND layer = ? AND neuron = ?"
        )
        columns, rows = self._facts.query(sql, [DEFAULT_WEIGHT, layer, neuron])
        return dict(zip(columns, rows[0], strict=True)) if rows else None

    def _exemplars(self, exemplars: list[Exemplar]) -> Row:
        """The tokens that fire the neuron, those after them, labels of the texts, and the first exemplar's text."""
        around = [self._source.words(each, 0, 1) for each in exemplars]
        shown = None
        if exemplars:
            first = exemplars[0]
            before = self._source.words(first, BEFORE, 0)
            after = self._source.words(first, 0, AFTER)[1:]
            special = int(self._atlas.manifest.add_bos and first.position <= BEFORE)
            shown = ["".join(before[special:-1]), before[-1], "".join(after)]
        return {
            "fires_at": [words[0] for words in around],
            "next": [words[1] for words in around if len(words) > 1],
            "labels": self._labels(exemplars),
            "shown": shown,
        }

    @staticmethod
    def _labels(exemplars: list[Exemplar]) -> list[list[str]]:
        found = (label_of(each.text.source, each.text.document) for each in exemplars)
        return [list(label) for label in found if label is not None]

    def _concept(self, address: str, evidence: Evidence, family: str) -> Row | None:
        """That with the largest held-out coverage - leakage; `labels`: of exemplars of the end where its values lie."""
        rows = [
            row
            for row in neuron_concepts(self._atlas, address, fit=FitChoice(family=family, site=SITE))
            if row["held_out_coverage"] is not None
        ]
        if not rows:
            return None
        best = max(rows, key=lambda row: row["held_out_coverage"] - row["held_out_leakage"])
        names = "family concept n auc q held_out_coverage held_out_leakage expected_coverage expected_leakage".split()
        end = "top" if best["auc"] >= 0.5 else "bottom"
        labels = [name for of, name in self._labels(evidence.exemplars[end]) if of == best["family"]]
        told = {name: best[name] for name in names}
        return told | {"end": end, "labels": labels, "most": sorted(most_frequent(labels))}

    def _graph(self, address: str) -> Row | None:
        try:
            found = stored_graph(self._atlas, address)
        except QuestionError:
            return None
        tokens = [found.texts.get(node.token, "") for node in found.graph.nodes if node.parent == ROOT]
        held = found.held
        told = {"precision": held.precision, "recall": held.recall, "f1": held.f1, "n": held.n}
        return {"tokens": tokens, "sign": found.sign, "fires": held.found + held.missed, **told}

    def _descriptions(self, address: str, sign: int) -> Row:
        """By side."""
        return {
            row["side"]: {name: row[name] for name in ("text", "measure", "score", "score_n", "control")}
            for row in neuron_descriptions(self._atlas, address)
            if row["sign"] == sign and row["author"] == AUTHOR
        }

    def _attribution(self, address: str) -> Row | None:
        """The concept to whose token's logit the neuron adds most; None where it adds to none."""
        rows = [row for row in neuron_attribution(self._attributions, address) if row["site"] == SITE]
        best = max(rows, key=lambda row: row["attribution"], default=None)
        if best is None or best["attribution"] <= 0:
            return None
        return {name: best[name] for name in "family concept token texts attribution attribution_std".split()}
