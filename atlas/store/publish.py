"""Turn a finished staging area into the visible atlas: sorted copy, checks, fsync, one rename.

Readers see the old file or the new one. A crash at any point leaves the old one in place.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from atlas.errors import BuildError
from atlas.manifest import Manifest
from atlas.schema.keys import DERIVED, KEYS
from atlas.schema.statements import Layout, macros_sql, schema_sql
from atlas.store.checks import check
from atlas.store.files import fsync_path
from atlas.store.staging import Staging

# Small blocks make the cold look-up cheaper (a block is the unit of reading) at the same size.
_BLOCK_SIZE = 65536

# Derived on publishing: the search direction of the decodings, and the forms of a word.
_POSTING = """
INSERT INTO _posting
SELECT token_id, sign, nid, rank, logit FROM (
    SELECT nid, 1::TINYINT AS sign, unnest(range(1, {top} + 1))::SMALLINT AS rank,
           unnest(raised_token::INTEGER[]) AS token_id, unnest(raised_logit::FLOAT[]) AS logit FROM _decoding
    UNION ALL
    SELECT nid, -1::TINYINT, unnest(range(1, {top} + 1))::SMALLINT,
           unnest(lowered_token::INTEGER[]), unnest(lowered_logit::FLOAT[]) FROM _decoding)
ORDER BY {order}"""
_TOKEN_FORM = """
INSERT INTO _token_form
SELECT lower(trim(token)) AS form, token_id FROM vocab WHERE trim(token) <> '' ORDER BY form, token_id"""


def publish(staging: Staging, manifest: Manifest, memory: str = "2GB") -> Path:
    """Write `staging.target` from the staging tables, replacing what was there; returns the target.

    `memory` bounds DuckDB while sorting ('2GB'); it spills beside the staging file. Raises BuildError when
    a check fails: then nothing changes and the staging area stays.
    """
    staging.close()
    fresh = staging.folder / "publish.duckdb"
    _remove(fresh)
    layout = Layout(manifest.top, manifest.bins, manifest.d_model, manifest.n_layers, manifest.d_mlp)
    config = {
        "default_block_size": str(_BLOCK_SIZE),
        "memory_limit": memory,
        "temp_directory": str(staging.folder / "spill"),
    }
    try:
        with duckdb.connect(str(fresh), config=config) as connection:
            _fill(connection, staging.database, manifest, layout)
            check(connection, manifest.top)
            connection.execute("CHECKPOINT")
    except duckdb.OutOfMemoryException as error:
        raise BuildError(f"publishing needs more than {memory} of memory", "Raise --memory, then --resume.") from error
    fsync_path(fresh)
    os.replace(fresh, staging.target)
    # A log of an older file under this name would make the new one unreadable.
    staging.target.with_name(staging.target.name + ".wal").unlink(missing_ok=True)
    fsync_path(staging.target.parent)
    return staging.target


def _fill(connection: duckdb.DuckDBPyConnection, source: Path, manifest: Manifest, layout: Layout) -> None:
    connection.execute(schema_sql(layout))
    connection.execute(macros_sql(layout))
    quoted = str(source).replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS staging (READ_ONLY)")
    for table, keys in KEYS.items():
        if table in DERIVED:
            continue
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM staging.{table} ORDER BY {', '.join(keys)}")
    connection.execute("DETACH staging")
    for statement in (_TOKEN_FORM, _POSTING):
        order = ", ".join(KEYS["_posting"])
        connection.execute(statement.replace("{top}", str(layout.top)).replace("{order}", order))
    marks = ", ".join("?" * len(Manifest.columns()))
    connection.execute(f"INSERT INTO atlas ({', '.join(Manifest.columns())}) VALUES ({marks})", manifest.row())


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".wal").unlink(missing_ok=True)
