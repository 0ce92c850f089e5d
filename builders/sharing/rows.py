"""The rows of an atlas as they are published: whole tables, cards, and the small tables in one row.

Axes: M rows of a table, N neurons of a layer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from atlas.schema.published import (
    SMALL_ROWS,
    TEXT_TABLES,
    by_column,
    card_columns,
    is_of_neurons,
    published_name,
    published_order,
    published_tables,
    selected,
)
from atlas.schema.table import Table
from atlas.store.reader import Atlas
from builders.sharing.parquet import card_type, row_type, table_schema

_BATCH = 131_072


class Rows:
    """What is published of one open atlas; `with_texts`: also the running text itself."""

    def __init__(self, atlas: Atlas, with_texts: bool) -> None:
        self._atlas = atlas
        self._with_texts = with_texts
        self.tables = [table for table in published_tables() if table.name not in atlas.lacking.tables]
        self.counts = {table.name: self._count(table) for table in self.tables}

    def whole(self, table: Table) -> Iterator[pa.RecordBatch]:
        """All rows of a table in its published order."""
        if not self.counts[table.name]:
            return
        parts = [""]
        if published_order(table) != table.key:  # each part of it lies in order
            pairs = self._atlas.query(f"SELECT DISTINCT fit_id, concept_id FROM {table.name} ORDER BY ALL")[1]
            parts = [f"WHERE fit_id = {int(fit)} AND concept_id = {int(concept)}" for fit, concept in pairs]
        for part in parts:
            order = f"ORDER BY {', '.join(published_order(table))}" if part else ""
            yield from self._read(table, self._columns(table), f"{part} {order}")

    def small(self) -> tuple[list[Table], pa.Table]:
        """The small tables about the model, and one row that has a list of the rows of each."""
        tables = [table for table in self.tables if not self._is_large(table)]
        arrays = []
        for table in tables:
            rows = list(self.whole(table))
            batch = pa.Table.from_batches(rows).cast(table_schema(table)) if rows else table_schema(table).empty_table()
            struct = pa.array(batch.to_pylist(), row_type(table.columns).value_type)
            arrays.append(pa.ListArray.from_arrays(pa.array([0, len(struct)], pa.int32()), struct))
        return tables, pa.table(arrays, names=[published_name(table.name) for table in tables])

    def cards(self, layer: int, tables: list[Table]) -> pa.Table:
        """A row a neuron of one layer: layer, neuron, and of each table a list of the neuron's rows by its key."""
        found = {}
        for table in tables:
            key = [name for name in table.key if name not in ("layer", "neuron", "nid")]
            order = ", ".join(["neuron", *(["weight"] if "nid" in table.key else key)])
            columns = ["neuron", *(column for column in self._columns(table)[0] if column != "neuron")]
            rows = list(
                self._read(table, (columns, self._columns(table)[1]), f"WHERE layer = {layer} ORDER BY {order}")
            )
            found[table.name] = pa.Table.from_batches(rows).combine_chunks() if rows else None
        tops = [int(rows["neuron"][-1].as_py()) for rows in found.values() if rows is not None]
        width = max(tops, default=-1) + 1
        index_N = np.arange(width, dtype=np.int32)
        arrays = {"layer": pa.array(np.full(width, layer, np.int32)), "neuron": pa.array(index_N)}
        for table in tables:
            arrays[published_name(table.name)] = _lists(table, found[table.name], width)
        return pa.table(arrays)

    def layers(self, table: Table) -> dict[str, list[int]]:
        """Which layers a table about neurons has: by weight, by site, or under ''."""
        by = by_column(table)
        found: dict[str, list[int]] = {}
        sql = f"SELECT DISTINCT {by + '::VARCHAR' if by else chr(39) * 2}, layer FROM {table.name} ORDER BY ALL"
        for name, layer in self._atlas.query(sql)[1] if self.counts[table.name] else ():
            found.setdefault(name, []).append(layer)
        return found

    def _is_large(self, table: Table) -> bool:
        return is_of_neurons(table) or table.name == "vocab" or table.derived or self.counts[table.name] > SMALL_ROWS

    def _count(self, table: Table) -> int:
        if table.name in TEXT_TABLES and not self._with_texts:
            return 0
        found: int = self._atlas.query(f"SELECT count(*) FROM {table.name}")[1][0][0]
        return found

    def _columns(self, table: Table) -> tuple[list[str], dict[str, str]]:
        """Names, and SQL in place of what is left out: folders of this machine, and texts."""
        instead = {}
        if table.name == "atlas":
            instead = {name: f"NULL::VARCHAR AS {name}" for name in ("model_path", "model_beside")}
        if table.name == "_text" and not self._with_texts:
            instead = {"tokens": "NULL::INTEGER[] AS tokens"}
        if table.name == "_text_set" and not self._with_texts:
            instead = {"words": "false AS words"}
        return list(table.column_names()), instead

    def _read(self, table: Table, columns: tuple[list[str], dict[str, str]], rest: str) -> Iterator[pa.RecordBatch]:
        names, instead = columns
        known = {column.name: column for column in table.columns}
        chosen = ", ".join(instead.get(name) or selected(known[name]) for name in names)
        for batch in self._atlas.batches(f"SELECT {chosen} FROM {table.name} {rest}", _BATCH):
            yield _without_folders(batch) if table.name == "run" else batch


def altered(with_texts: bool) -> list[str]:
    """Columns, as `table.column`, and tables that a published folder does not say as the atlas did."""
    folders = ["atlas.model_path", "atlas.model_beside", "run.parameters"]
    return folders + ([] if with_texts else ["_text.tokens", "_text_set.words", *TEXT_TABLES])


def _lists(table: Table, rows: pa.Table | None, width: int) -> pa.Array:
    """A list of rows for each neuron from rows that are sorted by neuron."""
    kind = card_type(table)
    if rows is None:
        return pa.array([[]] * width, kind)
    ends_N = np.searchsorted(rows["neuron"].to_numpy(), np.arange(width + 1))
    names = [column.name for column in card_columns(table)]
    struct = kind.value_type
    fields = [rows[name].combine_chunks() if rows[name].num_chunks != 1 else rows[name].chunk(0) for name in names]
    cast = [array.cast(struct.field(name).type) for name, array in zip(names, fields, strict=True)]
    values = pa.StructArray.from_arrays(cast, fields=[struct.field(name) for name in names])
    return pa.ListArray.from_arrays(pa.array(ends_N, pa.int32()), values)


def _without_folders(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Runs whose parameters name files without the folders that they were in: nobody else has those."""
    place = batch.schema.get_field_index("parameters")
    said = [json.dumps(_bare(json.loads(text)), ensure_ascii=False) for text in batch.column(place).to_pylist()]
    return batch.set_column(place, "parameters", pa.array(said, pa.string()))


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _bare(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_bare(each) for each in value]
    if isinstance(value, str) and value.startswith(("/", "~", "./", "../")) and "\n" not in value:
        return Path(value).name
    return value
