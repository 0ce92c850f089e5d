"""Rows of `_exemplar` from what was noted of all shards: the best of each list, and drawn texts by their values.

Axes: R noted rows, G groups of them (rows of the table), W tokens of a window.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from atlas.schema.exemplar_tables import EXEMPLAR_TABLES, KINDS, MIDDLE, NOT_COUNTED, STEPS
from builders.arrow import type_of
from builders.exemplars.kinds import GATED, PLAIN, List
from builders.exemplars.lists import FINE, NOT_HERE, comparable

_EXEMPLAR = next(table for table in EXEMPLAR_TABLES if table.name == "_exemplar")
_BANDS = [each.code for each in KINDS if each.kind == "band"]


def exemplar_rows(noted: pa.Table, site: str, layer: int) -> tuple[pa.Table, np.ndarray]:
    """Rows of `_exemplar` of one place from all that was noted of it; and the texts that they are of."""
    columns = {name: noted[name].to_numpy() for name in noted.column_names if name != "window"}
    windows = noted["window"].combine_chunks()
    flat, offsets = windows.values.to_numpy(), windows.offsets.to_numpy()
    tables = []
    for kind in (*PLAIN, *GATED):
        chosen_R, code_R = _chosen(kind, columns)
        if not len(chosen_R):
            continue
        steps_RW = flat[offsets[chosen_R][:, None] + np.arange(kind.window)]
        tables.append(_rows(site, layer, {name: each[chosen_R] for name, each in columns.items()}, code_R, steps_RW))
    rows = pa.concat_tables(tables).sort_by([("neuron", "ascending"), ("kind", "ascending")])
    return rows, np.unique(rows["text_id"].combine_chunks().values.to_numpy())


def _chosen(kind: List, columns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(noted rows that a list keeps, neuron after neuron; the code that each is stored under).

    Drawn texts are in the order of their values, a quarter of them to each band.
    """
    listed_R = np.flatnonzero(columns["list"] == kind.code)
    text, drawn, key, neuron = (columns[name][listed_R] for name in ("text_id", "drawn", "key", "neuron"))
    order_R = listed_R[np.lexsort((text, drawn, key, neuron))]
    rank_R, _ = _ranks(columns["neuron"][order_R])
    order_R = order_R[rank_R < kind.most]
    if not kind.drawn:
        return order_R, np.full(len(order_R), kind.code)
    values = comparable(columns["value"][order_R])
    order_R = order_R[np.lexsort((columns["text_id"][order_R], values, columns["neuron"][order_R]))]
    rank_R, n_R = _ranks(columns["neuron"][order_R])
    ends_RB = n_R[:, None] * np.arange(1, len(_BANDS) + 1) // len(_BANDS)
    return order_R, np.asarray(_BANDS)[(rank_R[:, None] >= ends_RB).sum(1)]


def _ranks(neuron_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(place of a row among those of its neuron, which follow each other; how many these are)."""
    starts = np.flatnonzero(np.diff(neuron_R, prepend=-1))
    n_G = np.diff(starts, append=len(neuron_R))
    return np.arange(len(neuron_R)) - np.repeat(starts, n_G), np.repeat(n_G, n_G)


def _rows(site: str, layer: int, taken: dict[str, np.ndarray], code_R: np.ndarray, steps_RW: np.ndarray) -> pa.Table:
    """A row of the table for every neuron and code, from rows that are in that order."""
    starts_G = np.flatnonzero(np.diff(taken["neuron"].astype(np.int64) << 8 | code_R, prepend=-1))
    offsets = np.append(starts_G, len(code_R)).astype(np.int32)
    n = len(starts_G)
    columns = {
        "site": pa.array([site] * n),
        "layer": pa.array(np.full(n, layer)),
        "neuron": pa.array(taken["neuron"][starts_G]),
        "kind": pa.array(code_R[starts_G]),
    }
    for name in ("text_id", "position", "value"):
        columns[name] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(taken[name]))
    width = steps_RW.shape[1]
    if width:
        scale_G = np.maximum.reduceat(taken["scale"], starts_G)
        codes_RW = _stored(steps_RW, taken["scale"], np.repeat(scale_G, np.diff(offsets)))
        columns["scale"] = pa.array(scale_G)
        blob_offsets = pa.py_buffer((offsets * width).astype(np.int32))
        columns["windows"] = pa.Array.from_buffers(
            pa.binary(), n, [None, blob_offsets, pa.py_buffer(np.ascontiguousarray(codes_RW))]
        )
    schema = pa.schema([(column.name, type_of(column.type)) for column in _EXEMPLAR.columns])
    missing = {name: pa.nulls(n, schema.field(name).type) for name in schema.names if name not in columns}
    return pa.table(columns | missing).select(schema.names).cast(schema)


def _stored(steps_RW: np.ndarray, scales_R: np.ndarray, largest_R: np.ndarray) -> np.ndarray:
    """Windows as bytes, in steps of the largest scale of those that are stored together: uint8 [R, W]."""
    relative_R = scales_R / np.where(largest_R > 0, FINE * largest_R, 1)
    codes_RW = np.where(steps_RW == NOT_HERE, NOT_COUNTED, MIDDLE + np.rint(STEPS * (steps_RW * relative_R[:, None])))
    return codes_RW.astype(np.uint8)
