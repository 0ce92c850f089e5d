"""Rows of a published file as an atlas stores them: columns of its types, lists of its lengths, of chosen layers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from atlas.schema.published import card_columns, published_name
from atlas.schema.statements import Layout
from atlas.schema.table import RUN, Column, Table
from builders.sharing.parquet import arrow_type, card_type

_ROWS = 262_144
_CARDS = 512


def table_rows(path: Path, table: Table) -> Iterator[pa.Table]:
    """The rows of a table's own file. Raises pa.ArrowException and KeyError for one that has others."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        names = [column.name for column in table.columns if column.name in file.schema_arrow.names]
        for batch in file.iter_batches(_ROWS, columns=names):
            yield _typed(pa.Table.from_batches([batch]), table.columns)


def card_rows(path: Path, table: Table) -> Iterator[pa.Table]:
    """The rows of a table in a file with cards. Raises as `table_rows`."""
    name = published_name(table.name)
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        if name not in file.schema_arrow.names:
            return
        for batch in file.iter_batches(_CARDS, columns=["layer", "neuron", name]):
            lists = batch.column(name).cast(card_type(table))
            parents = pc.list_parent_indices(lists)
            values = lists.flatten()
            columns = {column.name: values.field(column.name) for column in card_columns(table)}
            columns |= {key: pc.take(batch.column(key), parents).cast(pa.int32()) for key in ("layer", "neuron")}
            yield pa.table({column.name: columns[column.name] for column in table.columns})


def of_layers(rows: pa.Table, table: Table, layers: Sequence[int] | None) -> pa.Table:
    """Only what is about some layers; runs say, as those of a build of some layers do, which they are."""
    if layers is None:
        return rows
    if table.about == RUN and "parameters" in rows.column_names:
        said = [json.loads(text) for text in rows["parameters"].to_pylist()]
        texts = [json.dumps(each | {"layers": list(layers)}) for each in said]
        return rows.set_column(rows.column_names.index("parameters"), "parameters", pa.array(texts))
    if {"layer", "neuron"} <= set(table.column_names()) or ("layer" in table.key_columns()):
        rows = rows.filter(pc.is_in(rows["layer"], value_set=pa.array(layers, rows["layer"].type)))
        if "group_id" in rows.column_names:  # of a group whose other neurons are left out, nothing is left
            counts = rows["group_id"].value_counts()
            alone = counts.filter(pc.equal(counts.field("counts"), 1)).field("values")
            rows = rows.filter(pc.invert(pc.is_in(rows["group_id"], value_set=alone)))
    return rows


def as_stored(rows: pa.Table, table: Table, layout: Layout) -> pa.Table:
    """With lists of a fixed length where the table has them. pa.ArrowException for a list of another length."""
    for column in table.columns:
        found = re.fullmatch(r"(\w+)\[\{?(\w+)\}?\]", column.type)
        if found is not None and column.name in rows.column_names:
            length = getattr(layout, found[2]) if not found[2].isdecimal() else int(found[2])
            kind = pa.list_(arrow_type(column).value_type, length)
            place = rows.column_names.index(column.name)
            rows = rows.set_column(place, column.name, rows[column.name].combine_chunks().cast(kind))
    return rows


def _typed(rows: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """KeyError unless every column that must not be NULL is there; columns of the right types."""
    present = [column for column in columns if column.name in rows.column_names]
    absent = [column.name for column in columns if column.name not in rows.column_names and not column.null]
    if absent:
        raise KeyError(f"no column {absent[0]}")
    return pa.table({column.name: rows[column.name].cast(arrow_type(column)) for column in present})
