"""Arrays of one layer -> the Arrow tables that the staging area takes. Column names are the schema's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from atlas.schema.tables import TABLES
from builders.arrow import column_rows, fixed_lists

if TYPE_CHECKING:
    from builders.build.product import ExpertCounts
    from builders.gaussians.layer import LayerStatistics

_SHAPE = ("mean", "std", "skewness", "kurtosis", "min", "max", "mean_abs", "ks")
"""Columns that a concept's Gaussian and the background have in common."""


def statistics_rows(
    statistics: LayerStatistics,
    *,
    fit_id: int,
    concept_ids: Sequence[int],
    layer: int,
    taus: Sequence[float],
    first_neuron: int = 0,
    routed: bool = False,
) -> dict[str, pa.Table]:
    """Rows of `_gaussian`, `_background`, `_range`, `_histogram` and registered statistics for one site and layer.

    `concept_ids` are in the order of the statistics' concept axis, `taus` in that of its tau axis. What is
    undefined (NaN) becomes NULL. They are neurons in a row from `first_neuron` on; `routed`: they have values of some
    of the fit's tokens only.
    """
    ids_C, n_C = np.asarray(concept_ids, dtype=np.int32), statistics.n.astype(np.int32)
    n_concepts, n_neurons = statistics.mean.shape

    def place(outer: int) -> dict[str, np.ndarray]:
        """fit, layer and neuron for `outer` repetitions of all neurons."""
        rows = outer * n_neurons
        return {
            "fit_id": np.full(rows, fit_id, np.int32),
            "layer": np.full(rows, layer, np.int32),
            "neuron": np.tile(np.arange(first_neuron, first_neuron + n_neurons, dtype=np.int32), outer),
        }

    concept_column = np.repeat(ids_C, n_neurons)
    gaussian = place(n_concepts) | {
        "concept_id": concept_column,
        "n": np.repeat(n_C, n_neurons),
        "n_all": _where(routed, np.full(n_concepts * n_neurons, statistics.background_n)),
        "twice_u": statistics.twice_u.reshape(-1),
        **{name: _nullable(getattr(statistics, name)) for name in (*_SHAPE, "dprime", "overlap")},
    }
    background = place(1) | {
        "n": np.full(n_neurons, statistics.background_n, np.int32),
        **{name: _nullable(getattr(statistics, f"background_{name}")) for name in _SHAPE},
    }
    worst = statistics.worst_concept.reshape(-1)
    nobody = worst < 0  # a corpus always has another concept, but the statistics allow one alone
    ranges = place(len(taus) * n_concepts) | {
        "concept_id": np.tile(concept_column, len(taus)),
        "tau": np.repeat(np.asarray(taus, np.float64), n_concepts * n_neurons),
        "inside": statistics.inside.reshape(-1),
        "others_inside": statistics.others_inside.reshape(-1),
        "worst_concept_id": pa.array(ids_C[worst], mask=nobody),
        "worst_inside": pa.array(statistics.worst_inside.reshape(-1), mask=nobody),
        "worst_n": _where(routed, n_C[worst], nobody),
    }
    counts = statistics.histogram.reshape(n_concepts * n_neurons, -1)
    histogram = place(n_concepts) | {
        "concept_id": concept_column,
        "counts": fixed_lists(counts, pa.int32()),
    }
    columns = {"_gaussian": gaussian, "_background": background, "_range": ranges, "_histogram": histogram}
    for name, values in statistics.further.items():
        columns[name] = place(n_concepts) | {
            "concept_id": concept_column,
            **{column.name: column_rows(name, column, values[column.name]) for column in TABLES[name].values()},
        }
    return {name: pa.table(arrays) for name, arrays in columns.items()}


def count_rows(
    counts: ExpertCounts, auc_XC: np.ndarray, fit_id: int, layer: int, concept_ids: Sequence[int]
) -> pa.Table:
    """Rows of `_expert_count` for one site and layer; NaN in `auc_XC` becomes NULL."""
    n_experts, n_concepts = counts.values_XC.shape

    def each(numbers_C: Sequence[int] | np.ndarray) -> np.ndarray:
        return np.tile(np.asarray(numbers_C), n_experts)

    return pa.table(
        {
            "fit_id": pa.array(np.full(n_experts * n_concepts, fit_id), pa.int32()),
            "layer": pa.array(np.full(n_experts * n_concepts, layer), pa.int32()),
            "expert": pa.array(np.repeat(np.arange(n_experts), n_concepts), pa.int32()),
            "concept_id": pa.array(each(concept_ids), pa.int32()),
            "n": pa.array(counts.values_XC.reshape(-1), pa.int32()),
            "texts": pa.array(counts.texts_XC.reshape(-1), pa.int32()),
            "texts_all": pa.array(each(counts.texts_C), pa.int32()),
            "tokens": pa.array(counts.tokens_XC.reshape(-1), pa.int64()),
            "tokens_all": pa.array(each(counts.tokens_C), pa.int64()),
            "router_auc": pa.array(auc_XC.reshape(-1), from_pandas=True).cast(pa.float32()),
            "fitted": pa.array(counts.fitted_XC.reshape(-1)),
        }
    )


def _where(known: bool, values: np.ndarray, mask: np.ndarray | None = None) -> pa.Array:
    """Whole numbers, or as many NULLs."""
    return pa.array(values, pa.int32(), mask=mask) if known else pa.nulls(len(values), pa.int32())


def _nullable(values: np.ndarray) -> pa.Array:
    return pa.array(values.reshape(-1), from_pandas=True)
