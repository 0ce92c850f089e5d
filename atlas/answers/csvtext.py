"""CSV as of RFC 4180, with a header. Nothing, NaN and infinity are empty; lists are JSON text.

Texts stand as they are, or, for a spreadsheet, so that none is taken for a formula.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any, BinaryIO

from atlas.answers.jsontext import plain
from atlas.answers.result import Result
from atlas.printable import json_text, without_formula


def write(result: Result, stream: BinaryIO) -> None:
    """A header line and one line a row, lines ended by a bare newline."""
    _write(result, stream, lambda value: value)


def write_safe(result: Result, stream: BinaryIO) -> None:
    """The same, with ' before every text, also in the header, that a spreadsheet would take for a formula."""
    _write(result, stream, lambda value: without_formula(value) if isinstance(value, str) else value)


def _write(result: Result, stream: BinaryIO, kept: Callable[[Any], Any]) -> None:
    table = csv.writer(_Lines(stream), lineterminator="\r\n")
    table.writerow(map(kept, map(_cell, result.columns)))
    table.writerows([kept(_cell(value)) for value in row] for row in result.rows)


class _Lines:
    """Takes lines that end in CR LF, so that a cell with either is quoted, and ends them by the bare newline."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        """One line of the table, which may have others inside its cells."""
        self._stream.write(line.removesuffix("\r\n").encode() + b"\n")


def _cell(value: Any) -> Any:
    value = plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json_text(value)
    return value
