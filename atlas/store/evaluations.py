"""The sidecar of an atlas: FILE.evaluations.duckdb, where evaluations are added and never changed.

A write goes to a copy that then takes the file's place, so a reader sees all of an evaluation or nothing of
it, and a kill leaves the old file.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from atlas.errors import AtlasFileError
from atlas.manifest import utc_now
from atlas.store import definitions
from atlas.store.attached import SAFE_CONFIG, attach
from atlas.store.files import fsync_path, full_name, log_of, require_database, translate
from atlas.store.objects import read_objects
from atlas.store.seal import put_seal, remove_seal, require_seal
from atlas.time_limit import time_limit
from atlas.whole_file import beside, no_room, real_place

if TYPE_CHECKING:
    import pyarrow

SCHEMA_VERSION = 1
SUFFIX = ".evaluations.duckdb"
_TABLES = ("spec", "evaluation", "score")


def sidecar_of(atlas: Path) -> Path:
    """The file beside an atlas that holds its evaluations, whether or not it is there."""
    return atlas.with_name(atlas.name.removesuffix(".duckdb") + SUFFIX)


def check_sidecar(path: Path) -> None:
    """Raise AtlasFileError when there is a file that nothing could be added to; a missing one is fine."""
    if path.exists():
        with open_evaluations(path):
            pass


def append_evaluations(path: Path, tables: dict[str, pyarrow.Table]) -> None:
    """Add rows to the tables `spec` (hashes that are there already are skipped), `evaluation` and `score`.

    Makes the file when there is none. Waits for another process that is writing in the same folder. Raises
    AtlasFileError, with the file unchanged, when it is no such sidecar, of another version, or not writable.
    """
    try:
        path = real_place(path)
        with _writing(path.parent):
            fresh = beside(path)
            try:
                _write(path, fresh, tables)
                fsync_path(fresh)
                os.replace(fresh, path)
                fsync_path(path.parent)
            finally:
                for leftover in (fresh, log_of(fresh)):
                    leftover.unlink(missing_ok=True)
    except OSError as error:
        raise AtlasFileError(f"cannot write {path}: {error.strerror}", "Check the folder.") from error


@contextmanager
def open_evaluations(path: Path, timeout_s: float | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection; a statement may take `timeout_s` seconds, as in `open_atlas`.

    Raises AtlasFileError as append_evaluations, also for a missing file.
    """
    _require(path)
    try:
        connection = attach(path, time_limit(timeout_s))
    except duckdb.Error as error:
        raise translate(error, path) from error
    try:
        _check_version(connection, path)
        yield connection
    finally:
        connection.close()


def read_rows(
    path: Path, sql: str, parameters: dict[str, Any], timeout_s: float | None = None
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows of one statement over the sidecar. Raises as open_evaluations."""
    with open_evaluations(path, timeout_s) as connection:
        try:
            cursor = connection.execute(sql, parameters)
            return [column[0] for column in cursor.description or []], cursor.fetchall()
        except duckdb.Error as error:
            raise translate(error, path) from error


def _write(path: Path, fresh: Path, tables: dict[str, pyarrow.Table]) -> None:
    if path.exists():
        _require(path)
        shutil.copyfile(path, fresh)
        remove_seal(fresh)
    try:
        with duckdb.connect(full_name(fresh), config=SAFE_CONFIG) as connection:
            if path.exists():
                _check_version(connection, path)
            else:
                connection.execute(definitions.evaluations_sql())
                connection.execute("INSERT INTO evaluations_file VALUES (?, ?)", [SCHEMA_VERSION, utc_now()])
            for name in _TABLES:
                connection.register("_rows", tables[name])
                known = "WHERE spec_hash NOT IN (SELECT spec_hash FROM spec)" if name == "spec" else ""
                connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM _rows {known}")
                connection.unregister("_rows")
            connection.execute("CHECKPOINT")
            block_size = connection.execute("SELECT block_size FROM pragma_database_size()").fetchall()[0][0]
    except duckdb.Error as error:
        if (full := no_room(error)) is not None:
            raise AtlasFileError(f"cannot write {path}: {full}", "Make room; what was there is kept.") from error
        raise translate(error, path) from error
    put_seal(fresh, block_size)


def _require(path: Path) -> None:
    if not path.exists():
        raise AtlasFileError(f"there are no evaluations at {path}", "Make some: neuron-atlas evaluate SPEC.")
    try:
        require_database(path)
        require_seal(path)
    except AtlasFileError as error:
        raise AtlasFileError(f"{path} holds no evaluations: {error.message}", "Move it away.") from error


def _check_version(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        objects = read_objects(connection)
        if not any(object[:3] == ("table", "main", "evaluations_file") for object in objects):
            raise AtlasFileError(f"{path} is a DuckDB file without evaluations", "Move it away.")
        definitions.require_known(objects, definitions.EVALUATIONS, path)
        found = connection.execute("SELECT schema_version FROM evaluations_file").fetchall()
    except duckdb.Error as error:
        raise translate(error, path) from error
    if found != [(SCHEMA_VERSION,)]:
        version = found[0][0] if found else "none"
        raise AtlasFileError(
            f"{path} has schema version {version}, this software reads and writes {SCHEMA_VERSION}",
            "Use the neuron-atlas that wrote it, or move it away.",
        )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: two evaluations that end together must not lose each other's rows."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
