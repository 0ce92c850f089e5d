"""CSV as of RFC 4180, with a header. Nothing, NaN and infinity are empty; lists are JSON text."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, BinaryIO

from queries.render.jsontext import plain
from queries.result import Result


def write(result: Result, stream: BinaryIO) -> None:
    """A header line and one line a row, lines ended by a bare newline."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(result.columns)
    table.writerows([_cell(value) for value in row] for row in result.rows)
    stream.write(text.getvalue().encode())


def _cell(value: Any) -> Any:
    value = plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return value
