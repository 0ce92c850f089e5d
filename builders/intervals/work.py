"""The intervals of one corpus at one site and layer: activations in, rows out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from builders.arrow import joined
from builders.build.product import Activations, LayerOfParts, Tables, Work
from builders.intervals.folds import folds_of
from builders.intervals.layer import Examples, find_intervals
from builders.intervals.permutations import Chance, labellings_of
from builders.intervals.rows import best_of_parts, interval_rows
from builders.intervals.texts import strata_of, tokens_of

if TYPE_CHECKING:
    from builders.build.plan import Plan, Reading


class FindIntervals(Work):
    """`ids`: {"fits": site -> fit_id, "concepts": [concept_id]}."""

    def __init__(self, plan: Plan, reading: Reading, ids: dict[str, Any]) -> None:
        self._config, self._device, self._ids = plan.config, plan.live.device, ids
        self._labels_X, self._tokens_X = np.asarray(reading.corpus.labels, np.int64), tokens_of(reading)
        self._folds_X = folds_of(reading.text_hashes, self._labels_X, plan.config.folds)
        self._strata_X = strata_of(self._tokens_X)
        self._chance: tuple[bytes, Chance] | None = None

    def run(self, unit: str, activations: Activations | LayerOfParts) -> Tables:
        """Raises BuildError for more values than can be counted exactly."""
        parts = [self._of(part) for part in activations.parts()]
        tables = joined(parts)
        if len(parts) > 1:
            tables["_chance"] = best_of_parts([part["_chance"] for part in parts])
        return tables

    def _of(self, activations: Activations) -> Tables:
        """Of neurons that have the same values."""
        (site, layer), concepts = activations.place, self._ids["concepts"]
        if activations.concepts is not None:
            concepts = [concepts[index] for index in activations.concepts]
        examples_E = activations.examples_E
        examples = Examples(
            activations.labels_E, self._folds_X[examples_E], self._tokens_X[examples_E], self._strata_X[examples_E]
        )
        drawn = self._routed(activations) if activations.routed else self._drawn(examples_E)
        found = find_intervals(activations.acts_EN, examples, drawn, self._device)
        return interval_rows(
            found,
            fit_id=self._ids["fits"][site],
            concept_ids=concepts,
            layer=layer,
            first_neuron=activations.first_neuron,
            counts_C=examples.counts_C() if activations.routed else None,
        )

    def _drawn(self, examples_E: np.ndarray) -> Chance:
        """The permutations, for the order in which the values come: the same at every place."""
        key = examples_E.tobytes()
        if self._chance is None or self._chance[0] != key:
            drawn = labellings_of(self._labels_X, examples_E, self._config.permutations, self._config.seed)
            self._chance = key, Chance(drawn, self._device)
        return self._chance[1]

    def _routed(self, activations: Activations) -> Chance:
        """Permutations of the labels of those texts that have values here: how many of each concept reach an expert
        is no luck of its neurons."""
        _, first, index_E = np.unique(activations.examples_E, return_index=True, return_inverse=True)
        labels = activations.labels_E[first]
        return Chance(labellings_of(labels, index_E, self._config.permutations, self._config.seed), self._device)
