"""SQL that nobody vouches for, asked of an atlas: it may read, within limits, and nothing else.

The statement runs in a process of its own (`queries.sandbox.child`), because DuckDB's own limits do not
bind inside one scalar call: a statement of 40 bytes can ask for 24 GB. This process starts the other one
with an empty environment, reads its answer up to a cap, and kills it when its time is over. It neither
imports DuckDB nor opens the atlas, unless the other one crashed: then it asks whether the file is damaged. Killed
itself, it takes the other one along (Linux; elsewhere an alarm does).

What a statement can still learn beside the contents of the atlas: the atlas' path and DuckDB's settings.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas import errors
from atlas.answers.result import Result
from atlas.errors import AtlasError, QuestionError, UsageError
from atlas.place import FarPath, place_of
from queries.sandbox import wire
from queries.sandbox.children import DEFAULT_MEMORY_MB, Child

if TYPE_CHECKING:
    from atlas.store.reader import Atlas
    from queries.session.session import Session

MAX_SQL_BYTES = 64 * 2**10  # a parser needs gigabytes for some longer texts
MIN_MEMORY_MB = 1024  # Python and DuckDB alone map about 0.8 GB of addresses
MAX_MEMORY_MB = 2**24  # 16 TiB; far beyond it the operating system's counters end
MAX_ANSWER_MB = 64  # encoded
DEFAULT_ROWS, DEFAULT_TIMEOUT_S = 10_000, 30.0

_START_S = 1.0  # granted on top of the timeout for starting the child


def run_sql(
    asked: str | Path | Atlas | Session,
    sql: str,
    *,
    parameters: dict[str, Any] | list[Any] | None = None,
    max_rows: int = DEFAULT_ROWS,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    memory_mb: int = DEFAULT_MEMORY_MB,
    max_mb: int = MAX_ANSWER_MB,
) -> Result:
    """The answer of an atlas to one SELECT or EXPLAIN statement, as in a fresh DuckDB connection.

    `asked` is the path of the atlas, or an open one or its session: these have the next process wait for the next
    statement (queries/sandbox/children.py), and raise QuestionError when they are closed or another file stands there.

    `parameters` bind `$name` (dict) or `?` (list). At most `max_rows` rows come back; `truncated_by` of the
    result says when there were more. `timeout_s` is wall-clock time, `memory_mb` the address space of the
    process in MiB; half of it is DuckDB's own memory limit. An answer of more than `max_mb` MiB is refused.

    Raises QuestionError when the statement is wrong, refused, or hit a limit; AtlasFileError as
    `open_atlas`; UsageError for limits out of their domain.
    """
    if os.name != "posix":
        raise QuestionError("the SQL sandbox needs a POSIX system", "Open the file in a duckdb shell instead.")
    _require_domain(sql, max_rows, timeout_s, memory_mb, max_mb)
    limits = {"max_rows": max_rows, "timeout_s": float(timeout_s), "max_bytes": max_mb * 2**20}
    request = {"sql": sql, "parameters": parameters, **limits}
    try:
        line = wire.encode("statement", request)
    except TypeError as error:
        raise UsageError(f"a parameter does not fit: {error}", "Pass plain Python values.") from None
    if isinstance(asked, str | Path) and isinstance(place_of(asked), FarPath):
        from atlas.store.reader import open_atlas

        with open_atlas(asked, timeout_s) as far:
            return run_sql(
                far,
                sql,
                parameters=parameters,
                max_rows=max_rows,
                timeout_s=timeout_s,
                memory_mb=memory_mb,
                max_mb=max_mb,
            )
    if isinstance(asked, str | Path):
        path = Path(asked)
        answer, code = Child(path, None, memory_mb, float(timeout_s)).ask(line, timeout_s + _START_S)
    else:
        from queries.session.session import session_of  # imports DuckDB, which a command need not have here

        path, children = asked.path, session_of(asked).processes
        with children.lend(memory_mb, float(timeout_s)) as child:
            answer, code = child.ask(line, timeout_s + _START_S)
    return _read_answer(answer, code, timeout_s, memory_mb, path)


def _require_domain(sql: str, max_rows: int, timeout_s: float, memory_mb: int, max_mb: int) -> None:
    try:
        size = len(sql.encode("utf-8"))
    except UnicodeEncodeError:
        raise QuestionError("refused: the SQL is not valid UTF-8 text", "Save it as UTF-8.") from None
    if size > MAX_SQL_BYTES:
        raise QuestionError(f"refused: the SQL text is longer than {MAX_SQL_BYTES // 1024} KiB", "Shorten it.")
    if max_rows < 1:
        raise UsageError(f"--limit is {max_rows}", "Ask for at least one row.")
    if not 0 < timeout_s <= 86_400:
        raise UsageError(f"--timeout is {timeout_s}", "Give seconds, up to a day.")
    if not MIN_MEMORY_MB <= memory_mb <= MAX_MEMORY_MB:
        raise UsageError(f"--memory is {memory_mb}", f"Give {MIN_MEMORY_MB} to {MAX_MEMORY_MB} (MiB).")
    if not 1 <= max_mb <= MAX_ANSWER_MB:
        raise UsageError(f"max_mb is {max_mb}", f"Give 1 to {MAX_ANSWER_MB} (MiB).")


def _read_answer(answer: bytes, code: int | None, timeout_s: float, memory_mb: int, path: Path) -> Result:
    columns: list[str] = []
    rows: list[tuple[Any, ...]] = []
    for kind, payload in _messages(answer):
        if kind == "row":
            rows.append(tuple(payload))
        elif kind == "columns":
            columns = payload
        elif kind == "end":
            return Result(columns, rows, truncated_by="--limit" if payload == "truncated" else None)
        elif kind == "error":
            raise _as_error(*payload)
        elif kind == "memory":
            raise _out_of_memory(memory_mb)
        elif kind == "time":
            code = None
    if code is None or -code in (signal.SIGALRM, signal.SIGXCPU):
        raise QuestionError(f"stopped: the query ran longer than its {timeout_s:g} s", "Narrow it, or raise --timeout.")
    _blame(path)
    # An allocation that fails deep inside a library ends the process without a word.
    raise _out_of_memory(memory_mb, f" (the process ended with code {code})")


def _blame(path: Path) -> None:
    """Raise AtlasFileError when the atlas is damaged: on blocks that mean nothing where they lie, DuckDB may crash."""
    from atlas.store.blame import damage

    found = damage([path])
    if found is not None:
        raise found


def _messages(answer: bytes) -> Iterator[tuple[str, Any]]:
    """The whole lines of an answer. Raises QuestionError for one that is no message of ours."""
    for line in answer.split(b"\n")[:-1]:
        try:
            message = wire.decode(line)
        except (ValueError, TypeError) as error:
            raise QuestionError("stopped: the SQL process sent an unreadable answer") from error
        yield message


def _out_of_memory(memory_mb: int, detail: str = "") -> QuestionError:
    return QuestionError(
        f"stopped: the query needs more memory than its {memory_mb} MiB{detail}",
        "Narrow it, or raise --memory.",
    )


def _as_error(name: str, message: str, hint: str) -> AtlasError:
    kind = getattr(errors, name, QuestionError)
    return kind(message, hint) if issubclass(kind, AtlasError) else QuestionError(message, hint)
