"""JSON Lines: one object per line, blank lines ignored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from atlas.errors import CorpusError
from builders.corpora.base import Columns, Row, read_utf8


def read(path: str, columns: Columns, split: str | None) -> Iterator[Row]:
    """The rows of a .jsonl file; every line must have both columns."""
    # Only \n ends a line: str.splitlines would also cut at characters that JSON strings may contain.
    for number, line in enumerate(read_utf8(Path(path)).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "too large or too deep"
            raise CorpusError(f"{where}: not JSON ({reason})", "One JSON object per line is expected.") from error
        if not isinstance(record, dict):
            raise CorpusError(f"{where}: a JSON {type(record).__name__}, not an object")
        columns.check(where, record)
        yield Row(where, record[columns.text], record[columns.concept])
