"""Numpy arrays as Arrow columns, as the staging area takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from atlas.errors import BuildError
from atlas.schema.table import Column, Table

_TYPES = {
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "UBIGINT": pa.uint64(),
    "BOOLEAN": pa.bool_(),
    "VARCHAR": pa.string(),
    "BLOB": pa.binary(),
    "TIMESTAMP": pa.timestamp("us"),
}


def type_of(kind: str) -> pa.DataType:
    """The Arrow type of a column type of the schema: a plain one, or lists of one, of fixed length or not."""
    plain, bracket, length = kind.rstrip("]").partition("[")
    if not bracket:
        return _TYPES[plain]
    return pa.list_(_TYPES[plain], int(length)) if length else pa.list_(_TYPES[plain])


def fixed_lists(values_NK: np.ndarray, kind: pa.DataType) -> pa.Array:
    """A 2-d array as an Arrow column of fixed-size lists."""
    flat = pa.array(np.ascontiguousarray(values_NK).reshape(-1), type=kind)
    return pa.FixedSizeListArray.from_arrays(flat, values_NK.shape[1])


def rows_of(table: Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A few rows of a table, of whose lists no length is left open; a column that a row lacks is NULL."""
    schema = pa.schema([(column.name, type_of(column.type)) for column in table.columns])
    return pa.Table.from_pylist(list(rows), schema)


def column_rows(table: str, column: Column, values: np.ndarray) -> pa.Array:
    """An array [C, N] as the rows of a column of that table, NaN as NULL; [C, N, K] of a column of lists.

    Raises BuildError for a value that the column cannot hold.
    """
    kind, _, lists = column.type.partition("[")
    try:
        if lists:
            return fixed_lists(values.reshape(-1, values.shape[-1]), _TYPES[kind])
        rows = pa.array(values.reshape(-1), from_pandas=True).cast(_TYPES[kind])
    except pa.ArrowInvalid as error:
        raise BuildError(f"{table}.{column.name} cannot hold what was computed: {error}") from error
    if rows.null_count and not column.null:
        raise BuildError(f"{table}.{column.name} must not be NULL, and {rows.null_count} values are NaN")
    return rows


def joined(parts: Sequence[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
    """Tables by name, the rows of each of them one after the other; a table that one part lacks has those of others."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: pa.concat_tables([part[name] for part in parts if name in part]) for name in names}
