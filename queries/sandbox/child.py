"""The inside of the SQL sandbox: a process that limits itself, opens the atlas, answers one statement, and ends.

Between the two it waits, as long as its parent likes; it has neither seen nor run anything of a stranger's by then.

Three fences, each enough for most attacks: DuckDB's locked configuration (no files, extensions, settings),
only one SELECT or EXPLAIN statement, and limits of the operating system that hold even inside one scalar
call. The parent, `queries.sandbox.sandbox`, holds the fourth: it kills this process when its time is over.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.errors import AtlasError, QuestionError
from queries.sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

_ROWS_AT_ONCE = 100
_FILES_AT_ONCE = 64
_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
_ALLOWED = ("SELECT", "EXPLAIN")
_ZONED = "TIMESTAMP WITH TIME ZONE"
_NAME_COLUMNS = "Name them, as it needs a table for them else: PIVOT concept ON family IN ('topics') USING count(*)."
_READS_ONLY = "The sandbox answers one SELECT (or EXPLAIN) over the atlas and does nothing else."


def main() -> None:
    """Read a place and a statement from stdin, write columns, rows and an end or an error to stdout."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answer
    try:
        _, place = wire.decode(_read_line())
        _end_with(place.get("parent"))
        _limit(place["memory_mb"])
        _alarm(place["open_s"] + 2)
        mount: Callable[[str], None] | None = None
        if "relay" in place:
            connection, mount = _connect_far(place)
        else:
            connection = _connect(place["path"], place["open_s"], place["memory_mb"], place["atlas_id"])
        # Nothing more is opened from here on: not by SQL, and not by whatever SQL may find to run.
        _lower(resource.RLIMIT_NOFILE, 0)
        _alarm(0)
        _, request = wire.decode(_read_line())
        _limit_time(request["timeout_s"])
        if mount is not None:
            mount(request["sql"])
        _answer(connection, request, Path(place["path"]), out)
    except AtlasError as error:
        out.write(wire.encode("error", [type(error).__name__, error.message, error.hint]))
    except MemoryError:
        out.write(wire.encode("memory", None))
    except Exception as error:  # a traceback would go nowhere
        out.write(wire.encode("error", ["QuestionError", f"{type(error).__name__}: {error}", ""]))
    out.close()


def _read_line() -> bytes:
    """The next line; without one there is nothing to do: the parent has closed the session, or is gone."""
    line = sys.stdin.buffer.readline()
    if not line:
        os._exit(0)
    return line


def _end_with(parent: int | None) -> None:
    """On Linux, have this process killed when its parent dies, whatever it is doing then."""
    if sys.platform != "linux" or parent is None:
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


def _limit(memory_mb: int) -> None:
    """Bound memory by the operating system; no core dumps; no byte into any file."""
    _lower(resource.RLIMIT_AS, memory_mb * 2**20)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_NOFILE, _FILES_AT_ONCE)


def _limit_time(timeout_s: float) -> None:
    """Bound the time of the statement by the operating system."""
    _lower(resource.RLIMIT_CPU, int(timeout_s) + 2)
    _alarm(timeout_s + 2)


def _alarm(after_s: float) -> None:
    """End this process after so many seconds, 0 for never: should the parent die where the kernel does not tell."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, after_s)


def _lower(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _answer(connection: duckdb.DuckDBPyConnection, request: dict[str, Any], path: Path, out: Any) -> None:
    import duckdb

    try:
        connection.execute(f"SET max_execution_time = {max(1, int(request['timeout_s'] * 1000))}")
        connection.execute("SET lock_configuration = true")
        statement = _only_statement(connection, request["sql"])
        cursor = connection.execute(statement, request["parameters"])
        _send(cursor, request["max_rows"], request["max_bytes"], out)
    except duckdb.OutOfMemoryException:
        raise MemoryError from None
    except duckdb.InterruptException:
        out.write(wire.encode("time", None))
    except duckdb.Error as error:
        raise _refusal(error, path) from None


def _connect(name: str, open_s: float, memory_mb: int, atlas_id: str | None = None) -> duckdb.DuckDBPyConnection:
    """The atlas, read-only and fenced in but for the last lock, which comes with the statement's time.

    Raises AtlasFileError as `open_atlas` does, QuestionError for another atlas than the one that is to be asked.
    """
    import duckdb

    from atlas.store.attached import SAFE_CONFIG
    from atlas.store.files import full_name, require_database, translate
    from atlas.store.reader import overlay_of, read_atlas
    from atlas.store.seal import require_seal

    path = Path(name)
    require_database(path)
    require_seal(path)
    # connect() applies its settings in no fixed order, and this one closes the door behind it.
    last = {"enable_external_access": False}
    first = {name: value for name, value in SAFE_CONFIG.items() if name not in last}
    try:
        connection = duckdb.connect(full_name(path), read_only=True, config=first)
        for setting, value in {**_settings(open_s, memory_mb), **last}.items():
            connection.execute(f"SET {setting} = '{value}'")
    except duckdb.Error as error:
        raise translate(error, path) from error
    manifest, lacking = read_atlas(connection, path)
    if atlas_id not in (None, manifest.atlas_id):
        raise QuestionError(f"{path} has been replaced since it was opened", "Open it again.")
    if lacking:
        database = connection.execute("SELECT current_database()").fetchall()[0][0]
        connection.execute(overlay_of(lacking, manifest, database))
    return connection


def _connect_far(place: dict[str, Any]) -> tuple[duckdb.DuckDBPyConnection, Callable[[str], None] | None]:
    """The same for an atlas that the parent reads; and what makes ready the tables that a statement names."""
    import socket

    from atlas.place import FarPath
    from atlas.store.far.relay import RelayedFiles
    from atlas.store.far.source import far_source
    from atlas.store.reader import overlay_of, read_atlas

    path = FarPath(place["path"])
    files = RelayedFiles(str(path), socket.socket(fileno=place["relay"]))
    settings = {**_settings(place["open_s"], place["memory_mb"])}
    far = far_source(path, None, files, settings)
    if far.tables is not None:
        return far.connection, far.tables.mount
    _, lacking = read_atlas(far.connection, path)
    if lacking:
        far.connection.execute(overlay_of(lacking, read_atlas(far.connection, path)[0], "atlas_file"))
    return far.connection, None


def _settings(open_s: float, memory_mb: int) -> dict[str, object]:
    """DuckDB's own limits: they end most queries more gently than the limits of the process."""
    return {
        "threads": 1,
        "memory_limit": f"{memory_mb // 2}MiB",
        "max_execution_time": max(1, int(open_s * 1000)),
        "temp_directory": "",
        "max_temp_directory_size": "0B",
        "enable_progress_bar": False,  # it would print
    }


def _only_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    """The one statement in `sql`. Raises QuestionError for none, several, or one that does not read."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        count = len(statements) or "no"
        raise QuestionError(f"refused: {count} statements in the SQL text", _READS_ONLY)
    try:
        kind = statements[0].type.name
    except ValueError:  # one that DuckDB's Python side has no name for
        kind = "unknown"
    if kind == "MULTI":
        raise QuestionError("refused: a PIVOT whose columns are not named", _NAME_COLUMNS)
    if kind not in _ALLOWED:
        raise QuestionError(f"refused: a statement of type {kind}", _READS_ONLY)
    return statements[0]


def _send(cursor: duckdb.DuckDBPyConnection, max_rows: int, max_bytes: int, out: Any) -> None:
    for name, kind, *_ in cursor.description:
        if _ZONED in str(kind):  # its Python value would need a library of time zones, and may be another time
            raise _zoned(f"the column {name[:60]}")
    out.write(wire.encode("columns", [column[0] for column in cursor.description]))
    sent_rows, sent_bytes = 0, 0
    while batch := cursor.fetchmany(min(_ROWS_AT_ONCE, max_rows - sent_rows + 1)):
        for row in batch:
            if sent_rows == max_rows:
                out.write(wire.encode("end", "truncated"))
                return
            line = _encode_row(row)
            sent_rows, sent_bytes = sent_rows + 1, sent_bytes + len(line)
            if sent_bytes > max_bytes:
                raise QuestionError(
                    f"stopped: the answer is larger than {max_bytes // 2**20} MiB",
                    "Select fewer columns, or fewer rows with --limit.",
                )
            out.write(line)
    out.write(wire.encode("end", "complete"))


def _encode_row(row: tuple[Any, ...]) -> bytes:
    try:
        return wire.encode("row", list(row))
    except TypeError as error:
        raise QuestionError(str(error), "Cast the column to VARCHAR.") from None


def _zoned(what: str) -> QuestionError:
    return QuestionError(f"{what} is or holds a {_ZONED}, which cannot be returned", "Cast it: now()::TIMESTAMP.")


def _refusal(error: duckdb.Error, path: Path) -> AtlasError:
    """DuckDB's message in one line; the place in the SQL, if it names one, as the hint."""
    from atlas.store.files import is_damage, translate

    if is_damage(error):
        return translate(error, path)
    message, _, place = str(error).partition("\n\nLINE ")
    if "Traceback" in message or "pytz" in message or "zoneinfo" in message:
        return _zoned("a value")
    fenced = "disabled by configuration" in message or "has been locked" in message or "read-only" in message
    if fenced:
        return QuestionError(f"refused: {message[:400]}", _READS_ONLY)
    return QuestionError(message[:400], "LINE " + place.splitlines()[0][:200] if place else "")
