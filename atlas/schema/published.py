"""The published form of an atlas: which Parquet files a folder has, and what of each table stands where.

All of it follows from the table of tables:

    tables/NAME….parquet   the rows of one table, in the order in which questions read them
    cards/layer-NNN….parquet   one row a neuron: of each table about neurons a list of its rows
    model….parquet   one row: of each small table that is about the model, a list of its rows
    manifest.json    what was published, written last; README.md says it to people

A table is called as in the atlas, without the underscore that says "layout" there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from atlas.schema.table import Column, Table
from atlas.schema.tables import TABLES

FORMAT, FORMAT_VERSION = "neuron atlas", 1
MANIFEST, README = "manifest.json", "README.md"
SMALL_ROWS = 5000
"""Up to so many rows a table that is about no neuron also stands in the file of the model."""
NOT_PUBLISHED = ("_digest",)
"""Tables that say something of the file that they are in."""
TEXT_TABLES = ("_graph", "token_count")
"""Made of the tokens of running text: left out with it."""

# Of SQL types, what Parquet files say. An ENUM is its text there, an ARRAY a list.
_KINDS = {
    "INTEGER": "int32",
    "BIGINT": "int64",
    "SMALLINT": "int16",
    "TINYINT": "int8",
    "UBIGINT": "uint64",
    "UINTEGER": "uint32",
    "FLOAT": "float",
    "DOUBLE": "double",
    "BOOLEAN": "bool",
    "VARCHAR": "string",
    "BLOB": "binary",
    "TIMESTAMP": "timestamp[us]",
    "weight_t": "string",
}


def published_tables() -> list[Table]:
    """The tables whose rows are published, in the order of the schema."""
    return [table for table in TABLES.values() if table.name not in NOT_PUBLISHED]


def published_name(table: str) -> str:
    """What a table is called in a published folder."""
    return table.removeprefix("_")


def table_of(name: str) -> Table | None:
    """The table of that published name; None for an unknown one."""
    return next((table for table in published_tables() if published_name(table.name) == name), None)


def is_of_neurons(table: Table) -> bool:
    """Whether the cards have it: its key says layer and neuron, and no question reads it as a whole."""
    columns = set(table.column_names())
    keyed = {"layer", "neuron"} <= set(table.key_columns()) or ("nid" in table.key_columns() and "layer" in columns)
    return keyed and not table.whole


def card_tables(tables: Iterable[Table]) -> list[Table]:
    """Those that the cards have."""
    return [table for table in tables if is_of_neurons(table)]


def card_columns(table: Table) -> list[Column]:
    """The columns of a table's rows in a card, which says layer and neuron itself."""
    return [column for column in table.columns if column.name not in ("layer", "neuron")]


def published_order(table: Table) -> tuple[str, ...]:
    """In which order a table is published: that of its key, but what is asked by concept goes by concept first."""
    if {"fit_id", "concept_id", "layer", "neuron"} <= set(table.key_columns()):
        return ("fit_id", "concept_id", *(key for key in table.key if key not in ("fit_id", "concept_id")))
    return table.key


def by_column(table: Table) -> str:
    """The column that, with the layer, says which neurons a table about neurons has: weight, site or ''."""
    return next((name for name in ("weight", "site") if name in table.column_names()), "")


def kind_of(column: Column) -> str:
    """The type of a column in Parquet, as pyarrow words it; of a list `list<kind>`."""
    scalar, *lists = re.split(r"(?=\[)", column.type)
    return f"list<{_KINDS[scalar]}>" if lists else _KINDS[scalar]


def selected(column: Column) -> str:
    """SQL that reads a column of an atlas as it is published."""
    name = f'"{column.name}"'
    if column.type == "weight_t":
        return f"{name}::VARCHAR AS {name}"
    scalar, *lists = re.split(r"(?=\[)", column.type)
    return f"{name}::{scalar}[] AS {name}" if lists and lists[0] != "[]" else name
