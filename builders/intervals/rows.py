"""Arrays of one layer -> the Arrow tables that the staging area takes. Column names are the schema's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from atlas.schema.tables import TABLES
from builders.arrow import column_rows
from builders.intervals.layer import LayerIntervals


def interval_rows(
    found: LayerIntervals,
    *,
    fit_id: int,
    concept_ids: Sequence[int],
    layer: int,
    first_neuron: int = 0,
    counts_C: np.ndarray | None = None,
) -> dict[str, pa.Table]:
    """Rows of `_interval`, `_length` and `_chance` for one site and layer.

    `concept_ids` are in the order of the concept axis. What is undefined (NaN) becomes NULL. They are neurons in a row
    from `first_neuron` on; `counts_C`: values of each concept, where they are not all of the fit's.
    """
    ids_C = np.asarray(concept_ids, dtype=np.int32)
    n_concepts, n_neurons = found.lower.shape

    def place(outer: int) -> dict[str, np.ndarray]:
        """fit, layer and neuron for `outer` repetitions of all neurons."""
        return {
            "fit_id": np.full(outer * n_neurons, fit_id, np.int32),
            "layer": np.full(outer * n_neurons, layer, np.int32),
            "neuron": np.tile(np.arange(first_neuron, first_neuron + n_neurons, dtype=np.int32), outer),
        }

    nobody = (found.held_worst_concept < 0).reshape(-1)
    stored = {
        "interval_lower": found.lower,
        "interval_upper": found.upper,
        "interval_inside": found.inside,
        "interval_others": found.others_inside,
        "held_inside": found.held_inside,
        "held_others": found.held_others_inside,
        **{name: getattr(found, name) for name in ("ap", "ap_low", "best_f1", "point_biserial", "stratified_auc")},
        # A p of 0 would say that it cannot be luck at all.
        "p": np.maximum(found.p, np.finfo(np.float32).tiny),
    }
    columns = {column.name: column for column in TABLES["_interval"].columns}
    interval = place(n_concepts) | {
        "concept_id": np.repeat(ids_C, n_neurons),
        **{name: column_rows("_interval", columns[name], values) for name, values in stored.items()},
        "held_worst_concept_id": pa.array(ids_C[found.held_worst_concept].reshape(-1), mask=nobody),
        "held_worst_inside": pa.array(found.held_worst_inside.reshape(-1), pa.int32(), mask=nobody),
    }
    rows = n_concepts * n_neurons
    of_routed: dict[str, Any] = dict.fromkeys(("n", "n_all", "held_worst_n"), pa.nulls(rows, pa.int32()))
    if counts_C is not None:
        n_C = counts_C.astype(np.int32)
        of_routed = {
            "n": np.repeat(n_C, n_neurons),
            "n_all": np.full(rows, n_C.sum(), np.int32),
            "held_worst_n": pa.array(n_C[found.held_worst_concept].reshape(-1), mask=nobody),
        }
    interval |= of_routed
    length = place(1) | {"length_correlation": pa.array(found.length_correlation, from_pandas=True).cast(pa.float32())}
    chance = {
        "fit_id": np.full(n_concepts, fit_id, np.int32),
        "layer": np.full(n_concepts, layer, np.int32),
        "concept_id": ids_C,
        "auc": found.maxima.auc.astype(np.float32),
        "interval": found.maxima.interval.astype(np.float32),
        "null_auc": pa.array(list(found.maxima.null_auc.astype(np.float32))),
        "null_interval": pa.array(list(found.maxima.null_interval.astype(np.float32))),
    }
    return {"_interval": pa.table(interval), "_length": pa.table(length), "_chance": pa.table(chance)}


def best_of_parts(parts: Sequence[pa.Table]) -> pa.Table:
    """Rows of `_chance` of a layer from those of its parts: of each concept the best of all their neurons.

    Each part deals out the labels of its own texts, so that the largest of the b-th permutations are of independent
    ones: at least what permutations of all texts together give.
    """
    best: dict[int, dict[str, Any]] = {}
    for row in [row for part in parts for row in part.to_pylist()]:
        known = best.setdefault(row["concept_id"], row)
        for name in ("auc", "interval"):
            known[name] = max(known[name], row[name])
            null = f"null_{name}"
            known[null] = [max(pair) for pair in zip(known[null], row[null], strict=True)]
    return pa.Table.from_pylist([best[concept] for concept in sorted(best)], parts[0].schema)
