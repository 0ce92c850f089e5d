"""The documents of `--texts`, one at a time and each in pieces, checked as the examples of labelled corpora are."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from atlas.errors import CorpusError, UsageError
from builders.concept_sets import own_sets_here
from builders.corpora.base import Columns, text_of
from builders.corpora.lines import lines
from builders.corpora.registry import FORMATS, located

PIECE = 1 << 16
"""Characters that are tokenised at a time: a document is cut behind a line or before a space."""


class Piece(NamedTuple):
    """Part of a document. `number`: of the document in its source, from 1."""

    source: str
    number: int
    text: str


def pieces(source: str, column: str, split: str | None) -> Iterator[Piece]:
    """The pieces of every document of a source, in order; documents without words have none.

    A .txt file is one document, a row of any other format is one. Raises CorpusError, UsageError for bad options.
    """
    path = own_sets_here()[source].source if source in own_sets_here() else source
    if Path(path).suffix.lower() == ".txt" and not path.startswith("hf:"):
        if not os.path.isfile(path):
            raise CorpusError(f"{source}: there is no such file")
        if split is not None:
            raise UsageError(f"{source} is a file and has no split {split!r}", "Only hf: sources have splits.")
        return (Piece(Path(path).name, 1, text) for text in _joined(lines(Path(path), "\n")))
    module, name = located(path, split)
    if not path.startswith("hf:"):
        name = Path(path).name
    reader = importlib.import_module(module)
    # Both columns are the text's: labels are not asked for.
    rows = getattr(reader, "stream", reader.read)(path, Columns(column, column), split)
    return chain.from_iterable(
        (Piece(name, number, text) for text in _cut(text_of(row)))
        for number, row in enumerate(rows, start=1)
        if not (row.text is None or (isinstance(row.text, str) and not row.text.strip()))
    )


def known_formats() -> str:
    """For `--help`."""
    return ", ".join([".txt", *(suffix for suffix in FORMATS if suffix.startswith("."))])


def _joined(found: Iterator[str]) -> Iterator[str]:
    """Lines put together to pieces."""
    held: list[str] = []
    size = 0
    for line in found:
        if held and size + len(line) > PIECE:
            yield from _cut("".join(held))
            held, size = [], 0
        held.append(line)
        size += len(line)
    yield from _cut("".join(held))


def _cut(text: str) -> Iterator[str]:
    """A text in pieces."""
    start = 0
    while start < len(text):
        end = start + PIECE
        if end < len(text):
            line, space = text.rfind("\n", start, end) + 1, text.rfind(" ", start + 1, end)
            end = line if line > start else space if space > start else end
        yield text[start:end]
        start = end
