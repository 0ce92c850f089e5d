"""JSON Lines: one object per line, blank lines ignored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atlas.errors import CorpusError
from builders.corpora.base import Columns, Row
from builders.corpora.lines import lines
from builders.corpora.names import quoted


class _Twice(ValueError):
    """A key that an object has twice: readers differ in which of its values they take."""


def read(path: str, columns: Columns, split: str | None) -> Iterator[Row]:
    """The rows of a .jsonl file; every line must have both columns, and no key twice."""
    for where, record in records(path):
        columns.check(where, record)
        yield Row(where, record[columns.text], record[columns.concept])


def records(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object of a .jsonl file and where it stands."""
    # Only \n ends a line: str.splitlines would also cut at characters that JSON strings may contain.
    for number, line in enumerate(lines(Path(path), "\n"), start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            record = json.loads(line, object_pairs_hook=_once)
        except _Twice as error:
            raise CorpusError(f"{where}: the key {quoted(str(error))!r} stands twice", "Keep one of them.") from error
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "too large or too deep"
            raise CorpusError(f"{where}: not JSON ({reason})", "One JSON object per line is expected.") from error
        if not isinstance(record, dict):
            raise CorpusError(f"{where}: a JSON {type(record).__name__}, not an object")
        yield where, record


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        raise _Twice(next(key for key, _ in pairs if key in seen or seen.add(key)))
    return found
