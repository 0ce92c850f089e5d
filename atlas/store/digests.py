"""Digests of what a file holds: DuckDB's checksums say that a block is whole, not that it is the right one.

A digest of a column is the CRC-32 of its values in stored order: little-endian, as wide as their type; of a list its
elements one after another, of a text its UTF-8, of a BLOB its bytes, of an ENUM its codes from 0, of a BOOLEAN a byte.
Where a column has them, CRC-32s of two more streams of int64 are added: lengths of texts, of BLOBs and of lists of no
fixed length, and numbers (from 0) of the rows that are NULL, whose values count as 0. docs/schema.md has the whole
recipe, so that any program in any version can repeat it.

It finds damage, not forgery: who can write the file can write new digests too.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from atlas.errors import AtlasFileError
from atlas.manifest import Manifest
from atlas.store.files import full_name, translate

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

TABLE = "_digest"
WORDING = "DuckDB "
"""What the part of a definition begins with; its version follows."""
_PUBLISHED_ROWS = f"SELECT DISTINCT object, rows FROM {TABLE} WHERE rows IS NOT NULL"
_ROWS = "SELECT table_name, estimated_size FROM duckdb_tables() WHERE database_name = current_database()"
# The wording is DuckDB's own, which makes it anew from what it stores.
_DEFINITIONS = """
SELECT table_name, sql FROM duckdb_tables() WHERE NOT internal AND database_name = current_database()
UNION ALL SELECT view_name, sql FROM duckdb_views() WHERE NOT internal AND database_name = current_database()
UNION ALL SELECT type_name, concat_ws(' ', logical_type, labels) FROM duckdb_types()
    WHERE NOT internal AND database_name = current_database()
UNION ALL SELECT function_name, string_agg(concat_ws(' ', function_type, parameters, macro_definition), ' '
                                           ORDER BY len(parameters), macro_definition)
    FROM duckdb_functions() WHERE NOT internal AND database_name = current_database() GROUP BY function_name
ORDER BY 1, 2"""


class ColumnDigest:
    """CRC-32 of one column, taken a batch of rows at a time; where batches end makes no difference."""

    def __init__(self) -> None:
        self.nulls = 0
        """Rows that are NULL, and elements of lists."""
        self._rows = 0
        self._values = self._lengths = self._null_rows = 0

    def add(self, column: pa.Array) -> None:
        """Take the next rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if column.null_count:
            import numpy as np

            rows = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)) + self._rows
            self._null_rows = zlib.crc32(rows.astype("<i8").data, self._null_rows)
            self.nulls += column.null_count
        self._rows += len(column)
        kind = column.type
        if any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)):
            self._measure(pc.binary_length(column))
            texts = column.cast(pa.large_binary()).fill_null(b"")  # as bytes: of a damaged file they need not be UTF-8
            self._values = zlib.crc32(b"".join(texts.to_pylist()), self._values)
            return
        if pa.types.is_list(kind):
            self._measure(pc.list_value_length(column))
        if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            column = column.flatten()
            self.nulls += column.null_count
        self._values = zlib.crc32(_stored(column).data, self._values)

    def _measure(self, lengths: pa.Array) -> None:
        values = lengths.fill_null(0).to_numpy(zero_copy_only=False)
        self._lengths = zlib.crc32(values.astype("<i8"), self._lengths)

    def value(self) -> int:
        """The digest of the rows so far."""
        if not (self._lengths or self._null_rows):
            return self._values
        return zlib.crc32(struct.pack("<III", self._values, self._lengths, self._null_rows))


def _stored(column: pa.Array) -> np.ndarray:
    """Values of a column of one width, those that are NULL as 0."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.indices
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    elif pa.types.is_temporal(column.type):
        column = column.view(pa.int64())
    if column.null_count:
        column = column.fill_null(0)
    return np.ascontiguousarray(column.to_numpy(zero_copy_only=False))


def definition_digests(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Name -> CRC-32 of what DuckDB says of every table, view, type and macro of the open file."""
    digests: dict[str, int] = {}
    for name, text in connection.execute(_DEFINITIONS).fetchall():
        digests[name] = zlib.crc32(text.encode(), digests.get(name, 0))
    return digests


def wording() -> str:
    """Whose wording of a definition this process would store."""
    return WORDING + duckdb.__version__


def write_digests(connection: duckdb.DuckDBPyConnection, tables: dict[str, tuple[int, dict[str, int]]]) -> None:
    """Store digests: of `tables` (name -> rows, digest of each column), and of all definitions."""
    rows: list[tuple[str, str, int | None, int]] = [
        (name, column, count, digest) for name, (count, digests) in tables.items() for column, digest in digests.items()
    ]
    rows += [(name, wording(), None, digest) for name, digest in definition_digests(connection).items()]
    rows.sort(key=lambda row: row[:2])
    # One statement: each costs as much as a thousand rows.
    names, parts, counts, digests = map(list, zip(*rows, strict=True))
    connection.execute(
        f"INSERT INTO {TABLE} SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::BIGINT[]), "
        "unnest(?::UINTEGER[])",
        [names, parts, counts, digests],
    )


def stored_digests(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, tuple[int | None, int]]]:
    """Object -> part -> rows and CRC-32, as published. Raises duckdb.Error."""
    found: dict[str, dict[str, tuple[int | None, int]]] = {}
    for name, part, rows, crc32 in connection.execute(f"SELECT object, part, rows, crc32 FROM {TABLE}").fetchall():
        found.setdefault(name, {})[part] = (rows, crc32)
    return found


def require_sound(connection: duckdb.DuckDBPyConnection, manifest: Manifest, path: Path) -> None:
    """What opening can see of a damaged file without reading its rows: AtlasFileError for dims or numbers of rows.

    `verify` sees the rest.
    """
    wrong = wrong_dims(manifest)
    try:
        rows = dict(connection.execute(_ROWS).fetchall())
        published = connection.execute(_PUBLISHED_ROWS).fetchall() if TABLE in rows else []
    except duckdb.Error as error:
        raise translate(error, path) from error
    for table, due in published:
        if rows.get(table) != due:
            wrong = wrong or f"{table} has {rows.get(table, 'no')} rows instead of {due}"
    if wrong:
        raise AtlasFileError(f"{path} is damaged: {wrong}", "Rebuild it with `neuron-atlas build`.")


def wrong_dims(manifest: Manifest) -> str:
    """What of the manifest no model has; '' for nothing."""
    for name in ("n_layers", "d_model", "d_mlp", "d_vocab", "top", "bins"):
        value = getattr(manifest, name)
        if not isinstance(value, int) or not 0 < value < 2**31:
            return f"{name} is {value!r}"
    return ""


def digests_in(path: Path) -> dict[str, dict[str, int]]:
    """Table -> column -> CRC-32 of a finished file of ours. Raises duckdb.Error."""
    with duckdb.connect(full_name(path), read_only=True) as connection:
        stored = stored_digests(connection)
    return {
        name: {part: crc32 for part, (_, crc32) in parts.items() if not part.startswith(WORDING)}
        for name, parts in stored.items()
    }
