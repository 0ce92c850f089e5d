"""Turn a finished staging area into the visible atlas: sorted copy, checks, fsync, one rename.

Readers see the old file or the new one. A crash at any point leaves the old one in place.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

from atlas.errors import BuildError
from atlas.manifest import Manifest
from atlas.schema.statements import Layout, layout_of, macros_sql, schema_sql
from atlas.schema.tables import built
from atlas.store import waiting
from atlas.store.checks import check, scanned_tables
from atlas.store.columns import misplaced_rows
from atlas.store.files import fsync_path, full_name, log_of
from atlas.store.postings import insert_postings
from atlas.store.scan import begin
from atlas.store.seal import put_seal
from atlas.store.significance import insert_significance
from atlas.store.staging import Staging

# Small blocks make the cold look-up cheaper (a block is the unit of reading) at the same size.
_BLOCK_SIZE = 65536

# Part of the memory that the postings are sorted in; DuckDB has the rest. A larger one is not faster.
_POSTINGS = 1 / 4

# Row groups that come out less than full, as several processors fill them, are not worth merging: a checkpoint would
# write them once more at the end of the file, and leave the blocks where they were free: a tenth of an atlas.
_VACUUM_TASKS = 0

_TOKEN_FORM = """
INSERT INTO _token_form
SELECT lower(trim(token)) AS form, token_id FROM vocab WHERE trim(token) <> '' ORDER BY form, token_id"""


def publish(
    staging: Staging, manifest: Manifest, memory: str = "2GB", allowed: Callable[[], None] = lambda: None
) -> Path:
    """Write `staging.target` from the staging tables, replacing what was there; returns the target.

    `memory` ('2GB') bounds what is sorted at a time: DuckDB spills beside the staging file, postings take more
    passes. `allowed` is called last, and raises when the target may not be replaced after all.
    Raises BuildError when a check fails: then nothing changes and the staging area stays.
    """
    files = {table.name: staging.waiting(table.name) for table in built() if table.waiting}
    staging.close()
    fresh = staging.folder / "publish.duckdb"
    _remove(fresh)
    layout = layout_of(manifest)
    memory_bytes = duckdb.execute("SELECT parse_formatted_bytes(?)", [memory]).fetchall()[0][0]
    postings_bytes = int(_POSTINGS * memory_bytes)
    config = {
        "default_block_size": str(_BLOCK_SIZE),
        "memory_limit": f"{memory_bytes - postings_bytes}B",
        "temp_directory": str(staging.folder / "spill"),
        "max_vacuum_tasks": str(_VACUUM_TASKS),
    }
    try:
        with duckdb.connect(full_name(fresh), config={**config}) as connection, ThreadPoolExecutor(1) as beside:
            _fill(connection, staging.database, files, manifest, layout)
            # Sorting postings keeps one processor busy: the other one reads what is written already.
            readings = begin(beside, connection, [table for table in scanned_tables() if table != "_posting"], layout)
            insert_postings(connection, layout.top, postings_bytes)
            readings |= begin(beside, connection, ["_posting"], layout)
            check(connection, layout, readings)
            connection.execute("CHECKPOINT")
    except duckdb.OutOfMemoryException as error:
        raise BuildError(f"publishing needs more than {memory} of memory", "Raise --memory, then --resume.") from error
    put_seal(fresh, _BLOCK_SIZE)
    fsync_path(fresh)
    allowed()
    os.replace(fresh, staging.target)
    # A log of an older file under this name would make the new one unreadable.
    log_of(staging.target).unlink(missing_ok=True)
    fsync_path(staging.target.parent)
    return staging.target


def _fill(
    connection: duckdb.DuckDBPyConnection,
    source: Path,
    files: dict[str, list[Path]],
    manifest: Manifest,
    layout: Layout,
) -> None:
    """All tables but the postings."""
    connection.execute("BEGIN")  # each of them alone would wait for the disk
    connection.execute(schema_sql(layout))
    connection.execute(macros_sql(layout))
    connection.execute("COMMIT")
    quoted = full_name(source).replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS staging (READ_ONLY)")
    tables = [table for table in built() if not files.get(table.name)]
    filled = ", ".join(f"EXISTS (FROM staging.{table.name})" for table in tables)
    some = connection.execute(f"SELECT {filled}").fetchall()[0]
    empty = {table.name for table, any_row in zip(tables, some, strict=True) if not any_row}
    for table in built():
        if table.name in empty:
            continue  # most have no rows in a small build, and the statements would take longer than its other ones
        # A build that was not interrupted has written most of them in order.
        misplaced = misplaced_rows(connection, table.name, _source(connection, table.name, files))
        order = f"ORDER BY {', '.join(table.key)}" if misplaced else ""
        rows = _source(connection, table.name, files)
        connection.execute(f"INSERT INTO {table.name} BY NAME SELECT * FROM {rows} {order}")
    connection.unregister("_waiting")
    connection.execute("DETACH staging")
    connection.execute(_TOKEN_FORM)
    insert_significance(connection)
    marks = ", ".join("?" * len(Manifest.columns()))
    connection.execute(f"INSERT INTO atlas ({', '.join(Manifest.columns())}) VALUES ({marks})", manifest.row())


def _source(connection: duckdb.DuckDBPyConnection, table: str, files: dict[str, list[Path]]) -> str:
    """Where SQL finds the rows of a table, to be read once."""
    if not files.get(table):
        return f"staging.{table}"
    connection.register("_waiting", waiting.read(files[table]))
    return f"(FROM staging.{table} UNION ALL BY NAME FROM _waiting)"


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    log_of(path).unlink(missing_ok=True)
