"""The build area of an atlas: `TARGET.building/`, a folder beside the target that only one build may hold.

It has `staging.duckdb` (the tables of the atlas, unsorted, plus what is already done), `waiting/` (rows of some
tables, as files) and `scratch/`.
Rows and the note that their unit is done are committed in one transaction, so after a kill -9 every unit
is either wholly there or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import duckdb

from atlas.errors import BuildError
from atlas.schema.statements import Layout, schema_sql
from atlas.schema.tables import PASSING, TABLES, built
from atlas.store import build_area, waiting
from atlas.store.files import full_name, log_of, require_database

if TYPE_CHECKING:
    import pyarrow

_PRIVATE = """
CREATE TABLE _build (key VARCHAR NOT NULL, value VARCHAR NOT NULL);
CREATE TABLE _done (step VARCHAR NOT NULL, unit VARCHAR NOT NULL);
"""


# memory_limit: for pages that DuckDB keeps; its default, most of the machine, is the model's. checkpoint_threshold:
# how long the log may grow before its rows are compressed into the tables; at the default, 16 MB, this would cost as
# much again as writing the rows of a build.
_CONFIG = {"memory_limit": "500MB", "checkpoint_threshold": "128MB"}
_MOST_PROCESSES = 2**22  # of Linux, which has the longest numbers


def building_folder(target: Path) -> Path:
    """The build area of the atlas `target`."""
    return target.with_name(target.name + ".building")


class Staging:
    """One build in progress. A context manager; leaving it keeps the folder, `discard` removes it."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.folder = building_folder(target)
        self.scratch = self.folder / "scratch"
        self._waiting = self.folder / "waiting"
        self.database = self.folder / "staging.duckdb"
        self._lock: IO[str] | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None

    # -- opening ---------------------------------------------------------------------------------------

    def acquire(self) -> None:
        """Create the folder and take its lock. Raises BuildError when another build holds it, or it is no build's."""
        with contextlib.suppress(OSError):  # a parent that is not there is said below
            build_area.require_short(self.folder, len(self._discarded(_MOST_PROCESSES).name) - len(self.folder.name))
        while self._lock is None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                try:
                    build_area.require_own(self.folder)
                    lock = open(self.folder / build_area.LOCK, "w")
                except FileNotFoundError:
                    continue  # a build that was ending has moved it away
            except OSError as error:
                raise BuildError(f"cannot write beside {self.target}: {error.strerror}", "Check the folder.") from error
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                lock.close()
                raise BuildError(
                    f"another build of {self.target} is running", "Wait for it, or build to another file."
                ) from error
            # A build that was ending may have removed the folder between the two calls: then this locks nothing.
            if _is_at(lock, self.folder / build_area.LOCK):
                self._lock = lock
                self._remove_discarded()
            else:
                lock.close()

    def interrupted(self) -> bool:
        """Whether an earlier build left work that can be resumed."""
        if not self.database.exists():
            return False
        try:
            return bool(self.parameters())
        except duckdb.Error:
            return False  # killed while the file was being made: nothing to resume

    def start(
        self, layout: Layout, parameters: dict[str, Any], seed: Path | None = None, skip: tuple[str, ...] = ()
    ) -> None:
        """Begin anew; with `seed`, from the rows of that published atlas, but not of the tables `skip`."""
        self.close()
        for leftover in (self.database, log_of(self.database)):
            leftover.unlink(missing_ok=True)
        for leftover in (self.scratch, self._waiting):
            shutil.rmtree(leftover, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        connection = self._connect()
        connection.execute("BEGIN")
        connection.execute(schema_sql(layout))
        connection.execute(_PRIVATE)
        connection.execute("COMMIT")
        if seed is not None:
            self._copy_from(seed, skip)
        # Last, because `interrupted` takes this row as the sign that there is something to resume.
        connection.execute("INSERT INTO _build VALUES ('parameters', ?)", [json.dumps(parameters, sort_keys=True)])

    def resume(self, parameters: dict[str, Any]) -> None:
        """Continue an interrupted build. Raises BuildError naming the parameter that differs."""
        before = self.parameters()
        differing = sorted(k for k in before.keys() | parameters.keys() if before.get(k) != parameters.get(k))
        if differing:
            key = differing[0]
            raise BuildError(
                f"the interrupted build had {key} = {before.get(key)!r}, this one has {parameters.get(key)!r}",
                "Give the same options, or start over with --restart.",
            )

    def parameters(self) -> dict[str, Any]:
        """The parameters that this build was started with; empty before `start`."""
        found = self._connect().execute("SELECT value FROM _build WHERE key = 'parameters'").fetchall()
        return json.loads(found[0][0]) if found else {}

    # -- work ------------------------------------------------------------------------------------------

    def done(self, step: str) -> set[str]:
        """Units of `step` that are committed."""
        return {unit for (unit,) in self.rows("SELECT unit FROM _done WHERE step = ?", [step])}

    def commit(self, step: str, unit: str, tables: dict[str, pyarrow.Table]) -> None:
        """Keep the rows of each table and mark the unit as done, in one transaction."""
        connection = self._connect()
        connection.execute("BEGIN")
        try:
            for name, rows in tables.items():
                if name not in TABLES and name not in PASSING:
                    raise BuildError(f"no table {name} in the schema")
                if name in PASSING or TABLES[name].waiting:
                    waiting.write(self._waiting, name, f"{step}/{unit}", rows)
                    connection.execute("INSERT INTO _done VALUES (?, ?)", [f"waiting/{name}", f"{step}/{unit}"])
                    continue
                connection.register("_batch", rows)
                connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM _batch")
                connection.unregister("_batch")
            connection.execute("INSERT INTO _done VALUES (?, ?)", [step, unit])
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):  # a failed COMMIT has rolled back already
                connection.execute("ROLLBACK")
            raise

    def waiting(self, table: str) -> list[Path]:
        """The files with rows of `table` that committed units keep beside the database, in the order of the commits."""
        units = self.rows("SELECT unit FROM _done WHERE step = ? ORDER BY rowid", [f"waiting/{table}"])
        return waiting.files(self._waiting, table, [unit for (unit,) in units])

    def read_state(self, key: str) -> str | None:
        """A value that `write_state` kept, or None."""
        found = self._connect().execute("SELECT value FROM _build WHERE key = ?", ["state:" + key]).fetchall()
        return found[0][0] if found else None

    def write_state(self, key: str, value: str) -> None:
        """Keep a small value across a kill, in one transaction."""
        connection = self._connect()
        connection.execute("BEGIN")
        self._put_state(key, value)
        connection.execute("COMMIT")

    def _put_state(self, key: str, value: str) -> None:
        self._connect().execute("DELETE FROM _build WHERE key = ?", ["state:" + key])
        self._connect().execute("INSERT INTO _build VALUES (?, ?)", ["state:" + key, value])

    def rows(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a statement over the staging tables."""
        return self._connect().execute(sql, parameters).fetchall()

    def execute_once(
        self, step: str, statements: list[tuple[str, list[Any]]], state: tuple[str, str] | None = None
    ) -> None:
        """Run statements in one transaction, with a value to keep, unless `step` is already done."""
        if self.done(step):
            return
        connection = self._connect()
        connection.execute("BEGIN")
        for sql, parameters in statements:
            connection.execute(sql, parameters)
        if state is not None:
            self._put_state(*state)
        connection.execute("INSERT INTO _done VALUES (?, 'all')", [step])
        connection.execute("COMMIT")

    # -- leaving ---------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the staging database; the lock stays until `release`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def release(self) -> None:
        """Close and give the lock back; the folder stays for `--resume`."""
        self.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def discard(self) -> None:
        """Remove the folder: after publishing, or when nothing in it is worth resuming."""
        self.close()
        # Moved away in one step: deleting in place could reach what the next build of this target writes there.
        gone = self._discarded(os.getpid())
        with contextlib.suppress(OSError):
            self.folder.rename(gone)
            if not build_area.remove(gone):
                gone.rename(self.folder)  # somebody has put a file into it meanwhile
        self.release()

    def _discarded(self, pid: int) -> Path:
        """Where a process moves the folder that it then removes."""
        return self.folder.with_name(f"{self.folder.name}.{pid}")

    def _remove_discarded(self) -> None:
        """Remove what processes that were killed while they removed it have left. Only under the lock."""
        for path in self.folder.parent.iterdir():
            pid = path.name.removeprefix(self.folder.name + ".")
            if pid.isdecimal() and path == self._discarded(int(pid)) and not _is_another_process(int(pid)):
                build_area.remove(path)

    def __enter__(self) -> Staging:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = duckdb.connect(full_name(self.database), config={**_CONFIG})
        return self._connection

    def _copy_from(self, seed: Path, skip: tuple[str, ...]) -> None:
        require_database(seed)
        connection = self._connect()
        quoted = full_name(seed).replace("'", "''")
        connection.execute(f"ATTACH '{quoted}' AS seed (READ_ONLY)")
        # An atlas from before a table was introduced lacks it; what it would say is then unknown.
        there = {name for (name,) in self.rows("SELECT table_name FROM duckdb_tables() WHERE database_name = 'seed'")}
        for table in built():
            if table.name not in skip and table.name in there:
                connection.execute(f"INSERT INTO {table.name} BY NAME SELECT * FROM seed.{table.name}")
        connection.execute("DETACH seed")


def _is_another_process(pid: int) -> bool:
    """Whether there is a process of that number beside this one."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid not in (0, os.getpid())


def _is_at(file: IO[str], path: Path) -> bool:
    """Whether `path` still names the open `file`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False
