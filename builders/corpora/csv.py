"""CSV, and TSV with the same quoting rules (RFC 4180: fields in double quotes may hold line breaks).

The first row is the header. A file without one is read by giving both columns as numbers, counted from 1.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from atlas.errors import CorpusError
from builders.corpora.base import Columns, Row
from builders.corpora.limits import MAX_LINE
from builders.corpora.lines import lines


def read(path: str, columns: Columns, split: str | None) -> Iterator[Row]:
    """The rows of a .csv or .tsv file; every row must have as many fields as the first."""
    records = _records(path)
    first = next(records, None)
    if first is None:
        return
    where, header = first
    numbered = columns.text.isdecimal() and columns.concept.isdecimal()
    if numbered:
        header = [str(i + 1) for i in range(len(header))]
    # Counting is of no use where the file has the other column's name: then it has a header.
    headless = not numbered and columns.text not in header and columns.concept not in header and len(header) > 1
    hint = "If the file has no header, count them: --text-column 1 --concept-column 2." if headless else ""
    columns.check(where, header, hint)
    text, concept = header.index(columns.text), header.index(columns.concept)
    if numbered:
        yield Row(where, first[1][text], first[1][concept])
    for where, record in records:
        if len(record) != len(header):
            raise CorpusError(
                f"{where}: {len(record)} fields, the first row has {len(header)}",
                "A field that holds the delimiter, a quote or a line break must stand in double quotes.",
            )
        yield Row(where, record[text], record[concept])


def _records(path: str) -> Iterator[tuple[str, list[str]]]:
    """("FILE line N", fields) for each record that is not a blank line; N is where it begins."""
    where, taken = "", 0

    def fed() -> Iterator[str]:
        nonlocal taken
        for line in lines(Path(path), ""):
            taken += len(line)
            if taken > MAX_LINE:
                raise CorpusError(f"{where}: a row of over {MAX_LINE} characters", "Is a double quote never closed?")
            yield line

    # One number for the whole process, made for smaller fields than texts are; nothing needs it small.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
    reader = csv.reader(fed(), delimiter="\t" if path.lower().endswith(".tsv") else ",", strict=True)
    while True:
        where, taken = f"{path} line {reader.line_num + 1}", 0
        try:
            record = next(reader, None)
        except csv.Error as error:
            raise CorpusError(f"{where}: not readable as delimited text ({error})") from error
        if record is None:
            return
        if record:
            yield where, record
