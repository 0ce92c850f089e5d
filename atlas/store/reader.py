"""Read an atlas. Opening never writes, and never loads torch, numpy or pyarrow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import duckdb

from atlas.errors import AtlasFileError, QuestionError
from atlas.interrupt import reacting
from atlas.manifest import Manifest
from atlas.place import FarPath, place_of
from atlas.schema.statements import layout_of
from atlas.store import definitions
from atlas.store.ahead import Ahead, Helper, Statement, ahead_of, reading
from atlas.store.atlas_row import read_atlas as read_atlas
from atlas.store.attached import NAME, attach
from atlas.store.connections import Connections, Lane
from atlas.store.digests import require_sound
from atlas.store.files import is_damage, require_database, translate
from atlas.store.lacking import Lacking
from atlas.store.seal import require_seal
from atlas.store.seen import mark_of, recall, remember
from atlas.time_limit import DEFAULT_TIMEOUT_S, stopped_by_it, time_limit

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    import numpy
    import pyarrow

    from atlas.store.far.promised import Far

Parameters = dict[str, Any] | list[Any] | None
Value = int | str | list[int]
_READS = ("SELECT", "EXPLAIN")
_FAR_LANES = 12  # of one question to a far file


class Closable(Protocol):
    """What ends with an open atlas."""

    def close(self) -> None:
        """End it; called any number of times."""


class Atlas:
    """An open, read-only atlas. Use `open_atlas`; it is a context manager.

    Any number of threads may ask one atlas at the same time: each question has a connection to itself while it runs
    (at most connections.MOST; further ones wait), and what questions keep in memory is guarded and bounded
    (`session`). Closing it ends the questions that are still being asked with a QuestionError.
    """

    def __init__(
        self,
        path: Path,
        connection: duckdb.DuckDBPyConnection,
        manifest: Manifest,
        lacking: Lacking,
        far: Far | None = None,
    ) -> None:
        self.path = path
        self.far = far
        """Where it is read from, if that is no file of this machine (far/source.py)."""
        self.manifest = manifest
        self.lacking = lacking
        """What the schema has and this file has not. Questions find it all the same, empty or NULL (overlay.py)."""
        self.session: Closable | None = None
        """What questions keep in memory for the next ones (queries/session/session.py makes it); closed with it."""
        whole = far is not None and far.tables is not None  # a folder is given all that it lacks when it is opened
        self._connections = Connections(connection, "" if whole else overlay_of(lacking, manifest, NAME))
        self.closed = False
        self._helper = Helper(1 if far is None else _FAR_LANES - 1)

    def query(self, sql: str, parameters: Parameters = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and all rows of one SELECT or EXPLAIN.

        Raises QuestionError when DuckDB rejects the statement, when it does something else than read, or takes longer
        than the atlas was opened for; AtlasFileError when the file is damaged.
        """
        with self._ask(sql, parameters) as lane:
            cursor = lane.connection.execute(_only_reads(lane, sql), parameters)
            return [column[0] for column in cursor.description or []], cursor.fetchall()

    def rows(self, statements: Sequence[str], **parameters: Value) -> list[list[tuple[Any, ...]]]:
        """All rows of each of some statements that are asked often: parsed once, with values to fill in; a list of
        integers is INTEGER[].

        Two connections take turns, each in a thread of its own, unless another question has the second thread: a
        look-up keeps no more than one processor busy. Of a far file more of them do: they wait for the network. Raises
        as `query`.
        """
        if (early := ahead_of(self)) is not None:
            return early.rows(statements, parameters)
        if self.far is not None and self.far.tables is not None and len(statements) > 1:
            # Each by itself: what is asked of one neuron is here with its card, the rest is not.
            return [rows for sql in statements for rows in self.rows([sql], **parameters)]
        if len(statements) == 1:
            return [self._run(statements[0], parameters)]
        with self._ask("".join(statements), parameters) as lane, self._helper.lent() as helper:
            if helper is None:
                return [lane.run(sql, parameters) for sql in statements]
            return self._in_turn(lane, helper, statements, parameters)

    @contextmanager
    def ahead(self, asked: Sequence[Statement]) -> Iterator[None]:
        """While the block runs, read in a second thread what `rows` will be asked in it: SQL and values of each.

        Where another question has that thread, and of a far file, nothing is read before it is asked.
        """
        with self._helper.lent() if self.far is None else nullcontext() as helper:
            with nullcontext() if helper is None else reading(self, Ahead(self._run, helper, asked)):
                yield

    def arrow(self, sql: str, parameters: Parameters = None) -> pyarrow.Table:
        """The result of one statement as an Arrow table. Raises as `query`."""
        with self._ask(sql, parameters) as lane:
            return lane.connection.sql(_only_reads(lane, sql), params=parameters).to_arrow_table()

    def arrays(self, sql: str, parameters: Parameters = None) -> dict[str, numpy.ndarray]:
        """The result of one statement as one numpy array a column; columns must not hold NULL. Raises as `query`."""
        with self._ask(sql, parameters) as lane:
            return lane.connection.execute(_only_reads(lane, sql), parameters).fetchnumpy()

    def batches(self, sql: str, rows: int) -> Iterator[pyarrow.RecordBatch]:
        """The result of one statement, about `rows` rows at a time. Raises as `query`."""
        with self._ask(sql) as lane:
            yield from lane.connection.sql(_only_reads(lane, sql)).to_arrow_reader(rows)

    def close(self) -> None:
        """Close the file, and drop what questions kept; calling it twice is harmless."""
        self.closed = True
        if self.session is not None:
            self.session.close()
        self._connections.close()
        if self.far is not None:
            self.far.close()
        self._helper.close()

    def __enter__(self) -> Atlas:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, sql: str, values: Mapping[str, Value]) -> list[tuple[Any, ...]]:
        with self._ask(sql, dict(values)) as lane:
            return lane.run(sql, values)

    @contextmanager
    def _ask(self, sql: str, parameters: Parameters = None) -> Iterator[Lane]:
        """A connection for one question; what goes wrong in it as an error of ours."""
        try:
            connections = self._connections
            if self.far is not None and not self.closed:
                connections = self.far.ready(sql, parameters) or connections
            with connections.lend() as lane, reacting(lane.connection.interrupt):
                yield lane
        except duckdb.Error as error:
            raise (self.far and self.far.trouble()) or self._refusal(error) from error
        except RuntimeError as error:
            if str(error) == "Query interrupted":  # what DuckDB makes of Ctrl-C when it sees it first
                raise KeyboardInterrupt from error
            raise

    def _in_turn(
        self, lane: Lane, helper: ThreadPoolExecutor, statements: Sequence[str], values: Mapping[str, Value]
    ) -> list[list[tuple[Any, ...]]]:
        found: list[list[tuple[Any, ...]]] = [[]] * len(statements)
        with self._connections.lend_more(min(self._helper.threads, len(statements) - 1)) as others:
            step = len(others) + 1

            def every(asked: Lane, first: int) -> list[list[tuple[Any, ...]]]:
                return [asked.run(sql, values) for sql in statements[first::step]]

            begun = [helper.submit(every, other, first) for first, other in enumerate(others, 1)]
            try:
                found[::step] = every(lane, 0)
                for first, theirs in enumerate(begun, 1):
                    found[first::step] = theirs.result()
            finally:
                for theirs, other in zip(begun, others, strict=True):
                    _end(theirs, other)
        return found

    def _refusal(self, error: duckdb.Error) -> Exception:
        text = " ".join(str(error).split())
        # A damaged block is found only when a query reads it.
        if is_damage(error):
            return translate(error, self.path)
        if isinstance(error, duckdb.OutOfMemoryException):
            return QuestionError(
                "the question needs more memory than it may take", "Narrow it, or give it more: `serve` takes --memory."
            )
        return stopped_by_it(text) or QuestionError(text[:400])


def _only_reads(lane: Lane, sql: str) -> duckdb.Statement:
    """The statement, parsed. QuestionError for several, and for one that would leave something in the lane."""
    statements = lane.connection.extract_statements(sql)
    kinds = [statement.type.name for statement in statements]
    if len(kinds) != 1 or kinds[0] not in _READS:
        raise QuestionError(
            f"refused: a statement of type {' and '.join(kinds) or 'nothing'}", "An atlas answers one SELECT at a time."
        )
    return statements[0]


def _end(others: Future[Any], lane: Lane) -> None:
    """Return when the helper has left the lane, at once when this thread gave up before."""
    while not others.done():
        lane.connection.interrupt()
        threading.Event().wait(0.01)


def open_atlas(path: str | Path, timeout_s: float | None = None, memory: int | None = None) -> Atlas:
    """Open an atlas for reading. Each statement of a question may take `timeout_s` seconds, 0 for any time.

    Without it $NEURON_ATLAS_TIMEOUT says how long, else a minute. `memory`: the most bytes that DuckDB takes for it,
    without it a quarter of the machine's. What is opened is the file that stands at `path`
    now: one that is published there later does not show in this atlas, but in the next opening.

    Raises AtlasFileError (exit code 3) when the file is missing, no atlas, damaged, locked by a writer, of another
    schema version, has a log beside it, or holds anything but the objects of our schema; UsageError for a time
    that is no number of seconds.
    """
    path = place_of(path)
    timeout_s = time_limit(timeout_s)
    if isinstance(path, FarPath):
        from atlas.store.far.source import far_source  # only for these

        return _open_far(path, far_source(path, timeout_s))
    require_database(path)
    try:
        mark = mark_of(path, f"{duckdb.__version__} {definitions.identity()}")
        seen = recall(mark)
        if seen is None:
            require_seal(path)
        connection = attach(path, timeout_s, memory)
    except duckdb.Error as error:
        raise translate(error, path) from error
    except OSError as error:
        raise AtlasFileError(f"cannot read {path}: {error.strerror}", "Check the permissions.") from error
    try:
        manifest, lacking = read_atlas(connection, path, seen)
        if seen is None:
            require_sound(connection, manifest, path)
            remember(mark, lacking)
    except BaseException:
        connection.close()
        raise
    return Atlas(path, connection, manifest, lacking)


def _open_far(path: Path, far: Far) -> Atlas:
    """What `open_atlas` does of an atlas that is far away. Raises as it does."""
    try:
        if far.tables is None:
            manifest, lacking = read_atlas(far.connection, path)
            require_sound(far.connection, manifest, path)
        else:
            manifest, lacking = far.tables.manifest, far.tables.lacking
        return Atlas(path, far.connection, manifest, lacking, far)
    except BaseException as error:
        trouble = far.trouble()
        far.close()
        if trouble is not None and isinstance(error, AtlasFileError | duckdb.Error):
            raise trouble from error
        raise


def is_atlas(path: Path) -> bool:
    """Whether the file at `path` is an atlas of any schema version, as far as it can be read."""
    try:
        require_database(path)
        with attach(path, DEFAULT_TIMEOUT_S) as connection:
            return len(connection.execute("SELECT schema_version FROM atlas").fetchall()) == 1
    except (AtlasFileError, duckdb.Error):
        return False


def overlay_of(lacking: Lacking, manifest: Manifest, database: str) -> str:
    """What each connection to the file needs before it is asked; `database`: what the file is called there."""
    if not lacking:
        return ""
    from atlas.store.overlay import overlay_sql  # only for older files

    return overlay_sql(lacking, layout_of(manifest), database)
