"""The texts that a detector is asked about: a file of lines, or of JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from atlas.errors import CorpusError, UsageError
from builders.corpora.base import Row, text_of
from builders.corpora.jsonl import records
from builders.corpora.limits import MAX_EXAMPLES, MAX_TOTAL
from builders.corpora.lines import lines

STDIN = "/dev/stdin"


def read_texts(source: str, column: str) -> list[str]:
    """The texts in order, of a .jsonl file, whose objects have the `column`, or of one with a text a line, as - has.

    Raises CorpusError for an empty text, one that is none, or where there are none or too many, and UsageError for a
    file that is not there.
    """
    path = STDIN if source == "-" else source
    if path != STDIN and not Path(path).is_file():
        raise UsageError(f"there is no file {source}", "Name one with a text a line, a .jsonl file, or - for stdin.")
    rows = _objects(path, column) if path.lower().endswith(".jsonl") else _lines(path)
    texts: list[str] = []
    total = 0
    for row in rows:
        texts.append(text_of(row))
        total += len(texts[-1])
        if len(texts) > MAX_EXAMPLES or total > MAX_TOTAL:
            raise CorpusError(f"{row.where}: more than {MAX_EXAMPLES} texts or {MAX_TOTAL} characters", "Divide it.")
    if not texts:
        raise CorpusError(f"{source}: there is no text in it")
    return texts


def _lines(path: str) -> Iterator[Row]:
    for number, line in enumerate(lines(Path(path), "\n"), start=1):
        yield Row(f"{path} line {number}", line.rstrip("\r\n"), None)


def _objects(path: str, column: str) -> Iterator[Row]:
    for where, record in records(path):
        if column not in record:
            raise CorpusError(f"{where}: there is no {column!r} in it", "Name the field with --text-column.")
        yield Row(where, record[column], None)
