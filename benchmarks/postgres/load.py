"""Fill the rival from a published atlas, so that both sides hold the same rows, and weigh both."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from atlas.store.reader import Atlas
from benchmarks.postgres.copy import HEADER, TRAILER, copy_bytes
from benchmarks.postgres.tables import TABLES, Table

if TYPE_CHECKING:
    import psycopg

# Tables of the atlas that hold what the rival holds; vectors, histograms and hashes of texts are left out.
SAME = "vocab _token_form _decoding _posting concept fit fit_concept _gaussian _background _range".split()


def load(connection: psycopg.Connection, atlas: Atlas) -> dict[str, float]:
    """Make and fill every table. Seconds by step: rows, indexes, statistics.

    Reading the atlas and putting rows into the format of COPY are not counted.
    """
    seconds = {"rows": 0.0, "indexes": 0.0, "statistics": 0.0}
    for table in TABLES:
        with connection.transaction():
            seconds["rows"] += _timed(connection, table.create())
            seconds["rows"] += _copy(connection, table, batches(atlas, table))
        for index in table.indexes:
            seconds["indexes"] += _timed(connection, index)
    seconds["statistics"] = _timed(connection, "VACUUM ANALYZE")
    return seconds


def index_by_token(connection: psycopg.Connection, statement: str) -> float:
    """Replace the index that finds postings by token. Seconds to make it."""
    connection.execute("DROP INDEX IF EXISTS decoding_token")
    return _timed(connection, statement) + _timed(connection, "ANALYZE decoding")


def rival_bytes(connection: psycopg.Connection) -> int:
    """Of all tables with their indexes."""
    names = [table.name for table in TABLES]
    row = connection.execute(
        "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name", [names]
    )
    return int(row.fetchone()[0])


def atlas_bytes(atlas: Atlas) -> int:
    """Of the blocks in the file that hold the tables SAME."""
    size = atlas.query("SELECT block_size FROM pragma_database_size()")[1][0][0]
    blocks: set[int] = set()
    for table in SAME:
        _, rows = atlas.query(
            "SELECT DISTINCT unnest(list_append(coalesce(additional_block_ids, []), block_id)) "
            "FROM pragma_storage_info($table)",
            {"table": table},
        )
        blocks |= {block for (block,) in rows if block is not None and block >= 0}
    return len(blocks) * size


def batches(atlas: Atlas, table: Table) -> Iterator[pa.Table]:
    """The rows of a table of the rival, out of the atlas, part by part."""
    if not table.parts:
        yield atlas.arrow(table.source)
        return
    for (part,) in atlas.query(table.parts)[1]:
        yield atlas.arrow(table.source, {"part": part})


def _copy(connection: psycopg.Connection, table: Table, rows: Iterator[pa.Table]) -> float:
    seconds = 0.0
    types = list(table.columns.values())
    start = time.perf_counter()
    with connection.cursor().copy(table.copy()) as copy:
        copy.write(HEADER)
        for batch in rows:
            data = copy_bytes(batch, types)
            start = time.perf_counter()
            copy.write(data)
            seconds += time.perf_counter() - start
        start = time.perf_counter()
        copy.write(TRAILER)
    return seconds + time.perf_counter() - start


def _timed(connection: psycopg.Connection, statement: str) -> float:
    start = time.perf_counter()
    connection.execute(statement)
    return time.perf_counter() - start
