"""Arrays about weights -> the Arrow tables that the staging area takes. Column names are the schema's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from atlas.schema.tables import TABLES
from atlas.sites import row_number
from builders.arrow import rows_of
from builders.weights.nearest import Nearest


def neuron_fact_rows(
    layer: int, classes: Sequence[str | None], numbers: Mapping[str, np.ndarray | None], width: int
) -> pa.Table:
    """Rows of `_neuron_fact` for one layer; NaN, and a number that the model does not have, become NULL."""
    columns = {
        name: pa.nulls(width, pa.float32())
        if values_N is None
        else pa.array(values_N.astype(np.float32), from_pandas=True)
        for name, values_N in numbers.items()
    }
    return pa.table(
        {
            "layer": np.full(width, layer, np.int32),
            "neuron": np.arange(width, dtype=np.int32),
            "io_class": pa.array(classes, pa.string()),
            **columns,
        }
    )


def nearest_rows(weight: str, same: Nearest, other: Nearest, n_layers: int, width: int) -> pa.Table:
    """Rows of `_nearest` for all neurons of one weight."""
    layer_A, neuron_A = np.divmod(np.arange(n_layers * width, dtype=np.int32), np.int32(width))
    first = row_number(weight, 0, 0, n_layers, width)
    sides = {}
    for side, found in (("same", same), ("other", other)):
        there_AK = found.place_AK >= 0
        ends = pa.array(np.concatenate([[0], there_AK.sum(1).cumsum()]), pa.int32())
        nids = pa.array((found.place_AK[there_AK] + first).astype(np.int32))
        cosines = pa.array(found.cosine_AK[there_AK].astype(np.float32))
        sides[f"{side}_nid"] = pa.ListArray.from_arrays(ends, nids)
        sides[f"{side}_cosine"] = pa.ListArray.from_arrays(ends, cosines)
    return pa.table({"weight": pa.array([weight] * len(layer_A)), "layer": layer_A, "neuron": neuron_A, **sides})


def redundant_rows(place_M: np.ndarray, group_M: np.ndarray, width: int) -> pa.Table:
    """Rows of `_redundant` from places over all layers."""
    layer_M, neuron_M = np.divmod(place_M, width)
    columns = {"layer": layer_M, "neuron": neuron_M, "group_id": group_M}
    return pa.table({name: values_M.astype(np.int32) for name, values_M in columns.items()})


def run_row(singular_D: np.ndarray, **numbers: Any) -> pa.Table:
    """The row of `weight_run`."""
    plain = TABLES["weight_run"]._replace(
        columns=tuple(each for each in TABLES["weight_run"].columns if each.name != "singular_values")
    )
    values = pa.array([singular_D.astype(np.float32).tolist()], pa.list_(pa.float32()))
    return rows_of(plain, [numbers]).append_column("singular_values", values)
