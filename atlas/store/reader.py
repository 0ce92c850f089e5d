"""Read an atlas. Opening never writes, and never loads torch, numpy or pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import duckdb

from atlas.errors import AtlasFileError, QuestionError
from atlas.manifest import SCHEMA_VERSION, Manifest
from atlas.store.digests import require_sound
from atlas.store.files import is_damage, require_database, translate

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    import numpy
    import pyarrow

# Everything that reaches outside the file is off: an atlas is data that came from somewhere.
SAFE_CONFIG: dict[str, Any] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
    "threads": 2,
}

Parameters = dict[str, Any] | list[Any] | None


class Atlas:
    """An open, read-only atlas. Use `open_atlas`; it is a context manager."""

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self.kept: dict[Any, Any] = {}
        """What questions keep for the next ones, each under a key of its own: an open atlas does not change."""
        self._connection = connection
        self._prepared = (_Prepared(connection), _Prepared(connection.cursor()))
        self._thread: ThreadPoolExecutor | None = None

    def query(self, sql: str, parameters: Parameters = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and all rows of one statement.

        Raises QuestionError when DuckDB rejects the statement, AtlasFileError when the file is damaged.
        """
        try:
            cursor = self._connection.execute(sql, parameters)
            return [column[0] for column in cursor.description or []], cursor.fetchall()
        except duckdb.Error as error:
            raise self._refusal(error) from error

    def rows(self, statements: Sequence[str], **numbers: int) -> list[list[tuple[Any, ...]]]:
        """All rows of each of some statements that are asked often: parsed once, parameters are integers.

        Two connections take turns, each in a thread of its own: a look-up keeps no more than one processor busy.
        Raises as `query`.
        """
        values = ", ".join(f"{name} := {int(value)}" for name, value in numbers.items())

        def every_second(first: int) -> list[list[tuple]]:
            return [self._prepared[first].run(sql, values) for sql in statements[first::2]]

        found: list[list[tuple]] = [[]] * len(statements)
        try:
            others = self._helper().submit(every_second, 1) if len(statements) > 1 else None
            try:
                found[::2] = every_second(0)
            finally:
                if others is not None:
                    found[1::2] = others.result()
        except duckdb.Error as error:
            raise self._refusal(error) from error
        return found

    def arrow(self, sql: str, parameters: Parameters = None) -> pyarrow.Table:
        """The result of one statement as an Arrow table. Raises as `query`."""
        try:
            return self._connection.sql(sql, params=parameters).to_arrow_table()
        except duckdb.Error as error:
            raise self._refusal(error) from error

    def arrays(self, sql: str, parameters: Parameters = None) -> dict[str, numpy.ndarray]:
        """The result of one statement as one numpy array a column; columns must not hold NULL. Raises as `query`."""
        try:
            return self._connection.execute(sql, parameters).fetchnumpy()
        except duckdb.Error as error:
            raise self._refusal(error) from error

    def close(self) -> None:
        """Close the file; calling it twice is harmless."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        self._prepared[1].connection.close()
        self._connection.close()

    def __enter__(self) -> Atlas:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _helper(self) -> ThreadPoolExecutor:
        """The second thread, which stays: to start one costs as much as a statement."""
        if self._thread is None:
            from concurrent.futures import ThreadPoolExecutor

            self._thread = ThreadPoolExecutor(1)
        return self._thread

    def _refusal(self, error: duckdb.Error) -> Exception:
        if is_damage(error):
            return translate(error, self.path)
        return QuestionError(" ".join(str(error).split())[:400])


class _Prepared:
    """A connection and the statements that it has parsed."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._names: dict[str, str] = {}

    def run(self, sql: str, values: str) -> list[tuple[Any, ...]]:
        """All rows; `values`: the parameters as EXECUTE takes them."""
        if sql not in self._names:
            name = f"asked_often_{len(self._names)}"
            self.connection.execute(f"PREPARE {name} AS {sql}")
            self._names[sql] = name
        return self.connection.execute(f"EXECUTE {self._names[sql]}({values})").fetchall()


def open_atlas(path: str | Path) -> Atlas:
    """Open an atlas for reading.

    Raises AtlasFileError (exit code 3) when the file is missing, no atlas, damaged, locked by a writer, or
    of another schema version.
    """
    path = Path(path)
    require_database(path)
    try:
        connection = duckdb.connect(str(path), read_only=True, config=SAFE_CONFIG)
        # Connections of one process to one file share their settings: a second one finds them locked.
        if not connection.execute("SELECT current_setting('lock_configuration')").fetchall()[0][0]:
            # A setting of the session, which connect() refuses: the bar would be printed among the data.
            connection.execute("SET enable_progress_bar = false")
            connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        raise translate(error, path) from error
    try:
        manifest = read_manifest(connection, path)
        require_sound(connection, manifest, path)
    except BaseException:
        connection.close()
        raise
    return Atlas(path, connection, manifest)


def read_manifest(connection: duckdb.DuckDBPyConnection, path: Path) -> Manifest:
    """The row of table `atlas`. Raises AtlasFileError when it is absent or of another schema version."""
    try:
        found = connection.execute("SELECT schema_version FROM atlas").fetchall()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise _no_atlas(path) from error
    except duckdb.Error as error:
        raise translate(error, path) from error
    if len(found) != 1:
        raise AtlasFileError(f"{path} has {len(found)} atlas rows instead of 1", "Rebuild it.")
    version = found[0][0]
    if not isinstance(version, int):
        raise _no_atlas(path)
    if version > SCHEMA_VERSION:
        raise AtlasFileError(
            f"{path} has schema version {version}, this software reads {SCHEMA_VERSION}",
            "Run: pip install -U neuron-atlas.",
        )
    if version < SCHEMA_VERSION:
        raise AtlasFileError(
            f"{path} has the old schema version {version}, this software reads {SCHEMA_VERSION}",
            "Rebuild it with `neuron-atlas build`.",
        )
    try:
        row = connection.execute(f"SELECT {', '.join(Manifest.columns())} FROM atlas").fetchall()[0]
    except duckdb.BinderException as error:
        raise _no_atlas(path) from error
    except duckdb.Error as error:
        raise translate(error, path) from error
    return Manifest(*row)


def _no_atlas(path: Path) -> AtlasFileError:
    return AtlasFileError(
        f"{path} is a DuckDB file but no neuron atlas", "Name a file that `neuron-atlas build` wrote."
    )
