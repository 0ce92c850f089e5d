"""The graph of one neuron: exemplars of odd rank make it, those of even rank and texts drawn at random measure it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from atlas.graph import Counts, Graph, count
from atlas.live.token_roles import special_ids
from atlas.schema.exemplar_tables import KINDS
from atlas.schema.graph_tables import GRAPH_TABLES
from atlas.sites import parse_neuron
from builders.arrow import rows_of
from builders.build.product import Activations, Tables, Work
from builders.graphs.patterns import SUBSTITUTES, Around, patterns_of
from builders.graphs.probe import Probe, Tokens, nearest_tokens

if TYPE_CHECKING:
    from builders.build.plan import Plan

_KIND = {kind.code: kind.kind for kind in KINDS}


class Place(NamedTuple):
    """An exemplar: a text, the token of it, and the activation there."""

    text_id: int
    position: int
    value: float


class Split(NamedTuple):
    """The exemplars of a neuron. `sign`: of the side that they are of. `random`: of texts drawn at random."""

    sign: int
    train: list[Place]
    held: list[Place]
    random: list[Place]


class MakeGraphs(Work):
    """`ids`: {"run_id", "first_token", "exemplars": unit -> [[code, text_id[], position[], value[]]], "texts": id ->
    tokens}.
    """

    def __init__(self, plan: Plan, ids: dict[str, Any]) -> None:
        self._live, self._config, self._ids = plan.live, plan.config, ids
        self._texts: dict[int, Tokens] = {int(key): tuple(tokens) for key, tokens in ids["texts"].items()}
        self._special = special_ids(plan.live.tokenizer)
        self._embedding_VD = plan.live.embedding()
        allowed_V = torch.zeros(len(self._embedding_VD), dtype=torch.bool, device=self._embedding_VD.device)
        allowed_V[[token for token, _ in plan.tokens if token not in self._special]] = True
        self._allowed_V = allowed_V
        self._near = lru_cache(maxsize=4096)(self._nearest)
        self._none: list[str] = []

    def run(self, unit: str, activations: Activations | None = None) -> Tables:
        """One row, or none for a neuron without exemplars, or one that never is on the side that it would be of."""
        site, address = unit.split("/")
        layer, neuron = parse_neuron(address)
        split = split_of(self._ids["exemplars"].get(unit, []))
        if split is None:
            self._none.append(address)
            return {}
        probe = Probe(self._live, site, layer, neuron, self._config.batch_tokens)
        largest = split.train[0].value

        def read(sequences: Sequence[Tokens]) -> list[float]:
            return [value / largest for value in probe.last(sequences)]

        prefix: Tokens = self._texts[split.train[0].text_id][: self._ids["first_token"]]
        around = Around(read, prefix, self._words_of([*split.train, *split.held, *split.random]), self._near)
        patterns = []
        for each in split.train:
            tokens = self._texts[each.text_id]
            context = tokens[len(prefix) : each.position]
            patterns += patterns_of(context, tokens[each.position], around, self._config.seed)
        graph = Graph.of(patterns)
        train = self._measured(graph, probe, split.train, largest)
        held = self._measured(graph, probe, [*split.held, *split.random], largest)
        row = {
            "site": site,
            "layer": layer,
            "neuron": neuron,
            "run_id": self._ids["run_id"],
            "sign": split.sign,
            "largest": largest,
            "exemplars": len(split.train),
            "held_exemplars": len(split.held),
            "held_random": len(split.random),
            **_counted("train", train),
            **_counted("held", held),
            "token": [node.token for node in graph.nodes],
            "parent": [node.parent for node in graph.nodes],
            "value": [node.value or 0.0 for node in graph.nodes],
            "n": [node.n for node in graph.nodes],
        }
        return {"_graph": rows_of(GRAPH_TABLES[0], [row])}

    def notes(self) -> list[str]:
        """Neurons without a graph."""
        if not self._none:
            return []
        shown = ", ".join(self._none[:5]) + (", …" if len(self._none) > 5 else "")
        return [f"{len(self._none)} neurons have no graph, as they have too few exemplars: {shown}"]

    def _words_of(self, places: Sequence[Place]) -> np.ndarray:
        """The tokens of a neuron's own texts: what is drawn of them does not depend on which neurons are asked for."""
        texts = [self._texts[text] for text in sorted({each.text_id for each in places})]
        return np.asarray([token for tokens in texts for token in tokens if token not in self._special], np.int64)

    def _measured(self, graph: Graph, probe: Probe, places: Sequence[Place], largest: float) -> Counts:
        texts = [self._texts[each.text_id] for each in places]
        compared = []
        for tokens, activations in zip(texts, probe.all(texts), strict=True):
            parts = [
                None if token in self._special else float(value) / largest
                for token, value in zip(tokens, activations, strict=True)
            ]
            compared.append((tokens, parts))
        return count(graph, compared)

    def _nearest(self, token: int) -> tuple[int, ...]:
        return tuple(nearest_tokens(self._embedding_VD, token, SUBSTITUTES, self._allowed_V))


def split_of(lists: Sequence[Sequence[Any]]) -> Split | None:
    """The side on which the neuron goes farther from 0, and its exemplars; None with fewer than two on it.

    Of odd rank the exemplars make the graph. No text is on both sides of the split, random ones included.
    """
    found: dict[str, list[Place]] = {"top": [], "bottom": [], "band": []}
    for code, text_ids, positions, values in lists:
        if _KIND[code] in found:
            found[_KIND[code]] += [Place(*each) for each in zip(text_ids, positions, values, strict=True)]
    top, bottom = found["top"], found["bottom"]
    high, low = (top[0].value if top else 0.0), (bottom[0].value if bottom else 0.0)
    sign = 1 if high >= -low else -1
    side = [each for each in (top if sign > 0 else bottom) if sign * each.value > 0]
    if len(side) < 2:
        return None
    train, held = side[::2], side[1::2]
    taken = {each.text_id for each in side}
    return Split(sign, train, held, [each for each in found["band"] if each.text_id not in taken])


def _counted(which: str, counts: Counts) -> dict[str, int]:
    names = {"found": "found", "wrong": "wrong", "missed": "missed", "n": "tokens"}
    return {f"{which}_{names[name]}": number for name, number in counts._asdict().items()}
