"""THE table of output formats: name -> where its writer is. A writer is imported when it is used.

A writer is `write(result, stream) -> None` over a binary stream. A new format is one file and one line.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, BinaryIO

FORMATS: dict[str, str] = {
    "table": "atlas.answers.table:write",
    "json": "atlas.answers.jsontext:write",
    "jsonl": "atlas.answers.jsontext:write_lines",
    "csv": "atlas.answers.csvtext:write",
    "parquet": "atlas.answers.arrowfile:write_parquet",
    "arrow": "atlas.answers.arrowfile:write_arrow",
}
# The two formats that can hold a Document of several tables, and what an option makes of another.
_VARIANTS: dict[str, str] = {
    "csv_safe": "atlas.answers.csvtext:write_safe",
    "document_table": "atlas.answers.table:write_document",
    "document_json": "atlas.answers.jsontext:write_document",
}
CSV = frozenset({"csv", "csv_safe"})
BINARY = frozenset({"parquet", "arrow"})
# The format that a file name asks for.
SUFFIXES = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}


def writer(name: str) -> Callable[[Any, BinaryIO], None]:
    """The writer of a format: a key of FORMATS, or `csv_safe`, `document_table`, `document_json`."""
    module, _, attribute = {**FORMATS, **_VARIANTS}[name].partition(":")
    found: Callable[[Any, BinaryIO], None] = getattr(importlib.import_module(module), attribute)
    return found
