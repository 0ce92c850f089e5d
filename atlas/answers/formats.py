"""THE table of output formats: name -> where its writer is, and what asks for it. A writer is imported when it is used.

A writer is `write(result, stream) -> None` over a binary stream. A new format is one file and one line.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple


class Format(NamedTuple):
    """`writer`: module:function. `suffixes`: file names that ask for it. `binary`: it is not for a terminal.

    `document`: the writer of a Document, where the format can hold several tables.
    """

    writer: str
    suffixes: tuple[str, ...] = ()
    binary: bool = False
    document: str = ""


FORMATS: dict[str, Format] = {
    "table": Format("atlas.answers.table:write", document="atlas.answers.table:write_document"),
    "json": Format("atlas.answers.jsontext:write", (".json",), document="atlas.answers.jsontext:write_document"),
    "jsonl": Format("atlas.answers.jsontext:write_lines", (".jsonl",)),
    "csv": Format("atlas.answers.csvtext:write", (".csv",)),
    "parquet": Format("atlas.answers.arrowfile:write_parquet", (".parquet",), binary=True),
    "arrow": Format("atlas.answers.arrowfile:write_arrow", (".arrow", ".feather"), binary=True),
}
CSV = frozenset({"csv", "csv_safe"})
# What an option makes of a format.
_VARIANTS = {"csv_safe": Format("atlas.answers.csvtext:write_safe", FORMATS["csv"].suffixes)}


def suffixes() -> dict[str, str]:
    """The format that the suffix of a file name asks for."""
    return {suffix: name for name, row in FORMATS.items() for suffix in row.suffixes}


def of_documents() -> list[str]:
    """The formats that hold a Document of several tables."""
    return [name for name, row in FORMATS.items() if row.document]


def writer(name: str) -> Callable[[Any, BinaryIO], None]:
    """The writer of a format: a key of FORMATS, `csv_safe`, or `document_` and one of those that hold Documents."""
    _, of_document, form = name.rpartition("document_")
    row = FORMATS[form] if of_document else {**FORMATS, **_VARIANTS}[name]
    module, _, attribute = (row.document if of_document else row.writer).partition(":")
    found: Callable[[Any, BinaryIO], None] = getattr(importlib.import_module(module), attribute)
    return found
