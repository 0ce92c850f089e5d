"""Parquet files of an atlas, as published: rows in batches, row groups as small as questions want them.

DuckDB's own writer makes no row group below 2,048 rows; one card is one row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from atlas.schema.published import card_columns, kind_of
from atlas.schema.table import Column, Table
from builders.file_hash import sha256_of
from builders.sharing.destination import Destination

SHARD_ROWS = 4_194_304
"""Rows of a table that a file has at most: a reader must read the end of each file, which says where what is."""
_HASH_LETTERS = 16


class PublishedFile(NamedTuple):
    """One file of a published folder. `layer`: of a file with cards, with its first neuron."""

    path: str
    sha256: str
    bytes: int
    rows: int
    layer: int | None = None
    first_neuron: int | None = None

    def as_json(self) -> dict[str, object]:
        """What the manifest says of it."""
        return {name: value for name, value in self._asdict().items() if value is not None}


def arrow_type(column: Column) -> pa.DataType:
    """The type of a column as published."""
    kind = kind_of(column)
    if kind.startswith("list<"):
        return pa.list_(pa.type_for_alias(kind[5:-1]))
    return pa.type_for_alias(kind)


def table_schema(table: Table) -> pa.Schema:
    """The columns of a table's own files."""
    return pa.schema([pa.field(column.name, arrow_type(column)) for column in table.columns])


def row_type(columns: Iterable[Column]) -> pa.DataType:
    """The rows of a table within one row of another: a list of them."""
    return pa.list_(pa.struct([pa.field(column.name, arrow_type(column)) for column in columns]))


def card_type(table: Table) -> pa.DataType:
    """A table's column of the cards."""
    return row_type(card_columns(table))


def write_parquet(
    batches: Iterable[pa.RecordBatch | pa.Table], schema: pa.Schema, path: Path, group: int, statistics: list[str]
) -> int:
    """Write one file in row groups of `group` rows; returns the rows. `statistics`: columns whose extremes it says."""
    rows = 0
    encodings = {path: encoding for field in schema for path, encoding in _encodings(field.type, field.name)}
    options = {"compression": "zstd", "write_statistics": statistics, "write_page_checksum": True}
    with pq.ParquetWriter(
        path, schema, store_schema=False, use_dictionary=False, column_encoding=encodings, **options
    ) as writer:
        for table in _regrouped(batches, schema, group):
            writer.write_table(table, row_group_size=group)
            rows += table.num_rows
    return rows


def put(path: Path, stem: str, rows: int, to: Destination, **place: int) -> PublishedFile:
    """Bring a finished file to its place, whose name says `stem` and the beginning of its hash."""
    sha256, size = sha256_of(path), path.stat().st_size
    name = f"{stem}-{sha256[:_HASH_LETTERS]}.parquet"
    to.put(path, name)
    return PublishedFile(name, sha256, size, rows, place.get("layer"), place.get("first_neuron"))


def sha256_of_bytes(content: bytes) -> str:
    """The hash of what is in memory."""
    return hashlib.sha256(content).hexdigest()


def in_shards(batches: Iterable[pa.RecordBatch]) -> Iterator[Iterator[pa.RecordBatch]]:
    """The same batches in streams of about SHARD_ROWS rows; each must be read to its end. At least one stream."""
    source = iter(batches)
    following = next(source, None)
    yield_one = True

    def one() -> Iterator[pa.RecordBatch]:
        nonlocal following
        rows = 0
        while following is not None and rows < SHARD_ROWS:
            batch, following = following, next(source, None)
            rows += batch.num_rows
            yield batch

    while yield_one or following is not None:
        yield_one = False
        yield one()


def _encodings(kind: pa.DataType, path: str) -> Iterator[tuple[str, str]]:
    """(path of a column of numbers or texts within a file, its encoding): a fifth smaller than Parquet's own choice."""
    if pa.types.is_list(kind):
        yield from _encodings(kind.value_type, f"{path}.list.element")
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _encodings(field.type, f"{path}.{field.name}")
    elif pa.types.is_floating(kind):
        yield path, "BYTE_STREAM_SPLIT"
    elif pa.types.is_integer(kind) or pa.types.is_timestamp(kind):
        yield path, "DELTA_BINARY_PACKED"
    elif not pa.types.is_boolean(kind):
        yield path, "DELTA_LENGTH_BYTE_ARRAY"


def _regrouped(batches: Iterable[pa.RecordBatch | pa.Table], schema: pa.Schema, group: int) -> Iterator[pa.Table]:
    """The rows as tables that are whole numbers of row groups, but for the last one."""
    waiting: list[pa.Table] = []
    rows = 0
    for batch in batches:
        table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
        waiting.append(table.cast(schema))
        rows += table.num_rows
        if rows >= group:
            whole = pa.concat_tables(waiting)
            full = rows - rows % group
            yield whole.slice(0, full)
            waiting, rows = [whole.slice(full)], rows - full
    if rows:
        yield pa.concat_tables(waiting)
