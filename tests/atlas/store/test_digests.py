"""Digests, recomputed by the recipe of docs/schema.md from plain Python values."""

from __future__ import annotations

import datetime as dt
import struct
import zlib
from pathlib import Path
from typing import Any

import duckdb
import pytest

from atlas.errors import AtlasFileError
from atlas.store.digests import ColumnDigest
from atlas.store.reader import open_atlas
from tests.atlas_factory import write_small_atlas

WIDTHS = {"BOOLEAN": "<?", "TINYINT": "<b", "SMALLINT": "<h", "INTEGER": "<i", "BIGINT": "<q", "TIMESTAMP": "<q"}
WIDTHS |= {"UBIGINT": "<Q", "FLOAT": "<f", "DOUBLE": "<d"}
WEIGHTS = ["up_proj", "gate_proj", "down_proj"]


def packed(kind: str, value: Any) -> bytes:
    """The bytes of one value that is no list."""
    if kind == "VARCHAR":
        return b"" if value is None else value.encode()
    if kind.startswith("ENUM"):
        return struct.pack("<B", WEIGHTS.index(value))
    if isinstance(value, dt.datetime):
        value = (value - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
    return struct.pack(WIDTHS[kind], 0 if value is None else value)


def by_the_recipe(kind: str, values: list[Any]) -> int:
    """The digest of a column of DuckDB's type `kind`."""
    base, _, length = kind.partition("[")
    is_list = bool(length)
    flat = [item for value in values for item in value] if is_list else values
    crc = zlib.crc32(b"".join(packed(base, value) for value in flat))
    lengths = b""
    if kind == "VARCHAR" or length == "]":
        sizes = [len(value.encode() if kind == "VARCHAR" else value) if value is not None else 0 for value in values]
        lengths = struct.pack(f"<{len(sizes)}q", *sizes)
    nulls = [row for row, value in enumerate(values) if value is None]
    parts = zlib.crc32(lengths), zlib.crc32(struct.pack(f"<{len(nulls)}q", *nulls))
    return crc if parts == (0, 0) else zlib.crc32(struct.pack("<III", crc, *parts))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("digests") / "a.duckdb")


def test_every_column_has_the_digest_of_the_recipe(small: Path) -> None:
    with duckdb.connect(str(small), read_only=True) as connection:
        columns = connection.execute(
            """SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal
               AND table_name IN (SELECT table_name FROM duckdb_tables()) AND table_name <> '_digest'"""
        ).fetchall()
        due = {}
        for table, column, kind in columns:
            values = [
                value for (value,) in connection.execute(f"SELECT {column} FROM {table} ORDER BY rowid").fetchall()
            ]
            due[table, column] = len(values), by_the_recipe(kind, values)
        stored = connection.execute("SELECT object, part, rows, crc32 FROM _digest WHERE rows IS NOT NULL").fetchall()
    assert {(table, column): (rows, crc32) for table, column, rows, crc32 in stored} == due
    assert len(due) > 80


def digest(sql: str, rows: int = 1000) -> int:
    """Of the one column of a query, read `rows` at a time."""
    found = ColumnDigest()
    for batch in duckdb.sql(sql).to_arrow_reader(rows):
        found.add(batch.column(0))
    return found.value()


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("INTEGER", [1, None, 3, None]),
        ("DOUBLE", [0.1, float("inf"), None, -0.0]),
        ("VARCHAR", ["ab", "", None, "cä", "\x00"]),
        ("DOUBLE[]", [[1.0], [], [2.0, 3.0]]),
        ("BOOLEAN", [True, None, False]),
    ],
)
@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_batches_and_nulls_do_not_matter(kind: str, values: list[Any], rows: int) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t (v {kind})")
        connection.executemany("INSERT INTO t VALUES (?)", [[value] for value in values])
        found = ColumnDigest()
        for batch in connection.sql("SELECT v FROM t").to_arrow_reader(rows):
            found.add(batch.column(0))
    assert found.value() == by_the_recipe(kind, values)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("VALUES (1), (2)", "VALUES (2), (1)"),
        ("VALUES (0), (NULL)", "VALUES (NULL), (0)"),
        ("VALUES (0), (1)", "VALUES (NULL), (1)"),
        ("VALUES ('a'), ('bc')", "VALUES ('ab'), ('c')"),
        ("VALUES (''), ('a')", "VALUES (NULL), ('a')"),
        ("VALUES ([1, 2]), ([3])", "VALUES ([1]), ([2, 3])"),
        ("VALUES (0.0::FLOAT)", "VALUES (-0.0::FLOAT)"),
        ("VALUES (1.0::FLOAT)", "VALUES (1.0000001::FLOAT)"),
        ("VALUES (1)", "VALUES (1), (0)"),
    ],
)
def test_what_differs_has_another_digest(one: str, other: str) -> None:
    assert digest(one) != digest(other)


def test_opening_refuses_another_number_of_rows(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    path.write_bytes(small.read_bytes())
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO _range SELECT * FROM _range WHERE neuron = 3")
        connection.execute("CHECKPOINT")
    with pytest.raises(AtlasFileError, match=r"_range has \d+ rows instead of \d+"):
        open_atlas(path)
