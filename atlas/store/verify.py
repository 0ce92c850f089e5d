"""Whether a published file still is what was published, and keeps what builders promise: one check a line.

DuckDB reads a swapped block as the right one, and may end the process on a block that means something else where it
lies. So the checks run in a process of their own, whose end is an answer too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import duckdb

from atlas.errors import AtlasError, AtlasFileError
from atlas.interrupt import undone
from atlas.manifest import Manifest
from atlas.schema.expert_tables import EXPERT_NAMES
from atlas.schema.statements import earlier_sql, layout_of, macros_sql, schema_sql
from atlas.schema.tables import TABLES
from atlas.store.atlas_row import read_atlas
from atlas.store.attached import SAFE_CONFIG
from atlas.store.checks import ask_rules, list_rules, mirror_rule, scanned_tables
from atlas.store.columns import misplaced_rows
from atlas.store.digests import TABLE, WORDING, definition_digests, stored_digests, wording, wrong_dims
from atlas.store.evaluations import sidecar_of
from atlas.store.files import full_name, require_database, translate
from atlas.store.lacking import Lacking
from atlas.store.overlay import columns_sql
from atlas.store.scan import Scan, begin
from atlas.store.seal import seal_holds
from atlas.store.verify_evaluations import evaluation_checks

OK, BROKEN, UNKNOWN = "ok", "broken", "unknown"
_WORKERS = 2
# Without a __file__ DuckDB takes the program for a person at a prompt, and draws a bar into what we read.
_CHILD = (
    "import sys; __file__ = 'verify'; sys.path[:] = sys.argv[2:]; "
    "from atlas.store.verify import child; child(sys.argv[1])"
)
_COLUMNS = """SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns()
              WHERE NOT internal AND database_name = current_database()
              AND table_name IN (SELECT table_name FROM duckdb_tables() WHERE database_name = current_database())"""


# Table -> column -> type and whether it may be NULL.
Columns = dict[str, dict[str, tuple[str, bool]]]
# What `stored_digests` gives.
Stored = dict[str, dict[str, tuple[int | None, int]]]


class Check(NamedTuple):
    """What was checked; OK, BROKEN, or UNKNOWN where the file does not say; what was found."""

    name: str
    result: str
    detail: str = ""


def verify(path: Path, timeout_s: float | None = None) -> Iterator[Check]:
    """Every check of the atlas at `path` and of the evaluations beside it, as they are done.

    Ends early, with a check that is UNKNOWN, after `timeout_s` seconds. Raises AtlasFileError where there is no
    atlas to check: no such file, no database, another schema version.
    """
    require_database(path)
    command = [sys.executable, "-c", _CHILD, str(path), *sys.path]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        with ThreadPoolExecutor(1) as clock, undone(process.kill):
            clock.submit(_kill_after, process, timeout_s)
            try:
                yield from _answers(process)
            finally:
                process.kill()


def _kill_after(process: subprocess.Popen[bytes], timeout_s: float | None) -> None:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()


def _answers(process: subprocess.Popen[bytes]) -> Iterator[Check]:
    start = time.monotonic()
    assert process.stdout is not None  # a pipe
    for line in process.stdout:
        kind, *rest = json.loads(line)
        if kind == "end":
            return
        if kind == "error":
            raise AtlasFileError(*rest)
        yield Check(*rest)
    code = process.wait()
    seconds = time.monotonic() - start
    if code == -9:
        yield Check("all checks", UNKNOWN, f"stopped after {seconds:.0f} s")
    else:
        yield Check("DuckDB can read the file", BROKEN, f"its process ended with code {code}")


def child(path: str) -> None:
    """The process of `verify`: its checks as lines of JSON."""
    try:
        for check in checks_of(Path(path)):
            _say("check", *check)
    except AtlasError as error:
        _say("error", error.message, error.hint)
    except Exception as error:  # rows that cannot be made sense of are the file's fault
        text = " ".join(f"{type(error).__name__}: {error}".split())
        _say("check", "the rows can be read", BROKEN, text[:300])
    _say("end")


def _say(*message: str) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def checks_of(path: Path) -> Iterator[Check]:
    """The checks, in this process."""
    sealed = seal_holds(path)
    if sealed is not None:
        yield Check("blocks lie where they were written", OK if sealed else BROKEN)
    try:
        connection = duckdb.connect(full_name(path), read_only=True, config={**SAFE_CONFIG, "memory_limit": "1GB"})
    except duckdb.Error as error:
        raise translate(error, path) from error
    with connection:
        # A setting of the session, and of its cursors: the bar of a check that takes long would be among the answers.
        connection.execute("SET enable_progress_bar = false")
        manifest, lacking = read_atlas(connection, path)
        try:
            yield from _atlas_checks(connection, manifest, lacking)
        except duckdb.Error as error:
            yield Check("DuckDB can read the file", BROKEN, _line(error))
    sidecar = sidecar_of(path)
    if sidecar.exists():
        for name, broken in evaluation_checks(sidecar):
            yield Check(f"evaluations: {name}", *_counted(broken))


def _atlas_checks(connection: duckdb.DuckDBPyConnection, manifest: Manifest, lacking: Lacking) -> Iterator[Check]:
    wrong = wrong_dims(manifest)
    yield Check("the atlas row describes a model", BROKEN if wrong else OK, wrong)
    if wrong:
        return
    layout = layout_of(manifest)
    required, own = _ours(f"{schema_sql(layout)}\n{macros_sql(layout)}", *earlier_sql(layout))
    columns = _columns(connection)
    wrong = _wrong_columns(columns, required)
    yield Check("tables and columns are those of the schema", BROKEN if wrong else OK, wrong)
    if wrong:
        return  # what has these names may be anything
    stored = stored_digests(connection) if TABLE in columns else {}
    if not stored:
        yield Check(
            "digests", UNKNOWN if TABLE not in columns else BROKEN, "written without: only its rules are checked"
        )
    yield _definitions(connection, stored, own, lacking)
    tables = [table for table in scanned_tables() if table in columns]
    with ThreadPoolExecutor(_WORKERS) as workers:
        readings = begin(workers, connection, tables, layout)
        scans = {}
        for table in tables:
            try:
                scans[table] = readings[table].result()
            except duckdb.Error as error:
                yield Check(f"{table} can be read", BROKEN, _line(error))
                continue
            yield from _table_checks(table, scans[table], stored, required[table])
            yield from _order_checks(connection, table, scans[table].misplaced)
    if len(scans) < len(tables):
        return
    for name, broken in list_rules(scans):
        yield Check(name, *_counted(broken))
    for name, broken in mirror_rule(scans, layout):
        yield Check(name, *_counted(broken))
    # Rules about columns that the file lacks find NULL there; all other checks saw the file as it is.
    connection.execute(columns_sql(lacking, layout, connection.execute("SELECT current_database()").fetchall()[0][0]))
    for name, broken in ask_rules(connection, layout, without=set(TABLES) - {*tables, *EXPERT_NAMES}):
        yield Check(name, *_counted(broken))


def _columns(connection: duckdb.DuckDBPyConnection) -> Columns:
    """The columns of a file as they are."""
    found: Columns = {}
    for table, column, kind, nullable in connection.execute(_COLUMNS).fetchall():
        found.setdefault(table, {})[column] = (kind, nullable)
    return found


def _wrong_columns(found: Columns, required: Columns) -> str:
    """The first table or column that is not as in the schema; '' for none. What came later may be missing."""
    for table in found.keys() | required.keys():
        there, due = found.get(table), required.get(table)
        if due is None:
            return f"there is a table {table}"
        if there is None:
            if TABLES[table].later:
                continue
            return f"there is no table {table}"
        for column in there.keys() | due.keys():
            if column in there and there[column] != due.get(column):
                return f"{table}.{column} is {_column(there[column])}, not {_column(due.get(column))}"
            if column not in there and not due[column][1]:
                return f"{table} has no column {column}"
    return ""


def _column(kind: tuple[str, bool] | None) -> str:
    return "absent" if kind is None else kind[0] + ("" if kind[1] else " NOT NULL")


@lru_cache(maxsize=8)  # most files that a process looks at are of few layouts
def _ours(today: str, *earlier: str) -> tuple[Columns, dict[str, set[int]]]:
    """Our columns, and the digests of our definitions by name: those of today, and those that are kept of earlier ones.

    What DuckDB says of them where the statements `today` are executed, and then those of each of `earlier`.
    """
    own: dict[str, set[int]] = {}
    with duckdb.connect(":memory:", config=SAFE_CONFIG) as fresh:
        fresh.execute(today)
        required = _columns(fresh)
        for sql in ("", *earlier):
            if sql:
                fresh.execute(sql)
            for name, crc32 in definition_digests(fresh).items():
                own.setdefault(name, set()).add(crc32)
    return required, own


def _definitions(
    connection: duckdb.DuckDBPyConnection, stored: Stored, own: dict[str, set[int]], lacking: Lacking
) -> Check:
    """Definitions are, or were, those of this software, or those that were published."""
    name = "definitions of tables, views, types and macros"
    found = definition_digests(connection)
    short = {name.partition(".")[0] for name in lacking.columns}  # ours but for these, as opening has seen
    for key in sorted(found.keys() | stored.keys()):
        published = {part: crc32 for part, (_, crc32) in stored.get(key, {}).items() if part.startswith(WORDING)}
        if found.get(key) in own.get(key, ()) or found.get(key) in published.values():
            continue
        if key in short and wording() not in published:
            continue
        if key in found and (not stored or (published and wording() not in published)):
            return Check(name, UNKNOWN, f"{key} is not this software's, and was stored by another version of DuckDB")
        return Check(name, BROKEN, f"{key} is not what was published")
    return Check(name, OK)


def _table_checks(table: str, scan: Scan, stored: Stored, required: dict[str, tuple[str, bool]]) -> Iterator[Check]:
    nulls = sum(count for column, count in scan.nulls.items() if not required[column][1])
    yield Check(f"{table}: nothing is NULL that must not be", *_counted(nulls))
    if not stored:
        return
    due = {part: found for part, found in stored.get(table, {}).items() if not part.startswith(WORDING)}
    changed = [
        name for name in due.keys() | scan.digests.keys() if due.get(name) != (scan.rows, scan.digests.get(name))
    ]
    yield Check(f"{table}: digests", BROKEN if changed else OK, f"of {', '.join(sorted(changed))}" if changed else "")


def _order_checks(connection: duckdb.DuckDBPyConnection, table: str, misplaced: int) -> Iterator[Check]:
    """Whether the rows are in the order of today, or in that of older files."""
    if misplaced and TABLES[table].earlier_key:
        misplaced = misplaced_rows(connection, table, keys=TABLES[table].earlier_key)
    if TABLES[table].key:
        yield Check(f"{table}: keys differ and ascend", *_counted(misplaced))


def _counted(broken: int) -> tuple[str, str]:
    return (BROKEN, f"{broken} rows") if broken else (OK, "")


def _line(error: duckdb.Error) -> str:
    return " ".join(str(error).split())[:300]
