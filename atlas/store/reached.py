"""How many values a neuron has under a concept: all of the fit's, or those of tokens that were routed to its expert.

Axes: B rows of a batch, M concepts of all fits, X routed experts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    import numpy as np

_EXPERTS = "SELECT layer, first_neuron, neurons, expert FROM expert WHERE kind = 'routed' ORDER BY layer, expert"
_COUNTS = "SELECT fit_id, concept_id, layer, expert, n FROM _expert_count"


class Reached:
    """Read once from an atlas, of which a file from before there were experts has no tables."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        import numpy as np

        rows = connection.execute("SELECT fit_id, concept_id, n FROM fit_concept").fetchnumpy()
        member_M = _member(rows["fit_id"], rows["concept_id"])
        order_M = np.argsort(member_M)
        # At least one, so that a search ends somewhere.
        self._member_M = np.append(member_M[order_M], np.iinfo(np.int64).max)
        self._n_M = np.append(rows["n"].astype(np.int64)[order_M], -1)
        tables = connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()")
        there = {name for (name,) in tables.fetchall()}
        experts = connection.execute(_EXPERTS).fetchnumpy() if {"expert", "_expert_count"} <= there else {}
        self._n_experts = len(experts["layer"]) if experts else 0
        if not self._n_experts:
            return
        self._first_X = _member(experts["layer"], experts["first_neuron"])
        self._last_X = _member(experts["layer"], experts["first_neuron"] + experts["neurons"] - 1)
        counts = connection.execute(_COUNTS).fetchnumpy()
        expert_X, wanted = _member(experts["layer"], experts["expert"]), _member(counts["layer"], counts["expert"])
        place = np.minimum(np.searchsorted(expert_X, wanted), self._n_experts - 1)
        known = expert_X[place] == wanted
        key = self._places(counts["fit_id"], counts["concept_id"]) * self._n_experts + place
        order = np.argsort(key[known])
        self._key = np.append(key[known][order], np.iinfo(np.int64).max)
        self._n = np.append(counts["n"].astype(np.int64)[known][order], -1)

    def values(self, fit_B: np.ndarray, concept_B: np.ndarray, layer_B: np.ndarray, neuron_B: np.ndarray) -> np.ndarray:
        """How many values each neuron has under its concept, int64 [B]; -1 for a concept that its fit has not."""
        import numpy as np

        member_B = self._places(fit_B, concept_B)
        n_B = np.where(self._member_M[member_B] == _member(fit_B, concept_B), self._n_M[member_B], -1)
        if not self._n_experts:
            return n_B
        neuron_B = _member(layer_B, neuron_B)
        expert_B = np.maximum(np.searchsorted(self._first_X, neuron_B, side="right") - 1, 0)
        key_B = member_B * self._n_experts + expert_B
        place_B = np.minimum(np.searchsorted(self._key, key_B), len(self._key) - 1)
        routed_B = (self._first_X[expert_B] <= neuron_B) & (neuron_B <= self._last_X[expert_B])
        return np.where(routed_B & (self._key[place_B] == key_B), self._n[place_B], n_B)

    def _places(self, fit_B: np.ndarray, concept_B: np.ndarray) -> np.ndarray:
        import numpy as np

        found = np.searchsorted(self._member_M, _member(fit_B, concept_B))
        places_B: np.ndarray = np.minimum(found, len(self._member_M) - 1)
        return places_B


def _member(high_B: np.ndarray, low_B: np.ndarray) -> np.ndarray:
    """One int64 for two int32, that orders by the first of them."""
    import numpy as np

    return (high_B.astype(np.int64) << np.int64(32)) | low_B.astype(np.int32).view(np.uint32)
